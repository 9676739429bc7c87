"""One object's predictions -> the mask to keep, and how good it looks without knowing the truth."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

import numpy as np

from ..datasets.predicted_pairs import Checkpoint
from ..structures.masks import to_rle
from ..structures.polygons import points_problem
from ..structures.rle import RLE, areas, decode_runs, ious, vote
from ..utils import UserInputError
from ..utils.errors import short
from .projection import WORST, projection_term, projection_terms


class Candidate(NamedTuple):
    """One expression's predicted mask.

    Attributes:
        rle: The mask in the original frame; None in what is only kept for a report.
        term: RPP score against the true box, in [0, 2], 2 for an empty mask.
        score: The model's confidence in [0, 1] (sequence probability), NaN if the prediction has none.
        agreement: Mean IoU with the masks of the object's other expressions, in [0, 1]; 1 if it is alone.
        empty: Whether the mask has no pixel.
        expression: The sentence, or None.
        source: What predicted it.
        points: The contour it was drawn from, x, y, x, y, ... in pixels, or None.
    """

    rle: RLE | None
    term: float
    score: float
    agreement: float
    empty: bool
    expression: str | Sequence[str] | None
    source: Checkpoint
    points: Sequence[float] | None = None


class Strategy(NamedTuple):
    """How masks are judged.

    Attributes:
        value: The number compared with the threshold.
        quality: The number that ranks candidates and is kept as ``mask_score``: in [0, 1], higher is better.
        threshold: The default threshold, None for no comparison.
        lower_is_better: Whether ``value`` must be below the threshold, or at or above it.
        limits: The range of ``value``.
    """

    value: Callable[[Candidate], float]
    quality: Callable[[Candidate], float]
    threshold: float | None
    lower_is_better: bool
    limits: tuple[float, float]

    def accepts(self, candidate: Candidate, threshold: float | None, agreement_threshold: float) -> bool:
        """Whether the mask is kept. An empty mask never is."""
        if candidate.empty:
            return False
        if threshold is None:
            return True
        if self is STRATEGIES['rpp+agreement'] and candidate.agreement < agreement_threshold:
            return False
        value = self.value(candidate)
        return value < threshold if self.lower_is_better else value >= threshold


def _rpp_quality(candidate: Candidate) -> float:
    return 1.0 - candidate.term / WORST


def _score(candidate: Candidate) -> float:
    return candidate.score


def _agreement(candidate: Candidate) -> float:
    return candidate.agreement


def _term(candidate: Candidate) -> float:
    return candidate.term


def _joint_quality(candidate: Candidate) -> float:
    return _rpp_quality(candidate) * candidate.agreement


STRATEGIES = {
    'rpp': Strategy(_term, _rpp_quality, 0.1, True, (0.0, WORST)),
    'score': Strategy(_score, _score, 0.5, False, (0.0, 1.0)),
    'agreement': Strategy(_agreement, _agreement, 0.7, False, (0.0, 1.0)),
    'rpp+agreement': Strategy(_term, _joint_quality, 0.1, True, (0.0, WORST)),
    'all': Strategy(_score, _score, None, False, (0.0, 1.0)),
}
AGREEMENT_THRESHOLD = 0.7


def judge(records: Sequence[dict], predictions: Sequence[Sequence[dict]]) -> list[list[Candidate]]:
    """Judge the predictions of several objects, all their masks at once.

    Args:
        records: The objects: ``ref_id, height, width, bbox`` (the true box x, y, w, h in pixels).
        predictions: For each object, ``{"ref_id", "sent_id", "segmentation", "score"?, "expression"?,
            "checkpoint"?, "checkpoint_sha256"?, "points"?}`` in a fixed order.

    Returns:
        For each object, a candidate per prediction.

    Raises:
        UserInputError: If a mask is missing, of another size than the image, or not an RLE or polygons.
    """
    masks = [
        [_read_mask(prediction, int(record['height']), int(record['width'])) for prediction in of_object]
        for record, of_object in zip(records, predictions, strict=True)
    ]
    owner = np.repeat(np.arange(len(records)), [len(of_object) for of_object in masks])
    if not len(owner):
        return [[] for _ in records]
    heights, widths, boxes = (
        np.asarray([record[key] for record in records])[owner] for key in ('height', 'width', 'bbox')
    )
    heights, widths = heights.astype(np.int64), widths.astype(np.int64)
    runs = decode_runs([rle['counts'] for of_object in masks for rle in of_object], heights * widths)
    if runs is None:
        _raise_for_broken(records, predictions)
    terms = iter(projection_terms(runs, boxes, heights, widths).tolist())
    covered = iter(runs.areas(len(owner)).tolist())
    return [
        [
            Candidate(
                rle,
                next(terms),
                _read_score(prediction),
                agreed,
                next(covered) == 0,
                _read_expression(prediction),
                Checkpoint.of_record(prediction),
                _read_points(prediction),
            )
            for prediction, rle, agreed in zip(of_object, rles, agreement(rles), strict=True)
        ]
        for of_object, rles in zip(predictions, masks, strict=True)
    ]


def _raise_for_broken(records: Sequence[dict], predictions: Sequence[Sequence[dict]]) -> NoReturn:
    for record, of_object in zip(records, predictions, strict=True):
        for prediction in of_object:
            to_rle(prediction['segmentation'], int(record['height']), int(record['width']), _name(prediction))
    raise RuntimeError('found runs that decode one by one but not together, expected the same')


def agreement(masks: Sequence[RLE]) -> list[float]:
    """Mean IoU of each mask with all others; 1 for a mask that is alone, 0 with an empty one."""
    if len(masks) < 2:
        return [1.0] * len(masks)
    of_pairs = ious(masks, masks)
    return ((of_pairs.sum(axis=1) - np.diagonal(of_pairs)) / (len(masks) - 1)).tolist()


def choose_best(candidates: Sequence[Candidate], strategy: Strategy) -> Candidate:
    """The candidate of the highest quality; ties go to the higher confidence, then to the first.

    Under an agreement strategy, whether the object is accepted rests on the mean over its expressions, not on
    the chosen one's alone.
    """
    best = max(candidates, key=lambda c: (not c.empty, _rank(strategy.quality(c)), _rank(c.score)))
    return best._replace(agreement=_mean([c.agreement for c in candidates]))


def vote_of_all(candidates: Sequence[Candidate], bbox: Sequence[float]) -> Candidate:
    """The pixels that at least half of the candidates hold, judged as one (confidence: the mean)."""
    rle = vote([candidate.rle for candidate in candidates])
    empty = not areas([rle])[0]
    return Candidate(
        rle,
        WORST if empty else projection_term(rle, bbox),
        _mean([candidate.score for candidate in candidates]),
        _mean([candidate.agreement for candidate in candidates]),
        empty,
        [candidate.expression for candidate in candidates],
        candidates[0].source,
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _rank(value: float) -> float:
    return -1.0 if math.isnan(value) else value


def _read_mask(prediction: dict, height: int, width: int) -> RLE:
    """The mask as an RLE with text counts; the runs of what is one already are checked all at once later."""
    segmentation = prediction.get('segmentation')
    if isinstance(segmentation, dict) and segmentation.get('size') == [height, width]:
        counts = segmentation.get('counts')
        if isinstance(counts, str) and counts:
            return {'size': [height, width], 'counts': counts}
    return to_rle(segmentation, height, width, _name(prediction))


def _read_score(prediction: dict) -> float:
    score = prediction.get('score')
    if score is None:
        return math.nan
    if isinstance(score, bool) or not isinstance(score, (int, float)) or not 0 <= score <= 1:
        raise UserInputError.of(
            _name(prediction), f'score {short(score)}', 'a number between 0 and 1', 'predict again'
        )
    return float(score)


def _read_expression(prediction: dict) -> str | None:
    """The sentence; what is no text says nothing."""
    expression = prediction.get('expression')
    return expression if isinstance(expression, str) else None


def _read_points(prediction: dict) -> list[float] | None:
    points = prediction.get('points')
    problem = None if points is None else points_problem(points)
    if problem:
        raise UserInputError.of(_name(prediction), *problem)
    return points


def _name(prediction: dict) -> str:
    return f'prediction of ref_id {prediction.get("ref_id")}, sent_id {prediction.get("sent_id")}'
