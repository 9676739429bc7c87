"""What a record of the working format must be, and the sentence for each way in which it is not.

A record is one object of one image with its expressions (see ``docs/data.md``). What its mask must be,
:mod:`mmrefseg.structures.masks` knows.
"""

import os
import re
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

from ..structures.masks import form_problem, mask_problem
from ..utils import UserInputError
from ..utils.errors import Problem

# Pillow's limit as well; 13,377 x 13,377. More is refused before it is decoded or drawn on.
MAX_PIXELS = 178_956_970
# No box of an image reaches further.
FARTHEST = 1e9
# Ids become 64-bit integers on their way to a metric.
MOST_BITS = 63
# Half of a pair of UTF-16: json can hold it (a text cut within an emoji), no file and no tokeniser can.
SURROGATE = re.compile('[\ud800-\udfff]')
GIVE_A_SENTENCE = 'give the object a sentence or remove it'


def find_problem(record: Any) -> Problem | None:
    """The first thing wrong with a record, or ``None``.

    Args:
        record: One entry of a split of the working format. ``no_target=True`` (gRefCOCO: the expression
            refers to nothing) excuses it from having a box and a mask.
    """
    if not isinstance(record, dict):
        return Problem(f'a {type(record).__name__}', 'a dict for each object', 'convert the file again')
    for check in (_ids_problem, _names_problem, _sentences_problem, size_problem):
        if problem := check(record):
            return problem
    size = int(record['height']), int(record['width'])
    ignored = record.get('ignore_mask')
    problem = None if ignored is None else form_problem(ignored, *size)
    if problem or record.get('no_target'):
        return problem
    problem = box_problem(record.get('bbox'), *size)
    if problem or record.get('mask') is None:
        return problem
    return mask_problem(record['mask'], *size)


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
    # The comparison is exact for whole numbers that no float can hold, and false for NaN.
    if not all(-FARTHEST <= value <= FARTHEST for value in box):
        return Problem(_have('bbox', list(box)), 'finite numbers of pixels', 'write the box again')
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
    if not (_is_id(image_id) or (isinstance(image_id, str) and image_id)):
        return Problem(_have('image_id', image_id), 'a whole number or a string', 'add the image_id')
    if ref_id is not None and not _is_id(ref_id):
        return Problem(_have('ref_id', ref_id), 'a whole number', 'number the objects, or leave the key out')
    category_id = record.get('category_id')
    if category_id is not None and not _is_id(category_id):
        return Problem(_have('category_id', category_id), 'a whole number', 'number the categories')
    return None


def _is_id(value: Any) -> bool:
    return isinstance(value, Integral) and int(value).bit_length() <= MOST_BITS


def name_problem(name: Any) -> Problem | None:
    """What keeps a text from being the name of a file, or ``None``."""
    expected, todo = 'the name of a file', 'write the name as it is in the folder'
    if not isinstance(name, str) or not name:
        return Problem(_have('file_name', name), expected, todo)
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError:
        return Problem(f'file_name {ascii(name)[:60]} with half a character', expected, todo)
    if b'\0' in encoded:
        return Problem(f'{_have("file_name", name)} with a NUL', expected, todo)
    return None


def _names_problem(record: dict) -> Problem | None:
    source = record.get('data_source')
    if source is not None and not isinstance(source, str):
        return Problem(_have('data_source', source), 'a text', 'name the source, or leave the key out')
    # An empty name is as none: the image is found by its image_id.
    return name_problem(record['file_name']) if record.get('file_name') not in (None, '') else None


def _sentences_problem(record: dict) -> Problem | None:
    expressions, sent_ids = record.get('expressions'), record.get('sent_ids')
    if not isinstance(expressions, list):
        return Problem(_have('expressions', expressions), 'a list of sentences', GIVE_A_SENTENCE)
    problem = expressions_problem(expressions)
    if problem or sent_ids is None:
        return problem
    if not isinstance(sent_ids, list) or not all(map(_is_id, sent_ids)):
        return Problem(_have('sent_ids', sent_ids), 'a list of whole numbers', 'number the sentences')
    if len(sent_ids) != len(expressions):
        return Problem(
            f'{len(sent_ids)} sent_ids for {len(expressions)} expressions',
            'one id each',
            'number the sentences',
        )
    return None


def expressions_problem(expressions: list) -> Problem | None:
    """What is wrong with the sentences of an object, or ``None``."""
    if not expressions:
        return Problem('no expressions', 'at least one sentence', GIVE_A_SENTENCE)
    for index, expression in enumerate(expressions):
        if not isinstance(expression, str):
            return Problem(
                f'expression {index} of type {type(expression).__name__}', 'a sentence', GIVE_A_SENTENCE
            )
        if not expression.strip():
            return Problem(f'an empty expression at index {index}', 'a sentence', 'write it or remove it')
        if not expression.isascii() and SURROGATE.search(expression):
            return Problem(
                f'expression {index} with half a character ({ascii(expression)[:60]})',
                'text that can be written as UTF-8',
                'write the sentence again',
            )
    return None


def size_problem(record: dict) -> Problem | None:
    """What is wrong with the ``height`` and ``width`` of a record, or ``None``."""
    for key in ('height', 'width'):
        size = record.get(key)
        if not isinstance(size, Real) or not 0 < size <= MAX_PIXELS or size != int(size):
            return Problem(_have(key, size), 'the size of the image in pixels', f'add its {key}')
    if record['height'] * record['width'] > MAX_PIXELS:
        return Problem(
            f'an image of {record["width"]} x {record["height"]} pixels'[:90],
            f'at most {MAX_PIXELS}',
            'mend width and height, or make the image smaller',
        )
    return None


def _have(key: str, value: Any) -> str:
    text = repr(value)
    return f'no {key}' if value is None else f'{key} {text if len(text) <= 60 else text[:57] + "..."}'
