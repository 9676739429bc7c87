"""Numbers and ids as files have them: text, floats, beyond 64 bits."""

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

from ...utils import UserInputError, parse_json

Id = int | str
# pycocotools and numpy count pixels in 32 bits.
MOST_PIXELS = 2**31 - 1


def as_number(value: Any) -> float | None:
    """A finite number, from a number or its text; None for anything else."""
    if type(value) is float:  # the usual case first
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if not isinstance(value, Real) or isinstance(value, bool):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # an integer beyond the largest float
        return None


def as_id(value: Any) -> Id | None:
    """An id as it can be a key: a whole number or text; None for anything else."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    if isinstance(value, Integral):
        return int(value)
    return int(value) if math.isfinite(value) and value == int(value) else None


def is_plain(value: Id) -> bool:
    """Whether every reader of COCO files takes this id: a whole number of 64 bits above 0."""
    return isinstance(value, int) and 0 < value < 2**63


def as_flag(value: Any) -> bool:
    """A switch such as ``iscrowd``: the texts '0' and 'false' are off."""
    return value is True or bool(as_number(value)) or (isinstance(value, str) and value.lower() == 'true')


def from_text(value: Any) -> Any:
    """A list or dict that a table has written as json text; any other value as it is."""
    if not isinstance(value, str) or value.strip()[:1] not in ('[', '{'):
        return value
    try:
        return parse_json(value, 'a value')
    except UserInputError:
        return value


def as_size(height: Any, width: Any) -> tuple[int, int] | None:
    """(height, width) in pixels, if both are whole numbers above 0 and their image can exist."""
    size = as_number(height), as_number(width)
    if None in size or any(length < 1 or length != int(length) for length in size):
        return None
    size = int(size[0]), int(size[1])
    return size if size[0] * size[1] <= MOST_PIXELS else None


class Lookup:
    """Finds the id that a reference means: the same, or the only one of the same text (1, '1', '001')."""

    def __init__(self, ids: Iterable[Id]) -> None:
        self._ids = set(ids)
        self._by_text: dict[str, list[Id]] = {}
        for id_ in self._ids:
            if isinstance(id_, str) or abs(id_) < 10**100:  # Python refuses to print longer ones
                self._by_text.setdefault(_plain_text(id_), []).append(id_)

    def __call__(self, reference: Any) -> Id | None:
        """The id, or None."""
        # The usual case first. True is equal to 1.
        if type(reference) in (int, str) and reference in self._ids:
            return reference
        reference = as_id(reference)
        if reference is None or reference in self._ids:
            return reference
        text = _plain_text(reference) if isinstance(reference, str) or abs(reference) < 10**100 else ''
        same = self._by_text.get(text, ())
        return same[0] if len(same) == 1 else None


def _plain_text(id_: Id) -> str:
    """The text of an id, without the zeros that fill up the names of files."""
    text = str(id_)
    return text.lstrip('0') or '0' if text.isascii() and text.isdigit() else text
