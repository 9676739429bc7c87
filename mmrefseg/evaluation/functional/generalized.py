"""Metrics of generalized referring segmentation (gRefCOCO), where an expression may have no target.

Definitions from GRES (Liu, Ding, Jiang, CVPR 2023), section 3.
"""

import math
from typing import NamedTuple

import numpy as np

from .summary import mean


class GeneralizedCounts(NamedTuple):
    """Pixel counts of N expressions with the empty predictions settled.

    Attributes:
        intersections: (N,) int64.
        unions: (N,) int64; without a target, the pixels predicted.
        predicted_empty: (N,) bool, the model says that there is no target.
        no_target: (N,) bool, there is no target.
    """

    intersections: np.ndarray
    unions: np.ndarray
    predicted_empty: np.ndarray
    no_target: np.ndarray


def generalized_counts(
    intersections: np.ndarray,
    prediction_areas: np.ndarray,
    target_areas: np.ndarray,
    predicted_empty: np.ndarray | None = None,
) -> GeneralizedCounts:
    """Settle which predictions are empty.

    Args:
        intersections: (N,) pixel counts.
        prediction_areas: (N,) pixel counts.
        target_areas: (N,) pixel counts; 0 where the expression has no target.
        predicted_empty: (N,) bool, what a no-target classifier says; its "no target" empties the mask.
            Default: where the predicted mask has no pixel.
    """
    areas = np.asarray(prediction_areas, np.int64)
    targets = np.asarray(target_areas, np.int64)
    empty = areas == 0 if predicted_empty is None else np.asarray(predicted_empty, bool)
    intersections = np.where(empty, 0, np.asarray(intersections, np.int64))
    unions = np.where(empty, 0, areas) + targets - intersections
    return GeneralizedCounts(intersections, unions, empty, targets == 0)


def giou(counts: GeneralizedCounts) -> float:
    """gIoU in percent: the mean IoU over expressions; without a target, 1 if predicted empty and else 0."""
    ious = counts.intersections / np.maximum(counts.unions, 1)
    return 100.0 * mean(np.where(counts.no_target, counts.predicted_empty.astype(np.float64), ious))


def ciou(counts: GeneralizedCounts) -> float:
    """cIoU in percent: the sum of intersections over the sum of unions; NaN if all masks are empty."""
    total = int(np.sum(counts.unions))
    return 100.0 * int(np.sum(counts.intersections)) / total if total else math.nan


def n_acc(counts: GeneralizedCounts) -> float:
    """N-acc in percent: the share of no-target expressions predicted empty; NaN if there are none."""
    return 100.0 * mean(counts.predicted_empty[counts.no_target])


def t_acc(counts: GeneralizedCounts) -> float:
    """T-acc in percent: the share of expressions with a target not predicted empty; NaN if there are none."""
    return 100.0 * mean(~counts.predicted_empty[~counts.no_target])


def summarise_generalized(
    intersections: np.ndarray,
    prediction_areas: np.ndarray,
    target_areas: np.ndarray,
    predicted_empty: np.ndarray | None = None,
) -> dict[str, float]:
    """``giou``, ``ciou``, ``n_acc``, ``t_acc`` in percent; arguments as of :func:`generalized_counts`."""
    counts = generalized_counts(intersections, prediction_areas, target_areas, predicted_empty)
    return {'giou': giou(counts), 'ciou': ciou(counts), 'n_acc': n_acc(counts), 't_acc': t_acc(counts)}
