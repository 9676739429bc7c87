"""Which pairs a stopped prediction run has already written."""

import glob
import json
from collections.abc import Iterable

from ..utils import UserInputError


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
    with open(path, encoding='utf-8', errors='replace') as file:
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
                record = json.loads(line)
                pairs.add((int(record['ref_id']), int(record['sent_id'])))
            except (ValueError, KeyError, TypeError):
                broken = number
    return pairs
