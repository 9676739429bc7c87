"""The Swin transformer's blocks (Liu et al., ICCV 2021) on maps of any size.

Letters: B pictures, H W cells of the map, C channels, A heads, S window side, N = S * S cells of a window,
K windows of a picture. Parameters have the names of the published ImageNet weights.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from ..acceleration.fast_linear import FastLinear
from ..acceleration.window_order import shift_regions, window_order


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows, with a learned bias per relative position.

    Args:
        channels: C.
        num_heads: A.
        window_size: S, in cells.
        fused: Use torch's fused attention where there is one; otherwise products and softmax one by one.
            Without gradients, also cut and shift windows by index tables, and project no padded cell.
        cache_bias: In evaluation without gradients, keep the bias of each head (with the shift's mask added)
            between calls. It is dropped by :meth:`train` and :meth:`eval`, by moving, casting or loading.
    """

    def __init__(
        self, channels: int, num_heads: int, window_size: int, fused: bool = True, cache_bias: bool = True
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window_size = window_size
        self.fused = fused
        self.cache_bias = cache_bias
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window_size - 1) ** 2, num_heads))
        self.qkv = FastLinear(channels, 3 * channels)
        self.proj = FastLinear(channels, channels)
        self.register_buffer('index', relative_position_index(window_size), persistent=False)
        self._cache: dict = {}
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def train(self, mode: bool = True) -> 'WindowAttention':
        """Set the mode, and forget cached biases: weights may have changed in between."""
        self._cache.clear()
        return super().train(mode)

    def forward(self, x: Tensor, shift: int = 0) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C); windows start at -shift and what wraps around does not mix.

        Maps that are no multiple of S are padded with zeros at the right and bottom; as in the published
        models, padded cells are attended to.
        """
        if self.fused and not torch.is_grad_enabled():
            return self._gather(x, shift)
        b, h, w, c = x.shape
        s = self.window_size
        x = F.pad(x, (0, 0, 0, -w % s, 0, -h % s))
        rows, columns = x.shape[1] // s, x.shape[2] // s
        if shift:
            x = torch.roll(x, (-shift, -shift), (1, 2))
        x = x.view(b, rows, s, columns, s, c).transpose(2, 3).reshape(b, rows * columns, s * s, c)
        x = self._attend(x, self._bias(rows, columns, shift))
        x = x.view(b, rows, columns, s, s, c).transpose(2, 3).reshape(b, rows * s, columns * s, c)
        if shift:
            x = torch.roll(x, (shift, shift), (1, 2))
        return x[:, :h, :w]

    def _gather(self, x: Tensor, shift: int) -> Tensor:
        """:meth:`forward` by index tables."""
        b, h, w, c = x.shape
        n = self.window_size**2
        order = window_order(b, h, w, self.window_size, shift, x.device)
        qkv = self.qkv(x).view(b * h * w, 3 * c).index_select(0, order.take)
        if len(order.padded):
            qkv[order.padded] = self.qkv.bias  # the projection of a padded cell, which is zero
        q, key, value = qkv.view(-1, n, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        parts = []
        for kind, part, separated in order.groups:
            bias = self._cached((shift, kind), self._make_bias, separated)
            found = F.scaled_dot_product_attention(q[part], key[part], value[part], attn_mask=bias)
            parts.append(found.transpose(1, 2))
        x = (parts[0] if len(parts) == 1 else torch.cat(parts)).reshape(-1, c)
        return self.proj(x.index_select(0, order.back)).view(b, h, w, c)

    def _attend(self, x: Tensor, bias: Tensor) -> Tensor:
        """Windows (B, K, N, C) and bias (1 or K, A, N, N) -> (B, K, N, C)."""
        b, k, n, c = x.shape
        qkv = self.qkv(x).view(b, k, n, 3, self.num_heads, c // self.num_heads)
        q, key, value = qkv.permute(3, 0, 1, 4, 2, 5).flatten(2, 3)  # each (B, K * A, N, C / A)
        if len(bias) == 1:
            # one window bias for all: windows are as good as pictures
            q, key, value = (item.reshape(b * k, self.num_heads, n, -1) for item in (q, key, value))
        bias = bias.reshape(1, -1, n, n)
        if self.fused:
            x = F.scaled_dot_product_attention(q, key, value, attn_mask=bias)
        else:
            logits = q * q.shape[-1] ** -0.5 @ key.transpose(-2, -1) + bias
            x = logits.softmax(-1) @ value
        x = x.reshape(b, k, self.num_heads, n, -1).transpose(2, 3).reshape(b, k, n, c)
        return self.proj(x)

    def _bias(self, rows: int, columns: int, shift: int) -> Tensor:
        """(1, A, N, N), or with a shift (K, A, N, N)."""
        if not shift:
            return self._cached((0, 0), self._make_bias)  # as in :meth:`_gather`
        return self._cached((rows, columns, shift), self._make_shifted_bias, rows, columns, shift)

    def _cached(self, key: tuple, make: Callable[..., Tensor], *args) -> Tensor:
        """``make(*args)``, kept in evaluation without gradients as long as the table is the same."""
        if not self.cache_bias or self.training or torch.is_grad_enabled():
            return make(*args)
        table = self.relative_position_bias_table
        state = (table.data_ptr(), table._version, table.dtype, table.device)
        if self._cache.get('state') != state:
            self._cache.clear()
            self._cache['state'] = state
        if key not in self._cache:
            self._cache[key] = make(*args)
        return self._cache[key]

    def _make_bias(self, separated: Tensor | None = None) -> Tensor:
        """(1, A, N, N), or with pairs to keep apart (K, N, N) or (N, N) one for each K or one.

        The original adds -100 to the logits of those; ours does the same, so that published weights give the
        same numbers.
        """
        table = self.relative_position_bias_table
        bias = table[self.index.flatten()].view(*self.index.shape, -1).permute(2, 0, 1)[None]
        if separated is None:
            return bias.contiguous()
        return bias + separated.unsqueeze(-3).to(table.dtype) * -100.0

    def _make_shifted_bias(self, rows: int, columns: int, shift: int) -> Tensor:
        device = self.relative_position_bias_table.device
        return self._make_bias(separated_by_shift(rows, columns, self.window_size, shift, device))


def relative_position_index(window_size: int) -> Tensor:
    """(N, N) rows of the bias table: (dy + S - 1) * (2 S - 1) + dx + S - 1 of each pair of cells."""
    cells = torch.arange(window_size)
    y, x = (grid.flatten() for grid in torch.meshgrid(cells, cells, indexing='ij'))
    last = window_size - 1
    return (y[:, None] - y + last) * (2 * window_size - 1) + x[:, None] - x + last


def separated_by_shift(rows: int, columns: int, size: int, shift: int, device: torch.device) -> Tensor:
    """(K, N, N) bool: pairs of cells of a shifted window that are no neighbours in the picture."""
    region = shift_regions(rows, columns, size, shift, device)
    return region[:, :, None] != region[:, None, :]


class FeedForward(nn.Module):
    """Linear, GELU, linear.

    Args:
        channels: C.
        hidden_channels: Between the two.
    """

    def __init__(self, channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.fc1 = FastLinear(channels, hidden_channels)
        self.fc2 = FastLinear(hidden_channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.fc1(x, gelu=True))


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
        attention_cfg: Switches of :class:`WindowAttention`.
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
        **attention_cfg,
    ) -> None:
        super().__init__()
        self.shift = shift
        self.shift_single_window = shift_single_window
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, num_heads, window_size, **attention_cfg)
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
        self.reduction = FastLinear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, ceil(H / 2), ceil(W / 2), 2 C)."""
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        b, h, w, c = x.shape
        # the published order: top left, bottom left, top right, bottom right
        x = x.view(b, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 4, 2, 5).reshape(b, h // 2, w // 2, 4 * c)
        return self.reduction(self.norm(x))


class PatchEmbed(nn.Module):
    """Pictures to cells of 4 x 4 pixels.

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


class ConvStem(nn.Module):
    """Pictures to cells of 4 x 4 pixels by overlapping convolutions, and where each cell is.

    For training from scratch on little data: convolutions find edges and colours sooner than patches do
    (Xiao et al., NeurIPS 2021), and Swin on its own hardly knows left from right.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(3, channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        self.position = nn.Linear(4, channels, bias=False)
        self.norm = nn.LayerNorm(channels)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) pixels -> (B, ceil(H / 4), ceil(W / 4), C)."""
        x = self.convs(images).permute(0, 2, 3, 1)
        y, column = (torch.linspace(-1, 1, n, dtype=x.dtype, device=x.device) for n in x.shape[1:3])
        y, column = torch.meshgrid(y, column, indexing='ij')
        return self.norm(x + self.position(torch.stack([column, y, column.abs(), y.abs()], -1)))


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
