"""The Swin transformer's blocks (Liu et al., ICCV 2021) on maps of any size.

Letters: B images, H W cells of the map, C channels, A heads, S window side, N = S * S cells of a window,
K windows of an image. Parameters have the names of the published ImageNet weights.
"""

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows, with a learned bias per relative position.

    Args:
        channels: C.
        num_heads: A.
        window_size: S, in cells.
    """

    def __init__(self, channels: int, num_heads: int, window_size: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window_size = window_size
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window_size - 1) ** 2, num_heads))
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.register_buffer('index', relative_position_index(window_size), persistent=False)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor, shift: int = 0) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C); windows start at -shift and what wraps around does not mix.

        Maps that are no multiple of S are padded with zeros at the right and bottom; as in the published
        models, padded cells are attended to.
        """
        h, w = x.shape[1:3]
        s = self.window_size
        x = F.pad(x, (0, 0, 0, -w % s, 0, -h % s))
        rows, columns = x.shape[1] // s, x.shape[2] // s
        if shift:
            x = torch.roll(x, (-shift, -shift), (1, 2))
        x = self.attend(cut_windows(x, s), self._bias(rows, columns, shift))
        x = join_windows(x, rows, columns)
        if shift:
            x = torch.roll(x, (shift, shift), (1, 2))
        return x[:, :h, :w]

    def attend(self, x: Tensor, bias: Tensor) -> Tensor:
        """Windows (B, K, N, C) and bias (1 or K, A, N, N) -> (B, K, N, C)."""
        b, k, n, c = x.shape
        qkv = self.qkv(x).view(b, k, n, 3, self.num_heads, c // self.num_heads)
        q, key, value = qkv.permute(3, 0, 1, 4, 2, 5)  # each (B, K, A, N, C / A)
        # with the same bias for all windows, these are as good as images
        shape = (b * k, self.num_heads, n, -1) if len(bias) == 1 else (b, k * self.num_heads, n, -1)
        q, key, value = (item.reshape(shape) for item in (q, key, value))
        x = F.scaled_dot_product_attention(q, key, value, attn_mask=bias.reshape(1, -1, n, n))
        x = x.view(b, k, self.num_heads, n, -1).transpose(2, 3).reshape(b, k, n, c)
        return self.proj(x)

    def _bias(self, rows: int, columns: int, shift: int) -> Tensor:
        """(1, A, N, N), or with a shift (K, A, N, N)."""
        if not shift:
            return self.position_bias()
        device = self.relative_position_bias_table.device
        return self.position_bias(separated_by_shift(rows, columns, self.window_size, shift, device))

    def position_bias(self, separated: Tensor | None = None) -> Tensor:
        """(1, A, N, N), or with pairs to keep apart (K, N, N) or (N, N) one for each K or one.

        The original adds -100 to the logits of those; ours does the same, so that published weights give the
        same numbers.
        """
        table = self.relative_position_bias_table
        bias = table[self.index.flatten()].view(*self.index.shape, -1).permute(2, 0, 1)[None]
        if separated is None:
            return bias.contiguous()
        return bias + separated.unsqueeze(-3).to(table.dtype) * -100.0


def cut_windows(x: Tensor, size: int) -> Tensor:
    """Maps (B, H, W, C), H and W multiples of ``size`` -> windows (B, K, N, C)."""
    b, h, w, c = x.shape
    x = x.view(b, h // size, size, w // size, size, c).transpose(2, 3)
    return x.reshape(b, -1, size * size, c)


def join_windows(x: Tensor, rows: int, columns: int) -> Tensor:
    """Windows (B, K, N, C) of so many rows and columns -> maps (B, H, W, C)."""
    b, _, n, c = x.shape
    size = int(n**0.5)
    x = x.view(b, rows, columns, size, size, c).transpose(2, 3)
    return x.reshape(b, rows * size, columns * size, c)


def relative_position_index(window_size: int) -> Tensor:
    """(N, N) rows of the bias table: (dy + S - 1) * (2 S - 1) + dx + S - 1 of each pair of cells."""
    cells = torch.arange(window_size)
    y, x = (grid.flatten() for grid in torch.meshgrid(cells, cells, indexing='ij'))
    last = window_size - 1
    return (y[:, None] - y + last) * (2 * window_size - 1) + x[:, None] - x + last


def separated_by_shift(rows: int, columns: int, size: int, shift: int, device: torch.device) -> Tensor:
    """(K, N, N) bool: pairs of cells of a shifted window that are no neighbours in the image."""
    region = shift_regions(rows, columns, size, shift, device)
    return region[:, :, None] != region[:, None, :]


def shift_regions(rows: int, columns: int, size: int, shift: int, device: torch.device) -> Tensor:
    """(K, N) number of the part of the image that each cell of a shifted map comes from."""

    def band(count: int) -> Tensor:
        """0 before the last window, 1 and 2 on its two sides of the seam."""
        position = torch.arange(count * size, device=device)
        return (position >= (count - 1) * size).long() + (position >= count * size - shift).long()

    regions = 3 * band(rows)[:, None] + band(columns)
    return cut_windows(regions[None, :, :, None], size)[0, ..., 0]


class FeedForward(nn.Module):
    """Linear, GELU, linear.

    Args:
        channels: C.
        hidden_channels: Between the two.
    """

    def __init__(self, channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden_channels)
        self.fc2 = nn.Linear(hidden_channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class SwinBlock(nn.Module):
    """Window attention and feed-forward, each after a layer norm and with a shortcut.

    Args:
        channels: C.
        num_heads: A.
        window_size: S.
        shift: Cells by which the windows are shifted.
        mlp_ratio: Channels within the feed-forward layer, as a multiple of C.
        drop_path: Probability of leaving a branch out in training.
        shift_single_window: Shift even where one window covers the map, as the published detection and
            segmentation models do. The classification model does not.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        window_size: int,
        shift: int,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        shift_single_window: bool = True,
    ) -> None:
        super().__init__()
        self.shift = shift
        self.shift_single_window = shift_single_window
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, num_heads, window_size)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = FeedForward(channels, int(mlp_ratio * channels))
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        single = min(x.shape[1:3]) <= self.attn.window_size
        shift = 0 if single and not self.shift_single_window else self.shift
        x = x + self.drop_path(self.attn(self.norm1(x), shift))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PatchMerging(nn.Module):
    """Two by two cells to one of twice the channels.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, ceil(H / 2), ceil(W / 2), 2 C)."""
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        b, h, w, c = x.shape
        # the published order: top left, bottom left, top right, bottom right
        x = x.view(b, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 4, 2, 5).reshape(b, h // 2, w // 2, 4 * c)
        return self.reduction(self.norm(x))


class PatchEmbed(nn.Module):
    """Images to cells of 4 x 4 pixels.

    Args:
        channels: C.
        patch_size: Pixels of a side.
    """

    def __init__(self, channels: int, patch_size: int = 4) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv2d(3, channels, patch_size, stride=patch_size)
        self.norm = nn.LayerNorm(channels)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) pixels -> (B, ceil(H / 4), ceil(W / 4), C)."""
        size = self.patch_size
        images = F.pad(images, (0, -images.shape[3] % size, 0, -images.shape[2] % size))
        return self.norm(self.proj(images).permute(0, 2, 3, 1))


class SwinStage(nn.Module):
    """Blocks at one resolution and, but for the last stage, the merging that ends it.

    Args:
        channels: C.
        num_heads: A.
        window_size: S; every second block is shifted by half of it.
        drop_path: One probability per block; their number is the number of blocks.
        merging: Whether there is a :class:`PatchMerging` (called by the backbone).
        block_cfg: Switches of :class:`SwinBlock`.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        window_size: int,
        drop_path: list[float],
        merging: bool,
        **block_cfg,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            SwinBlock(
                channels, num_heads, window_size, i % 2 * (window_size // 2), drop_path=rate, **block_cfg
            )
            for i, rate in enumerate(drop_path)
        )
        self.downsample = PatchMerging(channels) if merging else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C), before the merging."""
        for block in self.blocks:
            x = block(x)
        return x
