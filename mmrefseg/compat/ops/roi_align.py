"""RoIAlign (He et al., ICCV 2017) with the signatures of ``mmcv._ext.roi_align_forward`` and ``_backward``.

The features are laid out as one row of C channels per pixel. A bin's average
is then a weighted sum of rows, four around each sample, which is what
``embedding_bag`` computes; its gradient is the same sum transposed.

Letters: B pictures, C channels, H x W the feature map, R regions, h x w bins of a region,
u x v samples of a bin.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from . import torchvision_kernels
from .roi_samples import RoISamples, corners, sample_regions

MAX_POOLING = 0
OUTSIDE = -2.0
"""Coordinate for "no sample": beyond the border of -1, from which on a sample weighs nothing."""


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
        rois: (R, 5) picture index and box x1, y1, x2, y2 in picture pixels. With
            ``sampling_ratio=0`` a box without area has no samples and gives zeros.
        output: (R, C, h, w), overwritten.
        argmax_y, argmax_x: As ``output`` for max pooling, else empty; overwritten with the sample that won.
        aligned_height, aligned_width: h and w.
        spatial_scale: Feature pixels per picture pixel.
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
