"""Scoring a prediction file without a model: ids matched, masks and boxes checked, pairs made.

A prediction file is a json list (or json lines) of ``{"ref_id", "sent_id", "segmentation": RLE or polygons,
"bbox": [x, y, w, h], "score"}``, in the image's original frame; ``bbox`` and ``score`` may be absent, and
``segmentation`` where only boxes are predicted.
"""

import os
from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np

from ..structures.boxes import clip_boxes, is_box, xywh_to_xyxy
from ..structures.masks import to_rle
from ..structures.rle import encode_mask, resize_rle, subtract
from ..utils import UserInputError, load_json, parse_json, text_lines
from ..utils.errors import short
from .functional.protocols import Pair

LAYOUT = 'a list of {"ref_id", "sent_id", "segmentation", "bbox"?}'
# How many ids an error lists.
FEW = 5


class Frame(NamedTuple):
    """The size at which masks are compared.

    Attributes:
        height: Network's height in pixels; None for each image's own size.
        width: Network's width in pixels.
        keep_ratio: Whether the image is fitted into (height, width) or stretched to it.
    """

    height: int | None = None
    width: int | None = None
    keep_ratio: bool = True

    def size_of(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) at which the masks of an image of that original size are compared."""
        if self.height is None:
            return height, width
        if not self.keep_ratio:
            return self.height, self.width
        from mmcv.image import rescale_size  # brings torch, which only this case needs

        fitted = rescale_size((width, height), (self.width, self.height))
        return max(1, fitted[1]), max(1, fitted[0])


def load_predictions(path: str | os.PathLike) -> list[dict]:
    """Read a prediction file (json, or json lines by its ending ``.jsonl``).

    Raises:
        UserInputError: If it is missing, has another layout, or an entry lacks its ids.
    """
    records = _json_lines(path) if str(path).endswith('.jsonl') else load_json(path)
    if not isinstance(records, list):
        raise UserInputError.of(
            str(path), f'a json {type(records).__name__}', LAYOUT, 'write it with test.py --format-only'
        )
    for index, record in enumerate(records):
        if not isinstance(record, dict) or 'ref_id' not in record:
            raise UserInputError.of(
                f'{path} entry {index}', short(record), LAYOUT, 'write it with test.py --format-only'
            )
        for key in ('ref_id', 'sent_id'):
            if isinstance(record.get(key), (list, dict, float, bool)):
                raise UserInputError.of(
                    f'{path} entry {index}',
                    f'{key} {short(record[key])}',
                    'an id',
                    "use the annotation file's ids",
                )
    return records


def _json_lines(path: str | os.PathLike) -> list[Any]:
    return [
        parse_json(line, f'{path} line {number}', 'a json object', 'mend it')
        for number, line in text_lines(path, 'a prediction file')
    ]


def pair_predictions(
    predictions: list[dict],
    objects: list[dict],
    where: str,
    per_object: bool = False,
    frame: Frame = Frame(),
    batch_size: int = 1,
) -> list[Pair]:
    """Every expression (or object) of a split beside its prediction, in the order of the annotations.

    Args:
        predictions: As :func:`load_predictions` returns them.
        objects: Records of the split, normalised (``mmrefseg.datasets.annotations.load_split``).
        where: The prediction file, for errors.
        per_object: One prediction per object is expected instead of one per expression; its ``sent_id`` may
            be anything, and it may be repeated (protocol ``cat``).
        frame: At which size masks are compared.
        batch_size: Consecutive pairs that count as one batch in the legacy metric.

    Raises:
        UserInputError: If ids are missing, unknown or there twice; if a mask is of another size, not an RLE
            or polygon, or a number is not finite; if only some predictions have a mask or box; or if an
            object's true mask is withheld.
    """
    truth = {}
    for record in objects:
        for sent_id in [None] if per_object else record['sent_ids']:
            truth[record['ref_id'], sent_id] = record
    found = _match(predictions, truth, where, per_object)
    generalized = any(record.get('no_target') for record in objects)
    if generalized:
        found = {key: _nothing_as_empty(prediction) for key, prediction in found.items()}
    has_mask = _all_or_none(found, 'segmentation', where)
    has_box = not generalized and _all_or_none(found, 'bbox', where)
    if not has_mask and not has_box:
        raise UserInputError.of(
            where, "neither 'segmentation' nor 'bbox'", LAYOUT, 'write it with test.py --format-only'
        )
    pairs = []
    for index, (key, record) in enumerate(truth.items()):
        prediction = found[key]
        place = f'{where}, ref_id {key[0]}' + ('' if per_object else f', sent_id {key[1]}')
        masks = _masks(prediction, record, place, frame) if has_mask else (None, None)
        boxes = _boxes(prediction, record, place) if has_box else (None, None)
        multi_part = isinstance(record.get('mask'), list) and len(record['mask']) > 1
        sent_id = prediction.get('sent_id') if per_object else key[1]
        pairs.append(Pair(key[0], sent_id, *masks, *boxes, multi_part, index // batch_size))
    return pairs


def _match(predictions: list[dict], truth: dict, where: str, per_object: bool) -> dict[tuple, dict]:
    found: dict[tuple, dict] = {}
    twice, unknown = [], []
    for prediction in predictions:
        key = (prediction['ref_id'], None if per_object else prediction.get('sent_id'))
        if key not in truth:
            unknown.append(key)
        elif key in found:
            if not (per_object and _same(prediction, found[key])):
                twice.append(key)
        else:
            found[key] = prediction
    missing = [key for key in truth if key not in found]
    faults = [
        f'{len(keys)} {name} ({_few(keys, per_object)})'
        for name, keys in (('missing', missing), ('duplicate', twice), ('unknown', unknown))
        if keys
    ]
    if faults:
        kind = 'object' if per_object else 'expression'
        raise UserInputError.of(
            where,
            f'{" and ".join(faults)} predictions',
            f'exactly one for each of the {len(truth)} {kind}s of the split',
            'check --split and --protocol, or predict again',
        )
    return found


def _same(first: dict, second: dict) -> bool:
    """Whether two entries hold the same mask and box: one prediction, written for each sentence."""
    return all(first.get(key) == second.get(key) for key in ('segmentation', 'bbox'))


def _few(keys: list[tuple[Hashable, Hashable]], per_object: bool) -> str:
    names = [f'ref_id {ref}' if per_object else f'ref_id {ref} sent_id {sent}' for ref, sent in keys[:FEW]]
    return ', '.join(names) + (', ...' if len(keys) > FEW else '')


def _nothing_as_empty(prediction: dict) -> dict:
    """``segmentation: null`` says that there is no target: a mask without pixels."""
    if 'segmentation' in prediction and prediction['segmentation'] is None:
        return {**prediction, 'segmentation': []}
    return prediction


def _all_or_none(found: dict[tuple, dict], key: str, where: str) -> bool:
    without = [ids for ids, prediction in found.items() if prediction.get(key) is None]
    if without and len(without) < len(found):
        few = _few(without, without[0][1] is None)
        raise UserInputError.of(
            where,
            f'{len(without)} of {len(found)} predictions without {key!r} ({few})',
            f'{key!r} in all of them or in none',
            'predict again',
        )
    return not without


def _masks(prediction: dict, record: dict, place: str, frame: Frame) -> tuple[dict, dict]:
    height, width = int(record['height']), int(record['width'])
    predicted = to_rle(prediction['segmentation'], height, width, place)
    if record.get('no_target'):
        target = encode_mask(np.zeros((height, width), bool))
    elif record.get('mask') is None:
        raise UserInputError.of(
            f'annotations, ref_id {record["ref_id"]}',
            'a withheld mask',
            'true masks for all objects of the split',
            'choose another split or file',
        )
    else:
        target = to_rle(record['mask'], height, width, f'annotations, ref_id {record["ref_id"]}')
    size = frame.size_of(height, width)
    predicted, target = resize_rle(predicted, *size), resize_rle(target, *size)
    if record.get('ignore_mask') is None:
        return predicted, target
    where = f'annotations, ref_id {record["ref_id"]}, ignore_mask'
    ignored = resize_rle(to_rle(record['ignore_mask'], height, width, where), *size)
    return subtract(predicted, ignored), subtract(target, ignored)


def _boxes(prediction: dict, record: dict, place: str) -> tuple[list[float], list[float]]:
    box = prediction['bbox']
    if not is_box(box):
        raise UserInputError.of(
            place, f'bbox {short(box)}', 'four finite numbers x, y, w, h', 'predict again'
        )
    target = clip_boxes(xywh_to_xyxy(record['bbox']), record['height'], record['width'])
    # The pipeline keeps true boxes in single precision; so does this, for the same last digit.
    return xywh_to_xyxy(box).tolist(), target.astype(np.float32).astype(np.float64).tolist()
