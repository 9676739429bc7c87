"""RoIAlign (He et al., ICCV 2017) with the signatures of ``mmcv._ext.roi_align_forward`` and ``_backward``.

The features are laid out as one row of C channels per pixel. A bin's average
is then a weighted sum of rows, four around each sample, which is what
``embedding_bag`` computes; its gradient is the same sum transposed.

Letters: B images, C channels, H x W the feature map, R regions, h x w bins of a region,
u x v samples of a bin.
"""

import dataclasses
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from . import torchvision_kernels

MAX_POOLING = 0
OUTSIDE = -2.0
"""Coordinate for "no sample": beyond the border of -1, from which on a sample weighs nothing."""


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
    """(r,) row number of the first pixel of the region's image."""
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
        rois: (R, 5) image index and box x1, y1, x2, y2 in image pixels.
        shape: (B, C, H, W) of the feature map.
        size: (h, w) bins.
        scale: Feature pixels per image pixel.
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


def roi_align_forward(
    features: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Pool each region of a feature map to a fixed size.

    Args:
        features: (B, C, H, W).
        rois: (R, 5) image index and box x1, y1, x2, y2 in image pixels. With
            ``sampling_ratio=0`` a box without area has no samples and gives zeros.
        output: (R, C, h, w), overwritten.
        argmax_y, argmax_x: As ``output`` for max pooling, else empty; overwritten with the sample that won.
        aligned_height, aligned_width: h and w.
        spatial_scale: Feature pixels per image pixel.
        sampling_ratio: Samples per bin and axis; 0 for as many as the bin has feature pixels, rounded up.
        pool_mode: 0 for the largest sample of a bin, 1 for their mean.
        aligned: Shift by half a pixel, so that pixel centres are at .5 (detectron2); if False, regions are
            also at least one feature pixel wide (the first version of mmdetection).
    """
    size = (aligned_height, aligned_width)
    if pool_mode != MAX_POOLING and torchvision_kernels.work_for(features):
        output.copy_(
            torchvision_kernels.roi_align(features, rois, size, spatial_scale, sampling_ratio, aligned)
        )
        return
    output.zero_()
    argmax_y.fill_(OUTSIDE)
    argmax_x.fill_(OUTSIDE)
    rows = _rows(features)
    for part in sample_regions(
        rois, features.shape, size, spatial_scale, sampling_ratio, aligned, rows.dtype
    ):
        if pool_mode == MAX_POOLING:
            _pool_max(rows, part, output, argmax_y, argmax_x)
        else:
            index, weight = part.bins()
            pooled = F.embedding_bag(index, rows, mode='sum', per_sample_weights=weight)
            output[part.regions] = _to_map(pooled, part).to(output.dtype)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_features: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """The gradient with respect to the features; arguments as for :func:`roi_align_forward`.

    Args:
        grad_output: (R, C, h, w).
        grad_features: (B, C, H, W), overwritten.
    """
    size, shape = (aligned_height, aligned_width), grad_features.shape
    if pool_mode == MAX_POOLING:
        grad_features.copy_(_max_gradient(grad_output, rois, argmax_y, argmax_x, shape))
        return
    if torchvision_kernels.work_for(grad_output):
        gradient = torchvision_kernels.roi_align_backward(
            grad_output, rois, shape, size, spatial_scale, sampling_ratio, aligned
        )
        grad_features.copy_(gradient)
        return
    batch, channels, height, width = shape
    dtype = _working_dtype(grad_output.dtype)
    rows = grad_output.new_zeros(batch * height * width, channels, dtype=dtype)
    for part in sample_regions(rois, shape, size, spatial_scale, sampling_ratio, aligned, dtype):
        grads = grad_output[part.regions].to(dtype).permute(0, 2, 3, 1).reshape(-1, channels)
        for pixels, sums in _transposed_sums(grads, *part.bins()):
            rows.index_add_(0, pixels, sums)
    grad_features.copy_(rows.view(batch, height, width, channels).permute(0, 3, 1, 2))


def _working_dtype(dtype: torch.dtype) -> torch.dtype:
    """Coordinates need more than the 11 bits of a half."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def _rows(features: Tensor) -> Tensor:
    """(B*H*W, C), one row per pixel."""
    rows = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])
    return rows.to(_working_dtype(features.dtype))


def _to_map(rows: Tensor, part: RoISamples) -> Tensor:
    """(r*h*w, C) to (r, C, h, w)."""
    return rows.view(len(part.regions), *part.size, -1).permute(0, 3, 1, 2)


def _transposed_sums(grads: Tensor, index: Tensor, weight: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """What each pixel gets back from the bins that it took part in.

    Args:
        grads: (bins, C) gradient of each bin.
        index: (bins, K) pixels of each bin.
        weight: (bins, K) their weights.

    Yields:
        The pixels (P,), each once, and their sums (P, C).
    """
    order = index.flatten().argsort()
    pixels, counts = index.flatten()[order].unique_consecutive(return_counts=True)
    starts = counts.cumsum(0) - counts
    bins = order // index.shape[1]
    yield pixels, F.embedding_bag(bins, grads, starts, mode='sum', per_sample_weights=weight.flatten()[order])


def _pool_max(rows: Tensor, part: RoISamples, output: Tensor, argmax_y: Tensor, argmax_x: Tensor) -> None:
    index, weight = part.samples()
    values = F.embedding_bag(index, rows, mode='sum', per_sample_weights=weight)
    r, (h, w), (u, v) = len(part.regions), part.size, part.grid
    best, winner = values.view(r * h * w, u * v, -1).max(dim=1)  # (r*h*w, C)
    output[part.regions] = _to_map(best, part).to(output.dtype)
    # sample u of bin h lies at y[r, h, u]; repeat it over the bins and samples of the other axis
    y = part.y[:, :, None, :, None].expand(r, h, w, u, v).reshape(r * h * w, u * v)
    x = part.x[:, None, :, None, :].expand(r, h, w, u, v).reshape(r * h * w, u * v)
    argmax_y[part.regions] = _to_map(y.gather(1, winner), part).to(argmax_y.dtype)
    argmax_x[part.regions] = _to_map(x.gather(1, winner), part).to(argmax_x.dtype)


def _max_gradient(
    grad: Tensor, rois: Tensor, argmax_y: Tensor, argmax_x: Tensor, shape: torch.Size
) -> Tensor:
    """Give each bin's gradient to the four pixels around the sample that won."""
    batch, channels, height, width = shape
    dtype = _working_dtype(grad.dtype)
    y, y_weight = corners(argmax_y.to(dtype), height)  # (R, C, h, w, 2)
    x, x_weight = corners(argmax_x.to(dtype), width)
    plane = rois[:, 0].long()[:, None] * channels + torch.arange(channels, device=grad.device)
    pixel = y[..., :, None] * width + x[..., None, :]
    index = plane[:, :, None, None, None, None] * (height * width) + pixel
    value = grad.to(dtype)[..., None, None] * y_weight[..., :, None] * x_weight[..., None, :]
    flat = grad.new_zeros(batch * channels * height * width, dtype=dtype)
    return flat.index_add_(0, index.flatten(), value.flatten()).view(shape)
