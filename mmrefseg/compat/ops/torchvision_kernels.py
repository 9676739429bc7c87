"""torchvision's compiled kernels, where they really run.

An installed torchvision proves nothing: the wheel on PyPI is built for a
CUDA torch and does not load beside a CPU-only one. So each kernel is called
once on a tiny input before it is trusted.
"""

import functools

import torch
from torch import Tensor


def work_for(tensor: Tensor) -> bool:
    """Whether torchvision's kernels run on this tensor's device and type."""
    return tensor.dtype in (torch.float32, torch.float64) and _work_on(tensor.device.type)


@functools.cache
def _work_on(device_type: str) -> bool:
    try:
        import torchvision  # noqa: F401

        box = torch.tensor([[0.0, 0.0, 2.0, 2.0]], device=device_type)
        roi = torch.tensor([[0.0, 0.0, 0.0, 2.0, 2.0]], device=device_type)
        image = torch.ones(1, 1, 2, 2, device=device_type)
        kept = torch.ops.torchvision.nms(box, box[:, 0], 0.5)
        pooled = torch.ops.torchvision.roi_align(image, roi, 1.0, 1, 1, 1, True)
        gradient = torch.ops.torchvision._roi_align_backward(pooled, roi, 1.0, 1, 1, *image.shape, 1, True)
        return kept.tolist() == [0] and gradient.shape == image.shape
    except Exception:  # a torchvision that does not fit this torch fails in many ways, all of them meaning no
        return False


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """(K,) indices of the kept boxes, highest score first."""
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torch.ops.torchvision.nms(boxes, scores.to(boxes.dtype), iou_threshold)


def roi_align(
    features: Tensor,
    rois: Tensor,
    size: tuple[int, int],
    scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """(R, C, h, w) averages of the bins of each region."""
    return torch.ops.torchvision.roi_align(features, rois, scale, *size, sampling_ratio, aligned)


def roi_align_backward(
    grad: Tensor,
    rois: Tensor,
    shape: torch.Size,
    size: tuple[int, int],
    scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """Gradient with respect to the (B, C, H, W) features."""
    return torch.ops.torchvision._roi_align_backward(
        grad, rois, scale, *size, *shape, sampling_ratio, aligned
    )
