"""What a record of the working format must be, and the sentence for each way in which it is not.

A record is one object of one image with its expressions (see ``docs/data.md``). What its mask must be,
:mod:`mmrefseg.structures.masks` knows.
"""

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

from ..structures.masks import mask_problem
from ..utils import UserInputError
from ..utils.errors import Problem


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
    problem = box_problem(record.get('bbox'), record['height'], record['width'])
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
        raise UserInputError.of(named(record, where), *problem)


def validate_records(records: Iterable[Any], where: str) -> list[UserInputError]:
    """Check many records; one error for each bad one, in order."""
    errors = []
    for index, record in enumerate(records):
        problem = find_problem(record)
        if problem:
            errors.append(UserInputError.of(named(record, f'{where} record {index}'), *problem))
    return errors


def named(record: Any, where: str) -> str:
    """``where`` with the ids of the record, as far as it has them."""
    if not isinstance(record, dict):
        return where
    ids = ', '.join(f'{key} {record[key]}' for key in ('ref_id', 'image_id') if key in record)
    return f'{where} ({ids})' if ids else where


def box_problem(box: Any, height: int, width: int) -> Problem | None:
    """What is wrong with a box of an image of ``height`` x ``width`` pixels, or ``None``."""
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
            f'bbox {list(box)} outside the image',
            f'a box that meets {width} x {height} pixels',
            'mend or remove it',
        )
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
            return Problem(_have(key, size), 'the size of the image in pixels', f'add its {key}')
    return None


def _have(key: str, value: Any) -> str:
    text = repr(value)
    return f'no {key}' if value is None else f'{key} {text if len(text) <= 60 else text[:57] + "..."}'
