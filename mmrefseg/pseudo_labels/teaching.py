"""What the mask of an object would teach: signals of doubt, each a number an object, and one need of them.

N objects. A signal that cannot be told of an object is NaN: the sentences of one that has a single sentence
cannot disagree.
"""

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from ..structures.boxes import paired_box_iou, xywh_to_xyxy
from ..structures.rle import RLE
from ..utils import UserInputError
from .projection import WORST
from .scoring import agreement

SIGNALS = ('disagreement', 'residual', 'doubt', 'rarity')
"""What is combined, in this order."""
UNKNOWN = 0.5
"""The rank of a signal that cannot be told: neither for the object nor against it."""


def mask_disagreement(masks: Sequence[RLE]) -> float:
    """1 - the mean IoU of the masks that an object's sentences got, in [0, 1]; NaN for fewer than two."""
    if len(masks) < 2:
        return math.nan
    return 1.0 - float(np.mean(agreement(masks)))


def box_disagreement(boxes: Sequence[Sequence[float]]) -> float:
    """As :func:`mask_disagreement`, of boxes x, y, width, height."""
    if len(boxes) < 2:
        return math.nan
    first, second = np.triu_indices(len(boxes), 1)
    corners = xywh_to_xyxy(np.asarray(boxes, np.float64))
    return 1.0 - float(paired_box_iou(corners[first], corners[second]).mean())


def residual(terms: Sequence[float]) -> float:
    """How badly the best of an object's masks fills its true box, in [0, 1]; NaN without one.

    The best: a sentence that was read wrongly is the disagreement's matter.

    Args:
        terms: RPP scores in [0, 2] (:func:`~mmrefseg.pseudo_labels.projection.projection_terms`).
    """
    return min(terms) / WORST if len(terms) else math.nan


def doubt(scores: Sequence[float]) -> float:
    """1 - the mean predicted quality of an object's masks, in [0, 1]; NaN where none has a score."""
    known = [score for score in scores if not math.isnan(score)]
    return 1.0 - math.fsum(known) / len(known) if known else math.nan


def rarity(categories: Sequence[Hashable]) -> np.ndarray:
    """(N,) 1 - the size of an object's category over that of the largest: 0 in the largest, near 1 in a rare
    one."""
    counts = Counter(categories)
    largest = max(counts.values(), default=1)
    return np.array([1.0 - counts[category] / largest for category in categories])


def ranks(values: np.ndarray) -> np.ndarray:
    """(N,) shares of the known values that lie below each, equal ones in the middle: 0 lowest, 1 highest.

    NaN, and a value that all have, become
    :data:`UNKNOWN`.
    """
    values = np.asarray(values, np.float64)
    result = np.full(len(values), UNKNOWN)
    known = ~np.isnan(values)
    _, inverse, counts = np.unique(values[known], return_inverse=True, return_counts=True)
    if len(counts) > 1:
        below = np.cumsum(counts) - counts
        result[known] = ((below + (counts - 1) / 2) / (known.sum() - 1))[inverse]
    return result


def standings(signals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """(N,) in [0, 1] by name: what the signals say, each on the same scale.

    That is the :func:`ranks` of what a network predicts, whose scale nobody knows. Of the rarity ranks would
    make a rare category of the second largest: it goes from :data:`UNKNOWN` in the largest category to 1.
    """
    return {
        name: UNKNOWN + (1 - UNKNOWN) * values if name == 'rarity' else ranks(values)
        for name, values in signals.items()
    }


def needs(signals: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """(N,) how much each object needs its mask, in [0, 1]: the weighted mean of the :func:`standings`.

    Args:
        signals: (N,) by name, as many as are known, at least one.
        weights: By name, at least 0. A signal that is not there is left out.

    Returns:
        :data:`UNKNOWN` everywhere if nothing weighs.
    """
    first = next(iter(signals.values()))
    total = math.fsum(weights.get(name, 0.0) for name in signals)
    if not total:
        return np.full(len(first), UNKNOWN)
    return sum(weights.get(name, 0.0) / total * values for name, values in standings(signals).items())


def read_weights(texts: Sequence[str]) -> dict[str, float]:
    """``['doubt=2', 'rarity=0']`` as weights by signal; those that are not named weigh 1.

    Raises:
        UserInputError: If one is no signal, or no weight.
    """
    weights = dict.fromkeys(SIGNALS, 1.0)
    for text in texts:
        name, _, number = text.partition('=')
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if name not in SIGNALS or not 0 <= value < math.inf:
            raise UserInputError.of(
                '--weights',
                repr(text),
                f'a signal ({", ".join(SIGNALS)}) = a number of at least 0',
                'write doubt=2, for instance',
            )
        weights[name] = value
    return weights
