"""Non-maximum suppression in PyTorch, hard and soft, and the overlaps it is decided by."""

import numpy as np
import torch
from torch import Tensor

from . import torchvision_kernels


def pairwise_iou(boxes1: Tensor, boxes2: Tensor, offset: int) -> Tensor:
    """Intersection over union of every box of one set with every box of another.

    Args:
        boxes1: (M, 4) boxes x1, y1, x2, y2.
        boxes2: (N, 4) boxes.
        offset: 1 if a box from x1 to x2 counts ``x2 - x1 + 1`` pixels (the old convention), else 0.

    Returns:
        (M, N) values in [0, 1]; two boxes without area have 0.
    """
    # coordinate by coordinate: a trailing axis of length 2 would make every pass below several times slower
    left1, top1, right1, bottom1 = boxes1.t().contiguous()[:, :, None]
    left2, top2, right2, bottom2 = boxes2.t().contiguous()
    width = (right1.minimum(right2) - left1.maximum(left2)).add_(offset).clamp_(min=0)
    height = (bottom1.minimum(bottom2) - top1.maximum(top2)).add_(offset).clamp_(min=0)
    area1 = (right1 - left1 + offset) * (bottom1 - top1 + offset)
    area2 = (right2 - left2 + offset) * (bottom2 - top2 + offset)
    intersection = width.mul_(height)
    union = (area1 + area2).sub_(intersection)
    return intersection.div_(union).nan_to_num_(nan=0.0, posinf=0.0)


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


NAIVE, LINEAR, GAUSSIAN = 0, 1, 2


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    *,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Take the best box, lower the scores of those that overlap it, and repeat.

    Of equal scores the box with the lower index is taken first. (The compiled operator moves boxes
    about in its arrays while it works, so that its order among equal scores has no simple rule.)

    Args:
        boxes: (N, 4) boxes x1, y1, x2, y2 on the CPU.
        scores: (N,) scores.
        dets: (N, 5) receives box and lowered score of the K boxes that remain, in the order they were taken.
        iou_threshold: Overlap from which the naive and the linear method lower a score.
        sigma: Width of the Gaussian method.
        min_score: A box whose lowered score is below this is dropped.
        method: What a score is multiplied by: 0 naive, 0; 1 linear, 1 - IoU; 2 Gaussian, exp(-IoU^2 / sigma).
        offset: 0, or 1 for the old convention in which x2 and y2 are inside the box.

    Returns:
        (K,) int64 indices of the boxes written to ``dets``.
    """
    remaining, scores = torch.arange(len(boxes)), scores.clone()
    taken = []
    while remaining.numel():
        # numpy's argmax is the first of equal maxima, torch's is any of them
        best = int(scores.numpy().argmax())
        index = remaining[best]
        dets[len(taken), :4] = boxes[index]
        dets[len(taken), 4] = scores[best]
        taken.append(index)

        others = torch.arange(len(remaining)) != best
        remaining, scores = remaining[others], scores[others]
        overlap = pairwise_iou(boxes[index][None], boxes[remaining], offset)[0]
        scores = scores * _weight(overlap, iou_threshold, sigma, method)
        alive = scores >= min_score
        remaining, scores = remaining[alive], scores[alive]
    return torch.stack(taken) if taken else torch.empty(0, dtype=torch.long)


def _weight(overlap: Tensor, iou_threshold: float, sigma: float, method: int) -> Tensor:
    if method == GAUSSIAN:
        return torch.exp(-(overlap**2) / sigma)
    lowered = torch.zeros_like(overlap) if method == NAIVE else 1 - overlap
    return torch.where(overlap >= iou_threshold, lowered, torch.ones_like(overlap))
