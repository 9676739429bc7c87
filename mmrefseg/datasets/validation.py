"""What a record of the working format must be, and the sentence for each way in which it is not.

A record is one object of one picture with its expressions (see ``docs/data.md``). The checks read
coordinates and run lengths but rasterise only what looks empty, so that RefCOCO takes seconds.

Self-crossing polygons are legal in COCO and are filled by COCO's rasteriser (even-odd along each row), so
they are accepted; so is what lies partly outside the picture, which is clipped.
"""

import math
from collections.abc import Iterable
from numbers import Integral, Real
from operator import mul
from typing import Any, NamedTuple

from pycocotools import mask as coco_mask

from ..structures import rle
from ..utils import UserInputError


class Problem(NamedTuple):
    """The three parts of an error sentence after its place."""

    found: str
    expected: str
    todo: str


def find_problem(record: Any) -> Problem | None:
    """The first thing wrong with a record, or ``None``.

    Args:
        record: One entry of a split of the working format. ``no_target=True`` (gRefCOCO: the expression
            refers to nothing) excuses it from having a box and a mask.
    """
    if not isinstance(record, dict):
        return Problem(f'a {type(record).__name__}', 'a dict for each object', 'convert the file again')
    problem = _ids_problem(record) or _expressions_problem(record) or _size_problem(record)
    if problem or record.get('no_target'):
        return problem
    problem = _box_problem(record.get('bbox'), record['height'], record['width'])
    if problem or record.get('mask') is None:
        return problem
    return mask_problem(record['mask'], record['height'], record['width'])


def validate_record(record: Any, where: str) -> None:
    """Check one record.

    Args:
        record: One entry of a split of the working format.
        where: File, split and position, for the message; the record's ``ref_id`` is added.

    Raises:
        UserInputError: With the first thing that is wrong.
    """
    problem = find_problem(record)
    if problem:
        raise UserInputError.of(place(record, where), *problem)


def validate_records(records: Iterable[Any], where: str) -> list[UserInputError]:
    """Check many records; one error for each bad one, in order."""
    errors = []
    for index, record in enumerate(records):
        problem = find_problem(record)
        if problem:
            errors.append(UserInputError.of(place(record, f'{where} record {index}'), *problem))
    return errors


def place(record: Any, where: str) -> str:
    """``where`` with the ids of the record, as far as it has them."""
    if not isinstance(record, dict):
        return where
    ids = ', '.join(f'{key} {record[key]}' for key in ('ref_id', 'image_id') if key in record)
    return f'{where} ({ids})' if ids else where


def mask_problem(mask: Any, height: int, width: int) -> Problem | None:
    """What is wrong with a mask (polygons or RLE) of a ``height`` x ``width`` picture, or ``None``."""
    if isinstance(mask, dict):
        return _rle_problem(mask, height, width)
    if not isinstance(mask, list):
        return Problem(
            f'a mask of type {type(mask).__name__}',
            'a list of polygons or an RLE dict',
            'write the mask again',
        )
    if not mask:
        return Problem(
            'a mask without polygons', 'at least one polygon', 'leave the key out if there is no mask'
        )
    certain = False
    for part, polygon in enumerate(mask):
        problem, covers = _polygon_problem(polygon, part, height, width)
        if problem:
            return problem
        certain |= covers
    # one by one: pycocotools 2.0.11 counts the masks of a call in a byte
    parts = [] if certain else coco_mask.frPyObjects(mask, int(height), int(width))
    if not certain and not any(coco_mask.area(part) for part in parts):
        return _empty_mask()
    return None


def _ids_problem(record: dict) -> Problem | None:
    image_id, ref_id = record.get('image_id'), record.get('ref_id')
    if not isinstance(image_id, Integral | str) or image_id == '':
        return Problem(_have('image_id', image_id), 'a whole number or a string', 'add the image_id')
    if ref_id is not None and not isinstance(ref_id, Integral):
        return Problem(_have('ref_id', ref_id), 'a whole number', 'number the objects, or leave the key out')
    category_id = record.get('category_id')
    if category_id is not None and not isinstance(category_id, Integral):
        return Problem(_have('category_id', category_id), 'a whole number', 'number the categories')
    return None


def _expressions_problem(record: dict) -> Problem | None:
    expressions, sent_ids = record.get('expressions'), record.get('sent_ids')
    todo = 'give the object a sentence or remove it'
    if not isinstance(expressions, list):
        return Problem(_have('expressions', expressions), 'a list of sentences', todo)
    if not expressions:
        return Problem('no expressions', 'at least one sentence', todo)
    for index, expression in enumerate(expressions):
        if not isinstance(expression, str):
            return Problem(f'expression {index} of type {type(expression).__name__}', 'a sentence', todo)
        if not expression.strip():
            return Problem(f'an empty expression at index {index}', 'a sentence', 'write it or remove it')
    if sent_ids is None:
        return None
    if not isinstance(sent_ids, list) or not all(isinstance(i, Integral) for i in sent_ids):
        return Problem(_have('sent_ids', sent_ids), 'a list of whole numbers', 'number the sentences')
    if len(sent_ids) != len(expressions):
        return Problem(
            f'{len(sent_ids)} sent_ids for {len(expressions)} expressions',
            'one id each',
            'number the sentences',
        )
    return None


def _size_problem(record: dict) -> Problem | None:
    for key in ('height', 'width'):
        size = record.get(key)
        if not isinstance(size, Real) or not size > 0 or size != int(size if math.isfinite(size) else 0):
            return Problem(_have(key, size), 'the size of the picture in pixels', f'add its {key}')
    return None


def _box_problem(box: Any, height: int, width: int) -> Problem | None:
    expected = '[x, y, width, height] in pixels'
    if not isinstance(box, list | tuple) or len(box) != 4 or not all(isinstance(v, Real) for v in box):
        return Problem(_have('bbox', box), expected, 'write the box again')
    if not math.isfinite(sum(box)):
        return Problem(f'bbox {list(box)}', 'finite numbers', 'write the box again')
    x, y, w, h = box
    if w <= 0 or h <= 0:
        return Problem(
            f'bbox {list(box)} without area', f'{expected} with a positive size', 'mend or remove it'
        )
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        return Problem(
            f'bbox {list(box)} outside the picture',
            f'a box that meets {width} x {height} pixels',
            'mend or remove it',
        )
    return None


def _rle_problem(mask: dict, height: int, width: int) -> Problem | None:
    size = mask.get('size')
    if not isinstance(size, list | tuple) or list(size) != [height, width]:
        return Problem(
            f'an RLE of size {size}',
            f'[height, width] = [{height}, {width}]',
            'encode the mask at the size of the picture',
        )
    try:
        filled = rle.area(mask.get('counts'), int(height), int(width))
    except ValueError as error:
        return Problem(
            f'an RLE with {error}', f'runs that fill {width} x {height} pixels', 'encode the mask again'
        )
    return None if filled else _empty_mask()


def _polygon_problem(polygon: Any, part: int, height: int, width: int) -> tuple[Problem | None, bool]:
    """What is wrong with one polygon, and whether it surely covers a pixel.

    A sliver thinner than a pixel may cover none, and has an area below its length; so may one that reaches
    out of the picture.
    """
    expected = '[x, y, x, y, ...] with at least 3 points'
    if not isinstance(polygon, list):
        return Problem(
            f'polygon {part} of type {type(polygon).__name__}', expected, 'write the mask again'
        ), False
    if len(polygon) < 6 or len(polygon) % 2:
        return Problem(f'polygon {part} of {len(polygon)} numbers', expected, 'mend or remove it'), False
    try:
        finite = math.isfinite(sum(polygon))
    except TypeError:
        return Problem(
            f'polygon {part} with values that are no numbers', expected, 'write the mask again'
        ), False
    if not finite:
        return Problem(f'polygon {part} with NaN or infinite values', expected, 'mend or remove it'), False
    xs, ys = polygon[0::2], polygon[1::2]
    left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
    if left >= width or top >= height or right <= 0 or bottom <= 0:
        return Problem(
            f'polygon {part} outside the picture',
            f'points within {width} x {height} pixels',
            'mend or remove it',
        ), False
    inside = left >= 0 and top >= 0 and right <= width and bottom <= height
    # The shoelace formula.
    twice_area = sum(map(mul, xs, ys[1:] + ys[:1])) - sum(map(mul, xs[1:] + xs[:1], ys))
    return None, inside and abs(twice_area) > 2 * (right - left + bottom - top + 4)


def _empty_mask() -> Problem:
    return Problem('an empty mask', 'at least one pixel', 'leave the mask out if it is not known')


def _have(key: str, value: Any) -> str:
    text = repr(value)
    return f'no {key}' if value is None else f'{key} {text if len(text) <= 60 else text[:57] + "..."}'
