"""Boxes as data: conversions, and the IoU of pairs."""

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

# No box of an image reaches further, in pixels.
FARTHEST_EDGE = 1e9


def is_box(box: Any) -> bool:
    """Whether a value is a list of four numbers that can be pixels."""
    if not isinstance(box, list | tuple) or len(box) != 4:
        return False
    for value in box:
        kind = type(value)
        # The first two are asked for speed: all numbers of a json file are of them.
        if kind is not float and kind is not int and (kind is bool or not isinstance(value, Real)):
            return False
        # False for NaN, and exact for whole numbers that no float can hold.
        if not -FARTHEST_EDGE <= value <= FARTHEST_EDGE:
            return False
    return True


def xywh_to_xyxy(boxes: np.ndarray) -> np.ndarray:
    """(..., 4) left, top, width, height -> left, top, right, bottom, in float64 pixels."""
    boxes = np.asarray(boxes, np.float64)
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def xyxy_to_xywh(boxes: np.ndarray) -> np.ndarray:
    """(..., 4) left, top, right, bottom -> left, top, width, height, in float64 pixels."""
    boxes = np.asarray(boxes, np.float64)
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def clip_boxes(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Clip xyxy boxes (..., 4) to [0, width - 1] x [0, height - 1], the originals' limits of true boxes."""
    return np.clip(boxes, 0.0, np.array([width - 1, height - 1, width - 1, height - 1], np.float64))


def paired_box_iou(predictions: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """IoU of paired boxes, as mmdet's ``bbox_overlaps(is_aligned=True)`` defines it (no +1 on the lengths).

    Args:
        predictions: (N, 4) xyxy in pixels; a box turned inside out has no area.
        targets: (N, 4) xyxy in pixels.

    Returns:
        (N,) float64 in [0, 1]; 0 where the union is empty.
    """
    predictions = np.asarray(predictions, np.float64).reshape(-1, 4)
    targets = np.asarray(targets, np.float64).reshape(-1, 4)
    if predictions.shape != targets.shape:
        raise ValueError(
            f'found {len(predictions)} predictions for {len(targets)} targets, expected one each'
        )
    low = np.maximum(predictions[:, :2], targets[:, :2])
    high = np.minimum(predictions[:, 2:], targets[:, 2:])
    intersections = np.prod(np.clip(high - low, 0.0, None), axis=1)
    unions = _area(predictions) + _area(targets) - intersections
    return np.divide(intersections, unions, out=np.zeros_like(unions), where=unions > 0)


def _area(boxes: np.ndarray) -> np.ndarray:
    return np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0.0, None), axis=1)


def box_union(boxes: Sequence[Sequence[float]]) -> list[float]:
    """The smallest [x, y, width, height] around some boxes of that form."""
    x1, y1 = min(box[0] for box in boxes), min(box[1] for box in boxes)
    x2, y2 = max(box[0] + box[2] for box in boxes), max(box[1] + box[3] for box in boxes)
    # Sums of coordinates with two decimals must not grow more of them.
    return [x1, y1, round(x2 - x1, 6), round(y2 - y1, 6)]
