"""Overlap of axis-aligned boxes, shared by the suppression operators."""

from torch import Tensor


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
