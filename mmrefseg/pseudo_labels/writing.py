"""The picked annotation file."""

import json
import os
from collections.abc import Iterable, Mapping
from typing import IO

from ..utils import atomic_write


def write_annotations(splits: Mapping[str, Iterable[dict]], path: str | os.PathLike) -> None:
    """Write an annotation file of the working format, one record per line, atomically.

    Args:
        splits: The records by split; an iterable is consumed while it is written, so that a selection need
            not be held in memory.
        path: Where to.
    """
    with atomic_write(path) as file:
        file.write('{')
        for number, (name, records) in enumerate(splits.items()):
            file.write((', ' if number else '') + json.dumps(name) + ': ')
            _write_list(records, file)
        file.write('}\n')


def _write_list(records: Iterable[dict], file: IO[str]) -> None:
    file.write('[')
    for number, record in enumerate(records):
        file.write((',\n' if number else '\n') + json.dumps(record))
    file.write(']')
