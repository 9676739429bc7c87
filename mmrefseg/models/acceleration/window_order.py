"""Where each cell of a map lies when the map is cut into windows, as index tables.

With them, partition, shift, padding and their reversal are one indexing each way.

Letters: B pictures, H W cells of the map, S window side, N = S * S cells of a window, K windows of a picture.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class WindowGroup(NamedTuple):
    """Windows in a row through which the seam of the shift runs in the same way.

    Attributes:
        kind: 0 without a seam, 1 with one from top to bottom, 2 from left to right, 3 with both.
        windows: Which of the K * B.
        separated: (N, N) bool, pairs of cells that are no neighbours in the picture; ``None`` without a seam.
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


def into_windows(x: Tensor, size: int) -> Tensor:
    """(H, W) -> (K, N), H and W multiples of ``size``."""
    rows, columns = x.shape[0] // size, x.shape[1] // size
    return x.view(rows, size, columns, size).transpose(1, 2).reshape(rows * columns, size * size)


def shift_regions(rows: int, columns: int, size: int, shift: int, device: torch.device) -> Tensor:
    """(K, N) number of the part of the picture that each cell of a shifted map comes from."""

    def band(count: int) -> Tensor:
        """0 before the last window, 1 and 2 on its two sides of the seam."""
        position = torch.arange(count * size, device=device)
        return (position >= (count - 1) * size).long() + (position >= count * size - shift).long()

    return into_windows(3 * band(rows)[:, None] + band(columns), size)


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
    windows = into_windows(cells, size)
    groups = (WindowGroup(0, slice(None), None),)
    if shift:
        at = torch.arange(rows * columns, device=device)
        # 0 inside, 1 at the right edge, 2 at the bottom, 3 in the corner
        kind = (at % columns == columns - 1).long() + 2 * (at // columns == rows - 1).long()
        order = kind.argsort(stable=True)
        windows = windows[order]
        regions = shift_regions(rows, columns, size, shift, device)[order]
        groups = _group(kind[order], regions, number)
    pictures = torch.arange(number, device=device)[:, None] * (height * width)
    take = torch.where(windows[:, None] < 0, -1, windows[:, None] + pictures).flatten()
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
