"""Soft-NMS (Bodla et al., ICCV 2017) with the signature of ``mmcv._ext.softnms``."""

import torch
from torch import Tensor

from .overlaps import pairwise_iou

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
