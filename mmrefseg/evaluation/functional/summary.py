"""Pairs of masks -> intersections, unions, IoU; counts and IoUs -> the numbers of a table."""

import math
from collections.abc import Hashable, Sequence

import numpy as np

from ...structures.rle import RLE, areas, intersection_areas

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
    for index, (prediction, target) in enumerate(zip(predictions, targets, strict=True)):
        if list(prediction['size']) != list(target['size']):
            raise ValueError(
                f'pair {index}: found sizes {prediction["size"]} and {target["size"]}, expected one size'
            )
    intersections = intersection_areas(predictions, targets)
    return intersections, areas(predictions) + areas(targets) - intersections


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


IOU_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


def validate_counts(intersections: np.ndarray, unions: np.ndarray) -> None:
    """Raise ValueError unless 0 <= intersection <= union holds for every pair."""
    intersections, unions = np.asarray(intersections), np.asarray(unions)
    if intersections.shape != unions.shape or intersections.ndim != 1:
        raise ValueError(f'found shapes {intersections.shape} and {unions.shape}, expected (N,) twice')
    if (intersections < 0).any() or (intersections > unions).any():
        raise ValueError('found an intersection below 0 or above its union')


def summarise_masks(
    intersections: np.ndarray, unions: np.ndarray, empty_union: str = 'zero'
) -> dict[str, float]:
    """oIoU, mIoU and P@0.5 to P@0.9 of N pairs of masks.

    Args:
        intersections: (N,) pixel counts.
        unions: (N,) pixel counts.
        empty_union: See :func:`iou_of_counts`.

    Returns:
        Percent: ``oiou`` (sum of intersections over sum of unions), ``miou`` (mean IoU), ``p50`` ...
            ``p90`` (share of
        pairs with IoU >= 0.5 ... 0.9; counts, so exact). NaN where N is 0.
    """
    validate_counts(intersections, unions)
    ious = iou_of_counts(intersections, unions, empty_union)
    total = int(np.sum(unions))
    if not len(ious):
        oiou = math.nan
    elif total:
        oiou = 100.0 * int(np.sum(intersections)) / total
    else:
        oiou = 100.0 * float(ious[0])
    return {'oiou': oiou, 'miou': 100.0 * mean(ious), **precision_at(ious)}


def summarise_boxes(ious: np.ndarray) -> dict[str, float]:
    """``acc50`` (share of boxes with IoU >= 0.5) and ``box_miou`` (mean IoU) in percent."""
    return {'acc50': 100.0 * mean(np.asarray(ious) >= 0.5), 'box_miou': 100.0 * mean(ious)}


def precision_at(ious: np.ndarray) -> dict[str, float]:
    """``p50`` ... ``p90``: the share of ``ious`` (N,) at or above each threshold, in percent."""
    # A quotient of two pixel counts that equals k / 10 is rounded to the same float as the literal k / 10,
    # and one that differs does so by far more than a rounding error: >= on floats is exact here.
    return {f'p{round(100 * t)}': 100.0 * mean(np.asarray(ious) >= t) for t in IOU_THRESHOLDS}


def mean(values: Sequence[float] | np.ndarray) -> float:
    """The mean, summed without rounding error so that no order of ``values`` changes it; NaN if none."""
    return math.fsum(np.asarray(values, np.float64).tolist()) / len(values) if len(values) else math.nan


def mean_of_batch_means(values: np.ndarray, batches: Sequence[Hashable]) -> float:
    """What SeqTR and Partial-RES report for P@X and Acc@0.5: the mean over batches of each batch's mean.

    The last, smaller batch weighs as much as the others.

    Args:
        values: (N,).
        batches: N names of batches.
    """
    of_batch: dict[Hashable, list[float]] = {}
    for value, batch in zip(values, batches, strict=True):
        of_batch.setdefault(batch, []).append(float(value))
    return mean([mean(members) for members in of_batch.values()])


def summarise_legacy(
    intersections: np.ndarray, unions: np.ndarray, legacy_ious: np.ndarray, batches: Sequence[Hashable]
) -> dict[str, float]:
    """:func:`summarise_masks` with the originals' habits, in percent.

    ``miou`` is the mean of ``legacy_ious`` (:func:`legacy_iou_of_counts`), ``p50`` ... ``p90`` are means of
    batch means of them. The originals have no oIoU: ``oiou`` is the true one.
    """
    summary = summarise_masks(intersections, unions)
    summary['miou'] = 100.0 * mean(legacy_ious)
    for threshold in IOU_THRESHOLDS:
        summary[f'p{round(100 * threshold)}'] = 100.0 * mean_of_batch_means(
            np.asarray(legacy_ious) >= threshold, batches
        )
    return summary
