"""Scores and IoUs -> whether the scores mean something: reliability, calibration error, AUROC, calibration.

A score is calibrated when it is the IoU to expect: masks of score 0.8 have a mean IoU of 0.8.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

BINS = 10
# A calibration has so many knots at most, and masks behind each.
MOST_KNOTS, FEWEST_MASKS = 15, 20
FOLDS = 5


class Reliability(NamedTuple):
    """Masks in bins of equal width by their score.

    Attributes:
        counts: (B,) masks of each bin.
        scores: (B,) their mean score, NaN where there are none.
        ious: (B,) their mean IoU, NaN where there are none.
    """

    counts: np.ndarray
    scores: np.ndarray
    ious: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error (Guo et al., ICML 2017): mean over masks of |mean score - mean IoU|."""
        filled = self.counts > 0
        gaps = np.abs(self.scores[filled] - self.ious[filled])
        return float((gaps * self.counts[filled]).sum() / self.counts.sum())


def reliability(scores: np.ndarray, ious: np.ndarray, bins: int = BINS) -> Reliability:
    """Bin masks by score.

    Args:
        scores: (N,) in [0, 1], N at least 1; a score of 1 is in the last bin.
        ious: (N,) in [0, 1].
        bins: B.

    Raises:
        ValueError: If there are no masks, or a number is outside of [0, 1].
    """
    scores, ious = check_scores(scores, ious)
    # 3 / 10 * 10 is 3: an edge belongs to the bin above it
    place = np.minimum((scores * bins).astype(np.int64), bins - 1)
    counts = np.bincount(place, minlength=bins)
    with np.errstate(invalid='ignore'):
        means = [np.bincount(place, values, bins) / counts for values in (scores, ious)]
    return Reliability(counts, *means)


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve: how often a positive's score is above a negative's, ties counting half.

    Args:
        scores: (N,).
        positive: (N,) bool.

    Returns:
        In [0, 1], 0.5 by chance; NaN where all or none are positive.
    """
    scores, positive = np.asarray(scores, np.float64), np.asarray(positive, bool)
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]  # ties share their mean rank
    above = int(positive.sum())
    below = len(positive) - above
    if not above or not below:
        return float('nan')
    return float((ranks[positive].sum() - above * (above + 1) / 2) / (above * below))


class Calibration(NamedTuple):
    """A rising map from scores to the IoUs to expect, linear between its knots.

    Attributes:
        scores: (K,) rising, from 0 to 1.
        ious: (K,) in [0, 1], none below the one before.
    """

    scores: tuple[float, ...]
    ious: tuple[float, ...]

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Scores (N,) in [0, 1] -> IoUs (N,) to expect."""
        return np.interp(np.asarray(scores, np.float64), self.scores, self.ious)

    @property
    def problem(self) -> str | None:
        """Why this is no such map, or None."""
        if len(self.scores) != len(self.ious) or len(self.scores) < 2:
            return f'{len(self.scores)} scores and {len(self.ious)} ious'
        numbers = np.asarray([self.scores, self.ious], np.float64)
        if not np.isfinite(numbers).all() or numbers.min() < 0 or numbers.max() > 1:
            return 'a number outside of 0 to 1'
        if self.scores[0] != 0 or self.scores[-1] != 1 or (np.diff(numbers[0]) <= 0).any():
            return 'scores that do not rise from 0 to 1'
        return 'ious that fall' if (np.diff(numbers[1]) < 0).any() else None


def fit_calibration(scores: np.ndarray, ious: np.ndarray) -> Calibration:
    """The calibration of N masks: isotonic regression of groups of equal numbers, joined by straight lines.

    It goes through (0, 0) and (1, 1), so that no two scores become one and the order stays.

    Raises:
        ValueError: If there are no masks, or a number is outside of [0, 1].
    """
    scores, ious = check_scores(scores, ious)
    order = np.argsort(scores, kind='stable')
    groups = np.array_split(order, np.clip(len(order) // FEWEST_MASKS, 1, MOST_KNOTS))
    blocks: list[tuple[float, float, int]] = []  # mean score, mean IoU, masks
    for group in groups:
        blocks.append((float(scores[group].mean()), float(ious[group].mean()), len(group)))
        while len(blocks) > 1 and (blocks[-1][1] <= blocks[-2][1] or blocks[-1][0] <= blocks[-2][0]):
            (s1, i1, n1), (s2, i2, n2) = blocks[-2:]
            total = n1 + n2
            blocks[-2:] = [((s1 * n1 + s2 * n2) / total, (i1 * n1 + i2 * n2) / total, total)]
    inner = [(score, iou) for score, iou, _ in blocks if 0 < score < 1]
    knots = [(0.0, 0.0), *inner, (1.0, 1.0)]
    return Calibration(*(tuple(values) for values in zip(*knots, strict=True)))


def cross_calibrated(scores: np.ndarray, ious: np.ndarray, groups: Sequence[Hashable]) -> np.ndarray:
    """Scores (N,), each calibrated by the masks of other groups: what calibration does to new masks.

    Args:
        scores: (N,) in [0, 1].
        ious: (N,) in [0, 1].
        groups: N names, of images for instance: masks of one are never on both sides.
    """
    scores, ious = check_scores(scores, ious)
    numbers = {name: number for number, name in enumerate(dict.fromkeys(groups))}
    fold = np.array([numbers[name] for name in groups]) % min(FOLDS, len(numbers))
    result = np.array(scores)
    for held in np.unique(fold) if len(numbers) > 1 else ():
        out = fold == held
        result[out] = fit_calibration(scores[~out], ious[~out])(scores[out])
    return result


def check_scores(scores: np.ndarray, ious: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as (N,) float64.

    Raises:
        ValueError: If there are none, their numbers differ, or one is outside of [0, 1].
    """
    scores, ious = np.asarray(scores, np.float64), np.asarray(ious, np.float64)
    if scores.shape != ious.shape or scores.ndim != 1 or not len(scores):
        raise ValueError(f'found shapes {scores.shape} and {ious.shape}, expected (N,) twice, N at least 1')
    for name, values in (('score', scores), ('IoU', ious)):
        if not ((values >= 0) & (values <= 1)).all():
            raise ValueError(f'found a {name} outside of 0 to 1')
    return scores, ious
