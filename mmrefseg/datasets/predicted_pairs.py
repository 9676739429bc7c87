"""What prediction shards say: which pairs a stopped run has already written, and by which weights."""

import glob
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..utils import UserInputError, parse_json

# So many digits of a hash stay in every line: 64 bits.
HASH_DIGITS = 16


class Checkpoint(NamedTuple):
    """The weights that predicted, as far as they are known; two fields of every prediction.

    Attributes:
        checkpoint: Where they were loaded from.
        checkpoint_sha256: The first 16 hexadecimal digits of the file's SHA-256.
    """

    checkpoint: str | None = None
    checkpoint_sha256: str | None = None

    @classmethod
    def of_file(cls, path: str | None, sha256: str | None) -> 'Checkpoint':
        """Of a file and its whole hash, each None if it is not known."""
        return cls(path, sha256 and sha256[:HASH_DIGITS])

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> 'Checkpoint':
        """What a prediction says; what is no text says nothing."""
        values = map(record.get, cls._fields)
        return cls(*(value if isinstance(value, str) else None for value in values))

    def is_same(self, other: 'Checkpoint') -> bool:
        """Whether both have the same content; where neither content is known, whether the names agree."""
        if self.checkpoint_sha256 or other.checkpoint_sha256:
            return self.checkpoint_sha256 == other.checkpoint_sha256
        return self.checkpoint == other.checkpoint

    def __str__(self) -> str:
        known = f' (sha256 {self.checkpoint_sha256})' if self.checkpoint_sha256 else ''
        return f'{self.checkpoint or "an unknown checkpoint"}{known}'


class NothingLeft(UserInputError):
    """Every pair of the split is already in the prediction shards."""


def read_predicted_pairs(patterns: str | Iterable[str]) -> set[tuple[int, int]]:
    """The (ref_id, sent_id) pairs in JSON-lines shards.

    A run that was killed may leave half a line at the end of a shard; that pair counts as not predicted.
    (Whoever appends to such a shard must begin a new line.)

    Args:
        patterns: Paths or glob patterns of shards. A pattern that matches nothing is a run that has not
            begun.

    Raises:
        UserInputError: If a line that is not the last is not a prediction.
    """
    pairs = set()
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        # A path with brackets is a path before it is a pattern.
        paths = sorted(set(glob.glob(pattern)) | set(glob.glob(glob.escape(pattern))))
        for path in paths:
            pairs |= _read_shard(path)
    return pairs


def _read_shard(path: str) -> set[tuple[int, int]]:
    pairs, broken = set(), None
    with open(path, encoding='utf-8-sig', errors='replace') as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            if broken is not None:
                raise UserInputError.of(
                    f'{path} line {broken}',
                    'text that is no prediction',
                    'a json object with ref_id and sent_id',
                    'remove the line or the file and predict again',
                )
            try:
                pair = pair_of(parse_json(line, path))
            except UserInputError:
                pair = None
            if pair is None:
                broken = number
            else:
                pairs.add(pair)
    return pairs


def pair_of(record: Any) -> tuple[int, int] | None:
    """The ref_id and sent_id of a prediction: whole numbers of 64 bits, as numbers or text; else None."""
    if not isinstance(record, dict):
        return None
    pair = tuple(_whole(record.get(key)) for key in ('ref_id', 'sent_id'))
    return None if None in pair else pair


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = int(value)
    except (ValueError, OverflowError):  # NaN, infinity, other text
        return None
    return number if (isinstance(value, str) or number == value) and -(2**63) <= number < 2**63 else None
