"""One row per prediction: how good it is, and what was asked for."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from ..evaluation.functional.protocols import Pair, apply_protocol, score_pairs
from ..structures.masks import to_rle
from ..structures.rle import areas, intersection_areas, ious
from .words import ATTRIBUTE_WORDS, POSITION_WORDS, count_words, words_of

# Shares of areas by which a failure is named.
_MOSTLY = 0.75
OUTCOMES = ('found', 'empty', 'another object', 'only a part', 'too much', 'elsewhere', 'imprecise')
"""What a prediction can be, see :func:`outcome_of`."""


@dataclass(frozen=True, slots=True)
class Case:
    """One prediction beside its truth.

    Attributes:
        index: Position in the order of the annotation file, from 0.
        ref_id: The object.
        sent_id: The expression; whatever the prediction says where one answers for the whole object.
        image_id: The image.
        expressions: What was asked: one expression, or all of the object's (protocols ``cat``, ``avg``).
        kind: The expression's kind, where the annotations tell (RefShapes does), else None.
        iou: In [0, 1].
        intersection, union: In pixels.
        area: Of the true mask, in pixels.
        area_share: Of the true mask in its image, in [0, 1].
        predicted_area: In pixels.
        category_id: Of the object.
        same_category: How many *other* objects of the category are in the image.
        words: Number of words.
        position_words, attribute_words: Those that occur (:mod:`.words`).
        outcome: One of :data:`OUTCOMES`.
        score: The model's, or None.
        prediction, truth: Run-length codes in the image's own frame.
    """

    index: int
    ref_id: Hashable
    sent_id: Hashable
    image_id: Hashable
    expressions: tuple[str, ...]
    kind: str | None
    iou: float
    intersection: int
    union: int
    area: int
    area_share: float
    predicted_area: int
    category_id: int
    same_category: int
    words: int
    position_words: tuple[str, ...]
    attribute_words: tuple[str, ...]
    outcome: str
    score: float | None
    prediction: dict
    truth: dict


def collect_cases(
    pairs: Sequence[Pair],
    objects: Sequence[dict],
    protocol: str = 'sentence',
    threshold: float = 0.5,
    instances: dict | None = None,
    scores: dict[tuple, float] | None = None,
) -> list[Case]:
    """Score pairs and describe each.

    Args:
        pairs: With masks in the original frame (``pair_predictions``). Expressions without a target are left
            out.
        objects: Records of the split that the pairs are from.
        protocol: ``'sentence'``, ``'cat'`` or ``'avg'``.
        threshold: A prediction fails below this IoU.
        instances: COCO's file of all objects of the images, from which ``same_category`` is counted.
            Without it, only objects that the split refers to are counted.
        scores: The models' scores by (ref_id, sent_id), where there are some.

    Returns:
        One case per expression (``sentence``) or object, in the order of the pairs.
    """
    records = {record['ref_id']: record for record in objects if not record.get('no_target')}
    pairs = [pair for pair in apply_protocol(pairs, protocol) if pair.ref_id in records]
    neighbours = _Neighbours(list(records.values()), instances)
    cases = []
    for index, (pair, row) in enumerate(zip(pairs, score_pairs(pairs).rows, strict=True)):
        record = records[pair.ref_id]
        expressions, kind = _asked(record, pair.sent_id, protocol)
        area, predicted = areas([pair.target, pair.prediction]).tolist()
        cases.append(
            Case(
                index=index,
                ref_id=pair.ref_id,
                sent_id=pair.sent_id,
                image_id=record['image_id'],
                expressions=expressions,
                kind=kind,
                iou=row['iou'],
                intersection=row['intersection'],
                union=row['union'],
                area=area,
                area_share=area / (record['height'] * record['width']),
                predicted_area=predicted,
                category_id=record['category_id'],
                same_category=neighbours.same_category(record),
                words=count_words(expressions),
                position_words=words_of(expressions, POSITION_WORDS),
                attribute_words=words_of(expressions, ATTRIBUTE_WORDS),
                outcome=outcome_of(pair, row['iou'], threshold, neighbours.others(record)),
                score=(scores or {}).get((pair.ref_id, pair.sent_id)),
                prediction=pair.prediction,
                truth=pair.target,
            )
        )
    return cases


def outcome_of(pair: Pair, iou: float, threshold: float, others: Sequence[dict]) -> str:
    """Name what a prediction did.

    Args:
        pair: Prediction and target.
        iou: Of the two.
        threshold: At least this IoU is ``'found'``.
        others: Masks of the image's other objects.

    Returns:
        ``'found'``; ``'empty'`` (nothing predicted); ``'another object'`` (some other object fits better,
        with an IoU of at least ``threshold``); ``'only a part'`` (three quarters of the prediction are right,
        but it misses the rest); ``'too much'`` (three quarters of the object are covered, but much else
        too); ``'elsewhere'`` (no pixel in common); ``'imprecise'`` (all else).
    """
    if iou >= threshold:
        return 'found'
    area, predicted = areas([pair.target, pair.prediction]).tolist()
    if not predicted:
        return 'empty'
    if others:
        best = float(ious([pair.prediction], others).max())
        if best >= threshold and best > iou:
            return 'another object'
    common = int(intersection_areas([pair.prediction], [pair.target])[0])
    if not common:
        return 'elsewhere'
    if common >= _MOSTLY * predicted:
        return 'only a part'
    return 'too much' if common >= _MOSTLY * area else 'imprecise'


def _asked(record: dict, sent_id: Hashable, protocol: str) -> tuple[tuple[str, ...], str | None]:
    """The expressions that a prediction answers, and their kind if they have one and the same."""
    kinds = record.get('kinds') or [None] * len(record['expressions'])
    if protocol == 'sentence':
        position = list(record['sent_ids']).index(sent_id)
        return (record['expressions'][position],), kinds[position]
    return tuple(record['expressions']), kinds[0] if len(set(kinds)) == 1 else None


class _Neighbours:
    """Which objects share an image."""

    def __init__(self, records: list[dict], instances: dict | None) -> None:
        self._of_image: dict[Hashable, dict[Hashable, dict]] = {}
        self._rles: dict[Hashable, dict] = {}
        for record in records:
            # Two references of RefCOCO may mean the same annotation.
            self._of_image.setdefault(record['image_id'], {}).setdefault(self._key(record), record)
        self._counts = None
        if instances is not None:
            self._counts = Counter((a['image_id'], a['category_id']) for a in instances['annotations'])

    @staticmethod
    def _key(record: dict) -> Hashable:
        return record.get('ann_id') or (record['category_id'], *record['bbox'])

    def same_category(self, record: dict) -> int:
        """Number of other objects of the record's category in its image."""
        if self._counts is not None:
            return max(self._counts[record['image_id'], record['category_id']] - 1, 0)
        members = self._of_image[record['image_id']].values()
        return sum(member['category_id'] == record['category_id'] for member in members) - 1

    def others(self, record: dict) -> list[dict]:
        """Masks of the other objects of the image that are referred to."""
        members = self._of_image[record['image_id']]
        return [
            self._rle(member)
            for key, member in members.items()
            if key != self._key(record) and member.get('mask') is not None
        ]

    def _rle(self, record: dict) -> dict:
        if record['ref_id'] not in self._rles:
            self._rles[record['ref_id']] = to_rle(
                record['mask'], int(record['height']), int(record['width']), f'ref_id {record["ref_id"]}'
            )
        return self._rles[record['ref_id']]
