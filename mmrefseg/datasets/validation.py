"""What a record of the working format must be, and the sentence for each way in which it is not.

A record is one object of one image with its expressions (see ``docs/data.md``). What its mask must be,
:mod:`mmrefseg.structures.masks` knows.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

from ..structures.boxes import is_box
from ..structures.masks import form_problem, mask_problem
from ..structures.polygons import points_problem
from ..utils import UserInputError
from ..utils.errors import Problem, short

# Pillow's limit as well; 13,377 x 13,377. More is refused before it is decoded or drawn on.
MAX_PIXELS = 178_956_970
# Ids become 64-bit integers on their way to a metric.
MOST_BITS = 63
# Half of a pair of UTF-16: json can hold it (a text cut within an emoji), no file and no tokeniser can.
SURROGATE = re.compile('[\ud800-\udfff]')
GIVE_A_SENTENCE = 'give the object a sentence or remove it'


class Kind(NamedTuple):
    """What a field of a record, the package's own or a foreign one's, must be.

    Attributes:
        suits: Whether a value is that.
        expected: The words for it.
    """

    suits: Callable[[Any], bool]
    expected: str


def is_whole(value: Any, bits: int = MOST_BITS) -> bool:
    """Whether a value is a whole number that fits into 64 bits, or so many and a sign."""
    if type(value) is not int:  # of which nearly all are
        if isinstance(value, bool) or not isinstance(value, Integral):
            return False
        value = int(value)
    return value.bit_length() <= bits


def is_id(value: Any) -> bool:
    """Whether a value is a whole number or a text that is not empty: what can name a thing in a file."""
    return bool(value) if isinstance(value, str) else is_whole(value)


def _are_dicts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _is_number(value: Any) -> bool:
    # What has no number gets one above the largest, which must fit, too.
    return is_whole(value, MOST_BITS - 1)


WHOLE = Kind(is_whole, 'a whole number')
NUMBER = Kind(_is_number, 'a whole number')
ID = Kind(is_id, 'a whole number or a string')
TEXT = Kind(lambda value: isinstance(value, str), 'a text')
FLAG = Kind(lambda value: isinstance(value, int) and value in (0, 1), 'true or false')
DICTS = Kind(_are_dicts, 'a list of objects')
POINTS = Kind(lambda value: points_problem(value) is None, 'finite numbers x, y, x, y, ...')
TEXTS = Kind(
    lambda value: isinstance(value, list) and all(each is None or isinstance(each, str) for each in value),
    'a list of texts',
)

# What a record may have beside what every record must have.
_OPTIONAL = {
    'ref_id': NUMBER,
    'category_id': WHOLE,
    'ann_id': ID,
    'data_source': TEXT,
    'no_target': FLAG,
    'mask_points': POINTS,
    'kinds': TEXTS,
}


def fields_problem(record: Mapping, kinds: Mapping[str, Kind]) -> Problem | None:
    """The first field of a record that is of another kind, or ``None``. One that is absent or None suits."""
    for key, kind in kinds.items():
        value = record.get(key)
        if value is not None and not kind.suits(value):
            return Problem(_have(key, value), kind.expected, 'mend it')
    return None


_NO_BOX = ('[0, 0, 0, 0] for an expression without target', 'leave the key out')


def find_problem(record: Any) -> Problem | None:
    """The first thing wrong with a record, or ``None``.

    Args:
        record: One entry of a split of the working format. ``no_target=True`` (gRefCOCO: the expression
            refers to nothing) excuses it from having a box and a mask.
    """
    if not isinstance(record, dict):
        return Problem(f'a {type(record).__name__}', 'a dict for each object', 'convert the file again')
    problem = fields_problem(record, _OPTIONAL)
    for check in (_image_problem, _sentences_problem, size_problem):
        problem = problem or check(record)
    if problem:
        return problem
    size = int(record['height']), int(record['width'])
    ignored = record.get('ignore_mask')
    problem = None if ignored is None else form_problem(ignored, *size)
    if problem:
        return problem
    if record.get('no_target'):
        box = record.get('bbox')
        return None if box is None or is_box(box) else Problem(_have('bbox', box), *_NO_BOX)
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
    ids = ', '.join(f'{key} {_said(record[key])}' for key in ('ref_id', 'image_id') if key in record)
    return f'{where} ({ids})' if ids else where


def _said(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= 60 else short(value)


def box_problem(box: Any, height: int, width: int) -> Problem | None:
    """What is wrong with a box of an image of ``height`` x ``width`` pixels, or ``None``."""
    expected = '[x, y, width, height] in pixels'
    if not is_box(box):
        if isinstance(box, list | tuple) and len(box) == 4 and all(isinstance(v, Real) for v in box):
            expected = 'finite numbers of pixels'
        return Problem(_have('bbox', box), expected, 'write the box again')
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


def _image_problem(record: dict) -> Problem | None:
    image_id = record.get('image_id')
    if not is_id(image_id):
        return Problem(_have('image_id', image_id), ID.expected, 'add the image_id')
    # An empty name is as none: the image is found by its image_id.
    return name_problem(record['file_name']) if record.get('file_name') not in (None, '') else None


def _sentences_problem(record: dict) -> Problem | None:
    expressions, sent_ids = record.get('expressions'), record.get('sent_ids')
    if not isinstance(expressions, list):
        return Problem(_have('expressions', expressions), 'a list of sentences', GIVE_A_SENTENCE)
    problem = expressions_problem(expressions)
    if problem:
        return problem
    if sent_ids is not None and not (isinstance(sent_ids, list) and all(map(_is_number, sent_ids))):
        return Problem(_have('sent_ids', sent_ids), 'a list of whole numbers', 'number the sentences')
    for key in ('sent_ids', 'kinds'):
        if record.get(key) is not None and len(record[key]) != len(expressions):
            return Problem(
                f'{len(record[key])} {key} for {len(expressions)} expressions',
                'one id each' if key == 'sent_ids' else 'one each',
                'number the sentences' if key == 'sent_ids' else 'leave the key out',
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
    return f'no {key}' if value is None else f'{key} {short(value)}'
