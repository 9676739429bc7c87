"""What a check has found: counts by reason, with the first places of each."""

from collections.abc import Iterable, Iterator
from typing import Any

from ...utils.errors import printable

_NAMED = 3
_LONGEST_NAME = 40


class Findings:
    """Counts by reason, and the first places where each was found.

    Args:
        keep_all: Keep all places, for :meth:`each`.
    """

    def __init__(self, keep_all: bool = False) -> None:
        self.counts: dict[str, int] = {}
        self._places: dict[str, list[str]] = {}
        self._keep_all = keep_all

    def add(self, reason: str, place: Any, count: int = 1) -> None:
        """Count one more (or ``count`` more), found at ``place`` (an id or a name)."""
        self.counts[reason] = self.counts.get(reason, 0) + count
        places = self._places.setdefault(reason, [])
        if self._keep_all or len(places) < _NAMED:
            places.append(as_named(place))

    def __bool__(self) -> bool:
        return bool(self.counts)

    @property
    def total(self) -> int:
        """All that was counted."""
        return sum(self.counts.values())

    def each(self) -> Iterator[tuple[str, str]]:
        """Reason and place of all that was counted, if all places were kept."""
        return ((reason, place) for reason, places in self._places.items() for place in places)

    def drop(self, reason: str) -> None:
        """Forget what was counted for a reason."""
        self.counts.pop(reason, None)
        self._places.pop(reason, None)

    def lines(self) -> list[str]:
        """``3 without a box (7, 9, 12, ...)``, the most frequent first."""
        ordered = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return [f'{count} {reason} ({self._examples(reason, count)})' for reason, count in ordered]

    def __str__(self) -> str:
        return ', '.join(self.lines())

    def _examples(self, reason: str, count: int) -> str:
        places = self._places[reason][:_NAMED]
        return ', '.join([*places, '...'] if count > len(places) else places)


def as_named(value: Any) -> str:
    """A file's own name for a thing, as lists of examples have it: without quotes, on one short line."""
    if isinstance(value, int) and abs(value) >= 10**_LONGEST_NAME:
        return 'a number of more than 40 digits'
    try:
        text = ' '.join(str(value).split())
    except (ValueError, RecursionError):  # a long number, or a deep list, within the value
        return f'a {type(value).__name__}'
    return printable(text if len(text) <= _LONGEST_NAME else f'{text[: _LONGEST_NAME - 3]}...')


def listed(names: Iterable[Any]) -> str:
    """The first few names with commas."""
    names = list(names)
    return ', '.join([*map(as_named, names[:_NAMED]), *(['...'] if len(names) > _NAMED else [])])
