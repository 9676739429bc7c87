"""Swin's window attention with index tables of where each cell of a map lies when it is cut into windows.

With them, partition, shift, padding and their reversal are one indexing each way, padded cells are not
projected, and only the windows at the seam of a shift need a mask.

Letters: B images, H W cells of the map, C channels, A heads, S window side, N = S * S cells of a window,
K windows of an image.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..layers.swin import WindowAttention, cut_windows, shift_regions
from .base import Accelerated, is_inferring

# Of a window. Fewer cells train faster by plain products than by the fused attention, on CPUs.
FEW_CELLS = 64


class IndexedWindows(Accelerated):
    """Of :class:`WindowAttention`, without gradients; position biases are kept, the seam's mask added.

    With gradients, small windows are attended to by products and a softmax.
    """

    accelerates = (WindowAttention,)
    methods = ('forward', 'attend')

    def forward(self, x: Tensor, shift: int = 0) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        if not is_inferring(x):
            return self.plain(x, shift)
        module, (b, h, w, c) = self.module, x.shape
        n = module.window_size**2
        order = window_order(b, h, w, module.window_size, shift, x.device)
        qkv = module.qkv(x).view(b * h * w, 3 * c).index_select(0, order.take)
        if len(order.padded):
            qkv[order.padded] = module.qkv.bias  # the projection of a padded cell, which is zero
        q, key, value = qkv.view(-1, n, 3, module.num_heads, c // module.num_heads).permute(2, 0, 3, 1, 4)
        parts = []
        for kind, part, separated in order.groups:
            bias = self._bias(shift, kind, separated)
            found = F.scaled_dot_product_attention(q[part], key[part], value[part], attn_mask=bias)
            parts.append(found.transpose(1, 2))
        x = (parts[0] if len(parts) == 1 else torch.cat(parts)).reshape(-1, c)
        return module.proj(x.index_select(0, order.back)).view(b, h, w, c)

    def attend(self, x: Tensor, bias: Tensor) -> Tensor:
        """See :meth:`WindowAttention.attend`."""
        module, (b, k, n, c) = self.module, x.shape
        if n > FEW_CELLS or x.device.type != 'cpu' or not torch.is_grad_enabled():
            return self.plain(x, bias, method='attend')
        qkv = module.qkv(x).view(b, k, n, 3, module.num_heads, c // module.num_heads)
        q, key, value = qkv.permute(3, 0, 1, 4, 2, 5)  # each (B, K, A, N, C / A)
        weights = (q * q.shape[-1] ** -0.5 @ key.transpose(-2, -1) + bias).softmax(-1)
        return module.proj((weights @ value).transpose(2, 3).reshape(b, k, n, c))

    def _bias(self, shift: int, kind: int, separated: Tensor | None) -> Tensor:
        """(1, A, N, N)."""
        module = self.module
        table = [module.relative_position_bias_table]
        return self.derived((shift, kind), lambda: module.position_bias(separated), table)


class WindowGroup(NamedTuple):
    """Windows in a row through which the seam of the shift runs in the same way.

    Attributes:
        kind: 0 without a seam, 1 with one from top to bottom, 2 from left to right, 3 with both.
        windows: Which of the K * B.
        separated: (N, N) bool, pairs of cells that are no neighbours in the image; ``None`` without a seam.
    """

    kind: int
    windows: slice
    separated: Tensor | None


class WindowOrder(NamedTuple):
    """Index tables of a map.

    Attributes:
        take: (K * B * N,) the cell of the B * H * W at each place of the windows, 0 where there is padding.
        padded: The places that are padding.
        back: (B * H * W,) the place of each cell.
        groups: Of the windows, in their order.
    """

    take: Tensor
    padded: Tensor
    back: Tensor
    groups: tuple[WindowGroup, ...]


@lru_cache(maxsize=64)
def window_order(
    number: int, height: int, width: int, size: int, shift: int, device: torch.device
) -> WindowOrder:
    """The tables of B maps of H x W cells, cut into windows that begin at ``-shift``.

    Args:
        number: B.
        height: H.
        width: W.
        size: S.
        shift: Cells by which windows are shifted.
        device: Of the tables.
    """
    cells = torch.arange(height * width, device=device).view(height, width)
    cells = F.pad(cells, (0, -width % size, 0, -height % size), value=-1).roll((-shift, -shift), (0, 1))
    rows, columns = cells.shape[0] // size, cells.shape[1] // size
    windows = cut_windows(cells[None, :, :, None], size)[0, ..., 0]  # (K, N)
    groups = (WindowGroup(0, slice(None), None),)
    if shift:
        at = torch.arange(rows * columns, device=device)
        # 0 inside, 1 at the right edge, 2 at the bottom, 3 in the corner
        kind = (at % columns == columns - 1).long() + 2 * (at // columns == rows - 1).long()
        order = kind.argsort(stable=True)
        windows = windows[order]
        regions = shift_regions(rows, columns, size, shift, device)[order]
        groups = _group(kind[order], regions, number)
    images = torch.arange(number, device=device)[:, None] * (height * width)
    take = torch.where(windows[:, None] < 0, -1, windows[:, None] + images).flatten()
    real = (take >= 0).nonzero()[:, 0]
    back = torch.empty(number * height * width, dtype=torch.long, device=device)
    back[take[real]] = real
    return WindowOrder(take.clamp(min=0), (take < 0).nonzero()[:, 0], back, groups)


def _group(kind: Tensor, regions: Tensor, number: int) -> tuple[WindowGroup, ...]:
    groups, start = [], 0
    kinds, counts = kind.unique_consecutive(return_counts=True)
    for value, count in zip(kinds.tolist(), counts.tolist(), strict=True):
        region = regions[start]
        separated = region[:, None] != region if value else None
        groups.append(WindowGroup(value, slice(start * number, (start + count) * number), separated))
        start += count
    return tuple(groups)
