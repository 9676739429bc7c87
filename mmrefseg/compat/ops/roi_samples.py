"""Where RoIAlign samples a feature map, and with which pixels and weights.

Letters: H x W the feature map, R regions, r of them in one part, h x w bins of a region,
u x v samples of a bin.
"""

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor

MAX_ENTRIES = 2**22
"""Pixels and weights that one part may hold: 50 MB of indices and weights."""


@dataclasses.dataclass
class RoISamples:
    """The samples of some regions that all have the same number of samples in a bin."""

    regions: Tensor
    """(r,) which regions these are."""
    size: tuple[int, int]
    """(h, w) bins."""
    grid: tuple[int, int]
    """(u, v) samples of a bin."""
    y: Tensor
    """(r, h, u) vertical position of the samples, in feature pixels."""
    x: Tensor
    """(r, w, v) horizontal position."""
    offset: Tensor
    """(r,) row number of the first pixel of the region's picture."""
    height: int
    width: int

    def samples(self) -> tuple[Tensor, Tensor]:
        """Pixels and bilinear weights of each sample, both (r*h*w*u*v, 4)."""
        index, weight = self._entries()
        return index.flatten(0, 4).flatten(1), weight.flatten(0, 4).flatten(1)

    def bins(self) -> tuple[Tensor, Tensor]:
        """Pixels and weights of each bin's mean, both (r*h*w, u*v*4)."""
        index, weight = self._entries()
        count = self.grid[0] * self.grid[1]
        return index.flatten(0, 2).flatten(1), weight.flatten(0, 2).flatten(1) / count

    def _entries(self) -> tuple[Tensor, Tensor]:
        """Pixels and weights (r, h, w, u, v, 2, 2): each sample lies between two rows and two columns."""
        row, row_weight = corners(self.y, self.height)  # (r, h, u, 2)
        column, column_weight = corners(self.x, self.width)  # (r, w, v, 2)
        row = self.offset[:, None, None, None] + row * self.width
        index = row[:, :, None, :, None, :, None] + column[:, None, :, None, :, None, :]
        weight = row_weight[:, :, None, :, None, :, None] * column_weight[:, None, :, None, :, None, :]
        return index, weight


def corners(position: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """The two pixels of an axis that a position lies between, and their weights.

    A position up to one pixel outside takes the pixel at the border; beyond that it weighs nothing.

    Args:
        position: (...) coordinates on an axis where pixel i lies at i.
        length: Number of pixels of the axis.

    Returns:
        (..., 2) int64 pixels and (..., 2) weights.
    """
    inside = (position >= -1) & (position <= length)
    position = position.clamp(0, length - 1)
    low = position.floor()
    high = (low + 1).clamp(max=length - 1)
    fraction = position - low
    weight = torch.stack([1 - fraction, fraction], dim=-1) * inside[..., None]
    return torch.stack([low, high], dim=-1).long(), weight


def sample_regions(
    rois: Tensor,
    shape: torch.Size,
    size: tuple[int, int],
    scale: float,
    sampling_ratio: int,
    aligned: bool,
    dtype: torch.dtype,
) -> Iterator[RoISamples]:
    """Lay the sample grid over each region; regions with equally fine grids come together.

    Args:
        rois: (R, 5) picture index and box x1, y1, x2, y2 in picture pixels.
        shape: (B, C, H, W) of the feature map.
        size: (h, w) bins.
        scale: Feature pixels per picture pixel.
        sampling_ratio: Samples per bin and axis, or 0 for as many as the bin has pixels, rounded up.
        aligned: See ``roi_align_forward``.
        dtype: Type to compute positions in.

    Yields:
        Parts of at most ``MAX_ENTRIES`` pixels; regions without area (an empty grid) are left out.
    """
    height, width = shape[-2:]
    boxes = rois[:, 1:].to(dtype) * scale - (0.5 if aligned else 0.0)
    start = boxes[:, [1, 0]]  # y, x
    extent = boxes[:, [3, 2]] - start
    if not aligned:
        extent = extent.clamp(min=1)
    bin_size = extent / extent.new_tensor(size)
    grids = torch.full_like(bin_size, sampling_ratio) if sampling_ratio > 0 else bin_size.ceil()
    offset = rois[:, 0].long() * (height * width)
    for grid, regions in _group(grids.long()):
        per_region = 4 * size[0] * size[1] * grid[0] * grid[1]
        for chunk in regions.split(max(1, MAX_ENTRIES // per_region)):
            y, x = (
                _positions(start[chunk, axis], bin_size[chunk, axis], size[axis], grid[axis])
                for axis in (0, 1)
            )
            yield RoISamples(chunk, size, grid, y, x, offset[chunk], height, width)


def _group(grids: Tensor) -> Iterator[tuple[tuple[int, int], Tensor]]:
    """Regions by the number of their samples per bin, those without samples left out."""
    if not len(grids):
        return
    kinds, kind = grids.unique(dim=0, return_inverse=True)
    for number, (u, v) in enumerate(kinds.tolist()):
        if u > 0 and v > 0:
            yield (u, v), (kind == number).nonzero()[:, 0]


def _positions(start: Tensor, bin_size: Tensor, bins: int, samples: int) -> Tensor:
    """(r, bins, samples) positions: the middles of equal parts of each bin."""
    number = torch.arange(bins, dtype=start.dtype, device=start.device)[:, None]
    part = (torch.arange(samples, dtype=start.dtype, device=start.device) + 0.5) / samples
    return start[:, None, None] + (number + part) * bin_size[:, None, None]
