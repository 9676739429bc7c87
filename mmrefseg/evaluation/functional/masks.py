"""Pairs of masks -> intersections, unions, IoU."""

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

from ...structures.rle import RLE

EMPTY_UNION = {'zero': 0.0, 'one': 1.0}


def intersection_and_union(
    predictions: Sequence[RLE], targets: Sequence[RLE]
) -> tuple[np.ndarray, np.ndarray]:
    """Pixel counts of paired masks, from their runs: nothing is decoded.

    Args:
        predictions: N RLEs.
        targets: N RLEs, each of its prediction's size.

    Returns:
        Intersections and unions, each (N,) int64.

    Raises:
        ValueError: If the numbers or the sizes of masks differ.
    """
    if len(predictions) != len(targets):
        raise ValueError(
            f'found {len(predictions)} predictions for {len(targets)} targets, expected one each'
        )
    intersections = np.zeros(len(predictions), np.int64)
    unions = np.zeros(len(predictions), np.int64)
    for index, (prediction, target) in enumerate(zip(predictions, targets, strict=True)):
        if list(prediction['size']) != list(target['size']):
            raise ValueError(
                f'pair {index}: found sizes {prediction["size"]} and {target["size"]}, expected one size'
            )
        areas = coco_mask.area([prediction, target]).astype(np.int64)
        intersections[index] = coco_mask.area(coco_mask.merge([prediction, target], intersect=True))
        unions[index] = areas.sum() - intersections[index]
    return intersections, unions


def iou_of_counts(intersections: np.ndarray, unions: np.ndarray, empty_union: str = 'zero') -> np.ndarray:
    """Intersection over union, (N,) float64 in [0, 1].

    Args:
        intersections: (N,) pixel counts.
        unions: (N,) pixel counts.
        empty_union: What two empty masks score: ``'zero'`` (LAVT's convention, as an expression always has
            a referent) or ``'one'`` (both agree that there is nothing).
    """
    intersections = np.asarray(intersections, np.float64)
    unions = np.asarray(unions, np.float64)
    empty = unions == 0
    ious = intersections / np.where(empty, 1.0, unions)
    return np.where(empty, EMPTY_UNION[empty_union], ious)


def legacy_iou_of_counts(
    intersections: np.ndarray, unions: np.ndarray, prediction_areas: np.ndarray, crowd: np.ndarray
) -> np.ndarray:
    """What SeqTR's and Partial-RES's ``mask_overlaps`` calls IoU, (N,) float64.

    They hand a target of several polygons to pycocotools as ``iscrowd``, which divides the intersection by
    the area of the *prediction*: on such objects a mask that covers one part perfectly scores 1.

    Args:
        intersections: (N,) pixel counts.
        unions: (N,) pixel counts.
        prediction_areas: (N,) pixel counts.
        crowd: (N,) bool, true where the target has more than one polygon.
    """
    below = np.where(np.asarray(crowd, bool), prediction_areas, unions)
    return iou_of_counts(intersections, below)
