"""Non-maximum suppression with the signature of ``mmcv._ext.nms``."""

import numpy as np
import torch
from torch import Tensor

from . import torchvision_kernels
from .overlaps import pairwise_iou

BLOCK = 256
"""Boxes that are decided together: enough to vectorise, few enough that their overlaps stay small."""


def nms(boxes: Tensor, scores: Tensor, *, iou_threshold: float, offset: int) -> Tensor:
    """Keep the boxes that no kept box of a higher score overlaps by more than the threshold.

    Args:
        boxes: (N, 4) boxes x1, y1, x2, y2.
        scores: (N,) scores. Of equal scores the box with the lower index comes first.
        iou_threshold: A box goes if its overlap with a kept one is above this.
        offset: 0, or 1 for the old convention in which x2 and y2 are inside the box.

    Returns:
        (K,) int64 indices of the kept boxes, highest score first.
    """
    if boxes.numel() == 0:
        return boxes.new_empty(0, dtype=torch.long)
    if torchvision_kernels.work_for(boxes):
        return torchvision_kernels.nms(boxes, scores, iou_threshold, offset)
    if boxes.dtype in (torch.half, torch.bfloat16):
        boxes = boxes.float()
    order = scores.sort(descending=True, stable=True).indices
    boxes = boxes[order]
    kept, rest = [], torch.arange(len(boxes), device=boxes.device)
    while rest.numel():
        block, rest = rest[:BLOCK], rest[BLOCK:]
        suppresses = pairwise_iou(boxes[block], boxes[block], offset) > iou_threshold
        block = block[_first_come(suppresses)]
        suppressed = (pairwise_iou(boxes[block], boxes[rest], offset) > iou_threshold).any(dim=0)
        rest = rest[~suppressed]
        kept.append(block)
    return order[torch.cat(kept)]


def _first_come(suppresses: Tensor) -> Tensor:
    """Which of N boxes, best first, survive, given who would suppress whom (N, N)."""
    matrix = suppresses.cpu().numpy()
    alive = np.ones(len(matrix), dtype=bool)
    for row in range(len(matrix)):
        if alive[row]:
            alive[row + 1 :] &= ~matrix[row, row + 1 :]
    return torch.from_numpy(alive).to(suppresses.device)
