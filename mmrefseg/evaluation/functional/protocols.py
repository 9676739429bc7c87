"""Pairs of prediction and target -> a table, per sentence or per object."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ...structures.boxes import paired_box_iou
from ...structures.rle import RLE, areas, vote
from ...utils import UserInputError
from .summary import (
    intersection_and_union,
    iou_of_counts,
    legacy_iou_of_counts,
    mean_of_batch_means,
    summarise_boxes,
    summarise_legacy,
    summarise_masks,
)

PROTOCOLS = ('sentence', 'cat', 'avg')


@dataclass(frozen=True, slots=True)
class Pair:
    """One expression's prediction beside its target, both in one frame.

    Attributes:
        ref_id: The object.
        sent_id: The expression; free where one prediction answers for the whole object (protocol ``cat``).
        prediction: Predicted mask, or None.
        target: True mask, of the prediction's size, or None.
        box: Predicted box, 4 floats xyxy in pixels, or None.
        target_box: True box, or None.
        crowd: Whether the target has more than one polygon (only the legacy metric looks).
        batch: Name of the batch the pair came in (only the legacy metric looks).
    """

    ref_id: Hashable
    sent_id: Hashable
    prediction: RLE | None = None
    target: RLE | None = None
    box: Sequence[float] | None = None
    target_box: Sequence[float] | None = None
    crowd: bool = False
    batch: Hashable = 0


class Scores(NamedTuple):
    """What :func:`score_pairs` returns.

    Attributes:
        summary: ``oiou miou p50 p60 p70 p80 p90`` where there are masks, ``acc50 box_miou`` where there are
            boxes; percent.
        rows: One dict per expression (or object): ``ref_id, sent_id, intersection, union, iou, box_iou``;
            shares, not percent.
    """

    summary: dict[str, float]
    rows: list[dict[str, Any]]


def unique_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """The first pair of every (ref_id, sent_id), so that what a sampler repeats counts once."""
    first: dict[tuple, Pair] = {}
    for pair in pairs:
        first.setdefault((pair.ref_id, pair.sent_id), pair)
    return list(first.values())


def apply_protocol(pairs: Sequence[Pair], protocol: str = 'sentence') -> list[Pair]:
    """Bring pairs to one per expression or one per object.

    Args:
        pairs: Distinct pairs.
        protocol: ``'sentence'``: as they are. ``'avg'``: one per object, the pixels that at least half of its
            sentences' masks hold, and the mean of its boxes (a model that averages its outputs before the
            threshold gives all sentences of an object one mask, which is then their vote). ``'cat'``: the
            model read all sentences of an object at once, so one prediction per object is expected; it may
            be repeated for each sentence.

    Raises:
        UserInputError: If ``'cat'`` meets an object with several different predictions.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f'found protocol {protocol!r}, expected one of {PROTOCOLS}')
    if protocol == 'sentence':
        return list(pairs)
    objects: dict[Hashable, list[Pair]] = {}
    for pair in pairs:
        objects.setdefault(pair.ref_id, []).append(pair)
    if protocol == 'cat':
        several = [ref_id for ref_id, members in objects.items() if not _agree(members)]
        if several:
            raise UserInputError.of(
                "protocol 'cat'",
                f'several predictions for {len(several)} objects (ref_id {", ".join(map(str, several[:5]))})',
                'one per object, made from all its sentences at once',
                "let the model read them together (LAVT: model.test_cfg.sentences='cat'), or use 'avg' or "
                "'sentence'",
            )
        return [members[0] for members in objects.values()]
    return [_average(members) for members in objects.values()]


def _agree(members: list[Pair]) -> bool:
    """Whether an object's pairs hold one and the same prediction."""
    head = members[0]
    return all(
        pair.prediction == head.prediction
        and (pair.box is None) == (head.box is None)
        and (pair.box is None or list(pair.box) == list(head.box))
        for pair in members[1:]
    )


def _average(members: list[Pair]) -> Pair:
    """One object's pairs -> their vote."""
    head = members[0]
    prediction = None if head.prediction is None else vote([pair.prediction for pair in members])
    box = (
        None if head.box is None else np.mean(np.asarray([pair.box for pair in members], np.float64), axis=0)
    )
    return replace(head, prediction=prediction, box=box)


def score_pairs(
    pairs: Sequence[Pair], protocol: str = 'sentence', legacy: bool = False, empty_union: str = 'zero'
) -> Scores:
    """Score distinct pairs; all of them have masks or none has, all have boxes or none has.

    Args:
        pairs: See :class:`Pair`.
        protocol: See :func:`apply_protocol`.
        legacy: The originals' numbers instead: "IoU" over the prediction's area where the target has
            several polygons, P@X and Acc@0.5 as means of batch means.
        empty_union: What two empty masks score, ``'zero'`` or ``'one'``.
    """
    pairs = apply_protocol(pairs, protocol)
    rows: list[dict[str, Any]] = [{'ref_id': pair.ref_id, 'sent_id': pair.sent_id} for pair in pairs]
    summary: dict[str, float] = {}
    batches = [pair.batch for pair in pairs]
    if pairs and pairs[0].prediction is not None:
        predictions = [pair.prediction for pair in pairs]
        intersections, unions = intersection_and_union(predictions, [pair.target for pair in pairs])
        if legacy:
            crowd = np.array([pair.crowd for pair in pairs])
            ious = legacy_iou_of_counts(intersections, unions, areas(predictions), crowd)
            summary.update(summarise_legacy(intersections, unions, ious, batches))
        else:
            ious = iou_of_counts(intersections, unions, empty_union)
            summary.update(summarise_masks(intersections, unions, empty_union))
        for row, intersection, union, iou in zip(rows, intersections, unions, ious, strict=True):
            row.update(intersection=int(intersection), union=int(union), iou=float(iou))
    if pairs and pairs[0].box is not None:
        box_ious = paired_box_iou([pair.box for pair in pairs], [pair.target_box for pair in pairs])
        summary.update(summarise_boxes(box_ious))
        if legacy:
            summary['acc50'] = 100.0 * mean_of_batch_means(box_ious >= 0.5, batches)
        for row, box_iou in zip(rows, box_ious, strict=True):
            row['box_iou'] = float(box_iou)
    return Scores(summary, rows)
