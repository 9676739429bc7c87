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


def summarise_selection(outcomes: Sequence[Outcome], selector: Selector) -> dict:
    """Counts of accepted and rejected objects, over all, by category and by box area, and a histogram.

    Returns:
        ``objects``, ``true``, ``accepted``, ``rejected``, ``unpredicted``: numbers of objects;
        ``accept_rate``: accepted over those without a true mask, in percent; ``empty``: rejected for an
        empty mask; ``by_category``, ``by_area``: the same counts by ``category_id`` and by size;
        ``histogram``: how many accepted and rejected objects have the compared number in each of 20 bins.
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
    }


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


def compare_with_truth(outcomes: Iterable[Outcome], full_objects: Iterable[dict]) -> dict:
    """IoU of the chosen masks with true masks, after the selection is over.

    Args:
        outcomes: The finished selection.
        full_objects: Records of the full file, in which masks may be.

    Returns:
        ``accepted``, ``rejected``, ``all`` (both): each ``number`` of objects with a true mask to compare
        with, and ``oiou miou p50 ... p90`` in percent (absent where the number is 0);
        ``rpp_iou_correlation``: Pearson's correlation of the RPP score and the IoU over all; ``misplaced``:
        objects of the full file whose true mask is of another size than the prediction or cannot be read,
        which are left out.
    """
    truth = {record.get('ref_id'): record for record in full_objects}
    states, predictions, targets, terms, misplaced = [], [], [], [], 0
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
    intersections, unions = intersection_and_union(predictions, targets)
    of_state = np.array(states, object)
    quality = {}
    for name in ('accepted', 'rejected', 'all'):
        chosen = np.ones(len(states), bool) if name == 'all' else of_state == name
        quality[name] = {'number': int(chosen.sum())}
        if chosen.any():
            quality[name].update(summarise_masks(intersections[chosen], unions[chosen]))
    ious = intersections / np.maximum(unions, 1)
    return {
        **quality,
        'rpp_iou_correlation': _correlation(np.clip(terms, 0, WORST), ious),
        'misplaced': misplaced,
    }


def _correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])
