"""What the selection did: counts, a histogram, and the quality where the truth is known."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from ..evaluation.functional.summary import intersection_and_union, summarise_masks
from ..structures.masks import mask_problem, to_rle
from .projection import WORST
from .selection import Outcome, Selector

# COCO's limits of small, medium and large, in square pixels; here of the box, which every object has.
AREA_LIMITS = {'small': 32**2, 'medium': 96**2, 'large': math.inf}
NUM_BINS = 20
# So many groups of accepted masks, from those that the rule likes most to those it likes least.
NUM_GROUPS = 10


def summarise_selection(outcomes: Sequence[Outcome], selector: Selector) -> dict:
    """Counts of accepted and rejected objects, over all, by category and by box area, and a histogram.

    Returns:
        ``objects``, ``true``, ``accepted``, ``rejected``, ``unpredicted``: numbers of objects;
        ``accept_rate``: accepted over those without a true mask, in percent; ``empty``: rejected for an
        empty mask; ``by_category``, ``by_area``: the same counts by ``category_id`` and by size;
        ``histogram``: how many accepted and rejected objects have the compared number in each of 20 bins;
        ``decided``: how many outcomes a person's decisions have changed from rejected to accepted
        (``accepted``), from accepted to rejected (``rejected``), and left as they were (``confirmed``).
    """
    states = Counter(outcome.state for outcome in outcomes)
    return {
        'strategy': selector.name,
        'threshold': selector.threshold,
        'agreement_threshold': selector.agreement_threshold if selector.name == 'rpp+agreement' else None,
        'combine': selector.combine,
        'objects': len(outcomes),
        **_rates(states),
        'empty': sum(outcome.chosen is not None and outcome.chosen.empty for outcome in outcomes),
        'by_category': _by(outcomes, lambda outcome: str(outcome.record.get('category_id'))),
        'by_area': _by(outcomes, lambda outcome: area_name(outcome.record['bbox'])),
        'histogram': _histogram(outcomes, selector.strategy.limits),
        'decided': _count_decided(outcomes),
    }


def _count_decided(outcomes: Sequence[Outcome]) -> dict:
    counts = Counter(
        'confirmed' if outcome.ruled == outcome.state else outcome.state
        for outcome in outcomes
        if outcome.ruled is not None
    )
    return {name: counts[name] for name in ('accepted', 'rejected', 'confirmed')}


def area_name(bbox: Sequence[float]) -> str:
    """``small``, ``medium`` or ``large``, by the area of a box [x, y, w, h]."""
    return next(name for name, limit in AREA_LIMITS.items() if bbox[2] * bbox[3] < limit)


def _rates(states: Counter) -> dict:
    open_objects = states['accepted'] + states['rejected'] + states['unpredicted']
    return {
        **{state: states[state] for state in ('true', 'accepted', 'rejected', 'unpredicted')},
        'accept_rate': 100.0 * states['accepted'] / open_objects if open_objects else None,
    }


def _by(outcomes: Sequence[Outcome], name_of) -> dict:
    groups: dict[str, Counter] = {}
    for outcome in outcomes:
        groups.setdefault(name_of(outcome), Counter())[outcome.state] += 1
    return {name: _rates(groups[name]) for name in sorted(groups)}


def _histogram(outcomes: Sequence[Outcome], limits: tuple[float, float]) -> dict:
    edges = np.linspace(*limits, NUM_BINS + 1)
    counts = {}
    for state in ('accepted', 'rejected'):
        values = [o.value for o in outcomes if o.state == state and not math.isnan(o.value)]
        counts[state] = np.histogram(np.clip(values, *limits), edges)[0].tolist()
    return {'edges': [round(float(edge), 6) for edge in edges], **counts}


def compare_with_truth(
    outcomes: Iterable[Outcome], full_objects: Iterable[dict], lower_is_better: bool = True
) -> dict:
    """IoU of the chosen masks with true masks, after the selection is over.

    Args:
        outcomes: The finished selection.
        full_objects: Records of the full file, in which masks may be.
        lower_is_better: Of the compared numbers (:class:`mmrefseg.pseudo_labels.scoring.Strategy`).

    Returns:
        ``accepted``, ``rejected``, ``all`` (both): each ``number`` of objects with a true mask to compare
        with, and ``oiou miou p50 ... p90`` in percent (absent where the number is 0); ``iou_histogram``: how
        many accepted and rejected masks have an IoU in each of 20 bins; ``reliability``: of the accepted
        masks in groups of about equal size, best number first, ``number``, ``best`` and ``worst`` (of the
        compared numbers), ``miou`` and ``p50`` in percent;
        ``rpp_iou_correlation``: Pearson's correlation of the RPP score and the IoU over all; ``misplaced``:
        objects of the full file whose true mask is of another size than the prediction or cannot be read,
        which are left out.
    """
    truth = {record.get('ref_id'): record for record in full_objects}
    states, predictions, targets, terms, values, misplaced = [], [], [], [], [], 0
    for outcome in outcomes:
        record = truth.get(outcome.record['ref_id'])
        if outcome.chosen is None or record is None or record.get('mask') is None:
            continue
        size = int(outcome.record['height']), int(outcome.record['width'])
        if mask_problem(record['mask'], *size):
            misplaced += 1
            continue
        states.append(outcome.state)
        predictions.append(outcome.chosen.rle)
        targets.append(to_rle(record['mask'], *size, check=None))
        terms.append(outcome.chosen.term)
        values.append(outcome.value)
    intersections, unions = intersection_and_union(predictions, targets)
    of_state = np.array(states, object)
    ious = intersections / np.maximum(unions, 1)
    accepted = of_state == 'accepted'
    return {
        **_quality(intersections, unions, of_state),
        'iou_histogram': _iou_histogram(ious, of_state),
        'reliability': _reliability(np.array(values)[accepted], ious[accepted], lower_is_better),
        'rpp_iou_correlation': _correlation(np.clip(terms, 0, WORST), ious),
        'misplaced': misplaced,
    }


def _quality(intersections: np.ndarray, unions: np.ndarray, states: np.ndarray) -> dict[str, dict]:
    quality = {}
    for name in ('accepted', 'rejected', 'all'):
        chosen = np.ones(len(states), bool) if name == 'all' else states == name
        quality[name] = {'number': int(chosen.sum())}
        if chosen.any():
            quality[name].update(summarise_masks(intersections[chosen], unions[chosen]))
    return quality


def _iou_histogram(ious: np.ndarray, states: np.ndarray) -> dict:
    edges = np.linspace(0, 1, NUM_BINS + 1)
    counts = {
        state: np.histogram(ious[states == state], edges)[0].tolist() for state in ('accepted', 'rejected')
    }
    return {'edges': [round(float(edge), 6) for edge in edges], **counts}


def _reliability(values: np.ndarray, ious: np.ndarray, lower_is_better: bool) -> list[dict]:
    """Masks without a number (confidence of predictions that have none) are left out."""
    known = ~np.isnan(values)
    values, ious = values[known], ious[known]
    order = np.argsort(values if lower_is_better else -values, kind='stable')
    return [
        {
            'number': len(group),
            'best': float(values[group[0]]),
            'worst': float(values[group[-1]]),
            'miou': 100.0 * float(ious[group].mean()),
            'p50': 100.0 * float((ious[group] >= 0.5).mean()),
        }
        for group in np.array_split(order, NUM_GROUPS)
        if len(group)
    ]


def _correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])
