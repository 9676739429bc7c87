"""Which masks to draw next: objects that have a box, in the order in which a network needs their masks.

Only boxes, sentences, images and predictions are looked at, and no mask but those of objects that count as
drawn: with a file of all masks at hand, the choice is the one of somebody who has none.

N objects (annotations: what several refs name is one object, whose mask is drawn once), D numbers each.
"""

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..datasets.converters import annotation_key
from ..structures.boxes import is_box
from ..structures.rle import RLE, decode_mask
from ..utils import UserInputError
from ..utils.errors import short
from .coverage import THUMBNAIL, box_size, choose_order, join, one_hot, thumbnail
from .prediction_shards import PredictionStore
from .scoring import judge
from .selection import CHUNK
from .teaching import (
    SIGNALS,
    box_disagreement,
    doubt,
    mask_disagreement,
    needs,
    rarity,
    residual,
    standings,
)

# A signal is a reason where it stands so high among all objects', and is so large by itself.
TELLING = 0.75
LARGE = {'disagreement': 0.2, 'residual': 0.05, 'doubt': 0.5, 'rarity': 0.75}
MOST_REASONS = 2


class Observed(NamedTuple):
    """What the predictions say of N objects.

    Attributes:
        signals: (N,) by name; none without predictions.
        rles: Of each, the mask that fits its box best, or None.
        thumbnails: (N, 64) that mask in its box, zeros where there is none.
    """

    signals: dict[str, np.ndarray]
    rles: list[RLE | None]
    thumbnails: np.ndarray


class Choice(NamedTuple):
    """An object to draw.

    Attributes:
        rank: From 1 on.
        record: Its record, without a mask.
        need: In [0, 1]; None in a random order.
        signals: Value by name, NaN where it cannot be told.
        why: In a few words.
        rle: What was predicted, or None.
    """

    rank: int
    record: dict
    need: float | None
    signals: dict[str, float]
    why: str
    rle: RLE | None


def objects_to_draw(records: Sequence[dict]) -> tuple[list[dict], list[int]]:
    """One record per annotation that has a box, and which of them count as drawn.

    An object with a mask counts as drawn, unless all objects have one: then the file is the full one, from
    which to choose, and none does. The masks stay behind.

    Args:
        records: Normalised records of one split.

    Returns:
        The records in order of first appearance, each with all sentences and ``ref_ids``, the refs that it
        stands for; positions of those that are drawn.

    Raises:
        UserInputError: If no object has a box.
    """
    groups: dict[tuple, list[dict]] = {}
    for record in records:
        if record.get('no_target') or not min(record['bbox'][2:]) > 0:
            continue
        groups.setdefault(annotation_key(record), []).append(record)
    if not groups:
        raise UserInputError.of('the split', 'no object with a box', 'some to choose from', 'name another')
    has_mask = [any(record.get('mask') is not None for record in group) for group in groups.values()]
    drawn = [] if all(has_mask) else np.flatnonzero(has_mask).tolist()
    return [_merged(group) for group in groups.values()], drawn


def _merged(group: list[dict]) -> dict:
    first = {key: value for key, value in group[0].items() if not key.startswith('mask')}
    return {
        **first,
        'expressions': [text for record in group for text in record['expressions']],
        'ref_ids': [record['ref_id'] for record in group],
    }


def observe(
    objects: Sequence[dict],
    store: PredictionStore,
    compared: str = 'mask',
    progress: Callable[[Iterable[dict]], Iterable[dict]] = iter,
) -> Observed:
    """Read the predictions of all objects, one chunk after the other.

    Args:
        objects: See :func:`objects_to_draw`.
        store: The predictions.
        compared: What an object's sentences agree on: ``'mask'`` or ``'box'``.
        progress: Wraps the loop, for a progress bar.

    Raises:
        UserInputError: If no object has a prediction, or a prediction is bad.
    """
    rows: list[tuple[float, float, float]] = []
    rles: list[RLE | None] = []
    thumbnails = np.zeros((len(objects), THUMBNAIL**2), np.float32)
    iterator = iter(progress(objects))
    while chunk := list(itertools.islice(iterator, CHUNK)):
        predictions = [
            list(itertools.chain.from_iterable(map(store.of_object, record['ref_ids']))) for record in chunk
        ]
        for record, of_object, candidates in zip(chunk, predictions, judge(chunk, predictions), strict=True):
            disagree = (
                mask_disagreement([candidate.rle for candidate in candidates])
                if compared == 'mask'
                else box_disagreement([_box_of(prediction) for prediction in of_object])
            )
            terms = [candidate.term for candidate in candidates]
            rows.append((disagree, residual(terms), doubt([candidate.score for candidate in candidates])))
            best = candidates[int(np.argmin(terms))].rle if candidates else None
            if best is not None:
                thumbnails[len(rles)] = thumbnail(decode_mask(best), record['bbox'])
            rles.append(best)
    if all(rle is None for rle in rles):
        raise UserInputError.of(
            'predictions',
            f'none for the {len(objects)} objects (their ref_ids begin '
            f'{[ref for record in objects[:5] for ref in record["ref_ids"]][:5]})',
            'predictions of the same annotation file',
            'check --predictions and the annotations',
        )
    names = ('disagreement', 'residual', 'doubt')
    return Observed(dict(zip(names, np.array(rows).T, strict=True)), rles, thumbnails)


def _box_of(prediction: dict) -> list[float]:
    box = prediction.get('bbox')
    if not is_box(box):
        raise UserInputError.of(
            f'prediction of ref_id {prediction["ref_id"]}, sent_id {prediction["sent_id"]}',
            f'bbox {short(box)}',
            'x, y, width, height',
            'predict again, or compare masks',
        )
    return box


def no_predictions(number: int) -> Observed:
    """Nothing is known of any object."""
    return Observed({}, [None] * number, np.zeros((number, THUMBNAIL**2), np.float32))


def describe(objects: Sequence[dict], observed: Observed, colours: np.ndarray | None) -> np.ndarray:
    """(N, D) descriptors of colour, box, shape and category, each of which varies as much.

    Args:
        objects: The records.
        observed: What was predicted.
        colours: (N, 64) colour histograms inside the boxes, or None if there are no images.
    """
    groups = {
        'size': np.array([box_size(r['bbox'], int(r['height']), int(r['width'])) for r in objects]),
        'shape': observed.thumbnails,
        'category': one_hot([record['category_id'] for record in objects]),
    }
    return join(groups if colours is None else {**groups, 'colour': colours})


def budget_of(text: str, objects: int, left: int) -> int:
    """The number of masks that a budget, ``'57'`` or ``'0.5%'`` of the objects, stands for; at least one.

    Raises:
        UserInputError: If it is no such thing, or more than are left to be drawn.
    """
    share = text.endswith('%')
    try:
        value = float(text.removesuffix('%'))
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf or (share and value > 100) or (not share and value != int(value)):
        raise UserInputError.of(
            '--budget', repr(text), 'a number of masks, or a percentage such as 0.5%', 'correct it'
        )
    number = max(1, round(value / 100 * objects)) if share else int(value)
    if number > left:
        raise UserInputError.of(
            '--budget', str(number), f'at most the {left} objects without a mask', 'lower it'
        )
    return number


class Rule(NamedTuple):
    """How objects are ranked.

    Attributes:
        weights: Of the signals, by name.
        coverage: One of :data:`~mmrefseg.pseudo_labels.coverage.METHODS`.
        seed: Of the landmarks.
    """

    weights: Mapping[str, float]
    coverage: str = 'k-center'
    seed: int = 0


def choose_masks(
    objects: Sequence[dict],
    drawn: Sequence[int],
    observed: Observed,
    features: np.ndarray,
    rule: Rule,
    number: int,
) -> list[Choice]:
    """Rank the objects that are not drawn; a larger number begins with a smaller one's.

    Args:
        objects: The records.
        drawn: Positions of those whose masks are there.
        observed: What was predicted.
        features: (N, D) descriptors, for coverage.
        rule: How to rank.
        number: How many.
    """
    signals = {**observed.signals, 'rarity': rarity([record['category_id'] for record in objects])}
    need = needs(signals, rule.weights)
    order = choose_order(rule.coverage, features, need, number, drawn, rule.seed)
    standing = standings(signals)
    sizes = Counter(record['category_id'] for record in objects)
    choices = []
    for rank, row in enumerate(order, 1):
        values = {name: float(signals[name][row]) if name in signals else math.nan for name in SIGNALS}
        telling = {
            name: rule.weights.get(name, 0.0) * float(standing[name][row])
            for name in signals
            if standing[name][row] >= TELLING and values[name] >= LARGE[name] and rule.weights.get(name)
        }
        size = sizes[objects[row]['category_id']]
        why = reasons(values, telling, f'{size} of {len(objects)}')
        choices.append(Choice(rank, objects[row], float(need[row]), values, why, observed.rles[row]))
    return choices


def random_masks(objects: Sequence[dict], drawn: Sequence[int], seed: int, number: int) -> list[Choice]:
    """As many at random, the baseline; nested for one seed."""
    left = sorted(set(range(len(objects))) - set(drawn))
    random.Random(seed).shuffle(left)
    nothing = dict.fromkeys(SIGNALS, math.nan)
    return [
        Choice(rank, objects[row], None, nothing, 'at random', None)
        for rank, row in enumerate(left[:number], 1)
    ]


def reasons(values: Mapping[str, float], telling: Mapping[str, float], category: str) -> str:
    """The one or two signals that speak most for an object, in words.

    Args:
        values: Of the signals, by name.
        telling: Weight x standing of those that speak for it.
        category: The size of its category.
    """
    words = {
        'disagreement': lambda value: f'its sentences disagree (IoU {1 - value:.2f})',
        'residual': lambda value: f'does not fill its box (RPP {2 * value:.2f})',
        'doubt': lambda value: f'unsure (score {1 - value:.2f})',
        'rarity': lambda value: f'rare category ({category})',
    }
    first = sorted(telling, key=lambda name: -telling[name])[:MOST_REASONS]
    return ', '.join(words[name](values[name]) for name in first) or 'stands for others like it'


def as_row(choice: Choice) -> dict[str, Any]:
    """A choice as an entry of the list."""
    record = choice.record
    named = {key: record[key] for key in ('file_name', 'data_source') if key in record}
    signals = {name: None if math.isnan(value) else round(value, 4) for name, value in choice.signals.items()}
    return {
        'rank': choice.rank,
        'ref_ids': record['ref_ids'],
        'image_id': record['image_id'],
        **named,
        'bbox': record['bbox'],
        'category_id': record['category_id'],
        'expressions': record['expressions'],
        'need': None if choice.need is None else round(choice.need, 4),
        **signals,
        'why': choice.why,
    }
