"""Which objects of a selection a person looks at, why each was accepted or rejected, and charts as data."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from .prediction_shards import PredictionStore
from .scoring import STRATEGIES, Candidate, judge
from .selection import Outcome, Selector

GROUPS = ('borderline', 'accepted', 'rejected')
NUM_BINS = 40
# The RPP score ends at 2; what lies above four thresholds is told apart by nobody and goes into the last bin.
REACH = 4
VALUE_NAMES = {
    'rpp': 'RPP score', 'score': 'confidence', 'agreement': 'agreement', 'rpp+agreement': 'RPP score',
    'all': 'confidence',
}  # fmt: skip
"""What the compared number of a strategy is called."""


class Shown(NamedTuple):
    """An object to show.

    Attributes:
        group: One of :data:`GROUPS`.
        outcome: What became of it, with its whole record and its mask.
        margin: See :func:`margin`.
    """

    group: str
    outcome: Outcome
    margin: float


def margin(outcome: Outcome, selector: Selector) -> float:
    """How far an object is from being judged otherwise, as a share of the range of the number.

    0 is at the threshold, a positive number was accepted by the rule, a negative one rejected. Under
    ``rpp+agreement`` the nearer of both thresholds counts for an accepted mask, the one that is missed by
    more for a rejected one. An empty mask has ``-inf``; without a threshold every other one has ``inf``.
    """
    chosen = outcome.chosen
    if chosen is None or chosen.empty:
        return -math.inf
    if selector.threshold is None:
        return math.inf
    low, high = selector.strategy.limits
    inside = (outcome.value - selector.threshold) / (high - low)
    inside = -inside if selector.strategy.lower_is_better else inside
    if selector.name == 'rpp+agreement':
        inside = min(inside, chosen.agreement - selector.agreement_threshold)
    return inside


def choose_shown(outcomes: Sequence[Outcome], selector: Selector, number: int) -> dict[str, list[int]]:
    """The objects to show: the same for the same selection, whatever a person has decided.

    ``borderline`` are those nearest to the threshold, half of them on either side; ``accepted`` and
    ``rejected`` by the rule are, of the others, spread evenly from the nearest to the farthest.

    Args:
        outcomes: Of the whole selection.
        selector: What has decided.
        number: Objects of each group, at most.

    Returns:
        Positions in ``outcomes`` by group, the nearest to the threshold first.
    """
    sides: dict[str, list[tuple[float, float, int]]] = {'accepted': [], 'rejected': []}
    for position, outcome in enumerate(outcomes):
        if outcome.chosen is not None:
            state = outcome.ruled or outcome.state
            distance = abs(margin(outcome, selector))
            # Without a threshold, the confidence ranks them.
            value = 0.0 if math.isnan(outcome.value) else outcome.value
            sides[state].append((distance, value, position))
    near: dict[str, list[int]] = {}
    far: dict[str, list[int]] = {}
    for state, rows in sides.items():
        # At most half of a side, so that a small selection has something in every group.
        finite = sum(math.isfinite(row[0]) for row in rows)
        stop = min((number + (state == 'accepted')) // 2, (finite + 1) // 2)
        ranked = [position for *_, position in sorted(rows)]
        near[state], far[state] = ranked[:stop], _spread(ranked[stop:], number)
    return {'borderline': _interleaved(near['accepted'], near['rejected']), **far}


def _interleaved(first: list[int], second: list[int]) -> list[int]:
    """One of each in turn, then what is left of the longer."""
    shorter = min(len(first), len(second))
    pairs = [item for pair in zip(first, second, strict=False) for item in pair]
    return [*pairs, *first[shorter:], *second[shorter:]]


def _spread(ranked: list[int], number: int) -> list[int]:
    """So many of a list at even distances, its ends included."""
    if len(ranked) <= number:
        return ranked
    return [ranked[index] for index in np.linspace(0, len(ranked) - 1, number).round().astype(int)]


def objects_to_show(
    outcomes: Sequence[Outcome],
    objects: Sequence[dict],
    store: PredictionStore,
    selector: Selector,
    number: int,
) -> list[Shown]:
    """Choose objects (:func:`choose_shown`) and read their masks once more; the others' need not be kept.

    Args:
        outcomes: Of the whole selection, in the order of ``objects``.
        objects: The records that were selected from.
        store: The predictions.
        selector: What has decided.
        number: Objects of each group, at most.
    """
    shown = []
    for group, positions in choose_shown(outcomes, selector, number).items():
        for position in positions:
            record = objects[position]
            (candidates,) = judge([record], [store.of_object(record['ref_id'])])
            outcome = selector.decide(record, candidates)
            shown.append(Shown(group, outcome, margin(outcome, selector)))
    return shown


def reason(outcome: Outcome, selector: Selector) -> str:
    """By which rule a predicted mask was accepted or rejected, in a few words; what a person decided aside.

    Numbers are rounded to where they still tell from the threshold.
    """
    chosen, threshold = outcome.chosen, selector.threshold
    if chosen.empty:
        return 'the mask is empty'
    if threshold is None:
        return 'every mask that is not empty is accepted'
    name = VALUE_NAMES[selector.name]
    if selector.strategy.lower_is_better:
        fits = outcome.value < threshold
        relation = 'is below' if fits else 'is not below'
    else:
        fits = outcome.value >= threshold
        relation = 'reaches' if fits else 'does not reach'
    first = f'{name} {_apart(outcome.value, threshold)} {relation} {threshold:g}'
    if selector.strategy is not STRATEGIES['rpp+agreement']:
        return first
    agrees = chosen.agreement >= selector.agreement_threshold
    second = (
        f'agreement {_apart(chosen.agreement, selector.agreement_threshold)} '
        f'{"reaches" if agrees else "does not reach"} {selector.agreement_threshold:g}'
    )
    if fits == agrees:
        return f'{first}, {second}'
    return second if fits else first


def _apart(value: float, threshold: float) -> str:
    """A number with three decimals, or as many as tell it from the threshold."""
    for digits in range(3, 9):
        text = f'{value:.{digits}f}'
        if value == threshold or float(text) != threshold:
            return text
    return f'{value:g}'


def sentences(outcome: Outcome) -> list[tuple[str, bool]]:
    """The object's expressions, and whether the mask is of each."""
    said = outcome.chosen.expression
    gave = {said} if isinstance(said, str) or said is None else set(said)
    return [(text, text in gave) for text in outcome.record['expressions']]


def figures(chosen: Candidate) -> list[tuple[str, float]]:
    """The names and values of what is known of a mask without the truth."""
    known = [('RPP', chosen.term), ('confidence', chosen.score), ('agreement', chosen.agreement)]
    return [(name, value) for name, value in known if not math.isnan(value)]


def score_histogram(outcomes: Iterable[Outcome], selector: Selector) -> dict:
    """How many accepted and rejected masks have the compared number in each of 40 bins.

    The bins of an RPP score end at four times the threshold, so that the threshold is between two of them;
    the last one holds what lies above, too.

    Returns:
        ``edges`` (41 numbers), ``accepted``, ``rejected`` (40 counts each), ``open``: whether values lie
        above.
    """
    low, high = selector.strategy.limits
    if selector.strategy.lower_is_better and selector.threshold:
        high = min(high, REACH * selector.threshold)
    edges = np.linspace(low, high, NUM_BINS + 1)
    counts, above = {}, False
    for state in ('accepted', 'rejected'):
        values = np.array([o.value for o in outcomes if o.state == state and not math.isnan(o.value)])
        above |= bool((values > high).any())
        counts[state] = np.histogram(np.clip(values, low, high), edges)[0].tolist()
    return {'edges': edges.tolist(), 'open': above, **counts}
