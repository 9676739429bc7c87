"""Prediction shards, read as they are needed, and the annotation file with the picked masks."""

import glob
import json
import os
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

import numpy as np

from ..datasets.predicted_pairs import Checkpoint, pair_of
from ..utils import UserInputError, atomic_write, load_json, parse_json
from ..utils.errors import short


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


TODO = 'remove the file and predict again'


def prediction_files(patterns: str | Iterable[str]) -> list[str]:
    """The files that paths, glob patterns or dump prefixes stand for, in a fixed order.

    Args:
        patterns: Each a file, a pattern, or the ``outfile_prefix`` of a ``PseudoLabelDump`` (then its shards
            ``<prefix>.rank*.jsonl``).

    Raises:
        UserInputError: If one of them stands for no file.
    """
    files: dict[str, None] = {}
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        found = [pattern] if os.path.isfile(pattern) else glob.glob(f'{glob.escape(pattern)}.rank*.jsonl')
        found = found or [path for path in glob.glob(pattern) if os.path.isfile(path)]
        if not found:
            raise UserInputError.of(
                pattern,
                'no predictions',
                'json-lines shards, their prefix, or a prediction file',
                'run tools/test.py with the -pseudo config first',
            )
        files.update(dict.fromkeys(sorted(found, key=_natural)))
    return list(files)


def _natural(path: str) -> tuple[int, str]:
    # rank10 comes after rank9.
    return len(path), path


class PredictionStore:
    """The predictions of several files by object; only their places in the files are kept in memory.

    Where a (ref_id, sent_id) is there more than once (a sampler's padding, a run that was repeated), the last
    one counts, files in the order given and lines in the order written.

    Args:
        files: Json-lines shards (``.jsonl``), or prediction files (a json list, which is held in memory).

    Attributes:
        files: What was read, in order.
        num_records: Distinct predictions.
        num_duplicates: Predictions that another one has replaced.
        checkpoints: How many predictions say that they are of each (those replaced included).
        notes: What the user should know, in sentences.

    Raises:
        UserInputError: If a file is missing or a line is no prediction. Half a line at the end of a shard,
            left by a run that was stopped, is passed over with a note.
    """

    def __init__(self, files: Iterable[str]) -> None:
        self.notes: list[str] = []
        self.files = list(files)
        self.checkpoints: Counter[Checkpoint] = Counter()
        self._handles: dict[int, IO[bytes]] = {}
        self._lists: dict[int, list[dict]] = {}
        # ref_id, sent_id, file, and byte offset (or position in a json list) of every prediction read.
        places = array('q')
        for number, path in enumerate(self.files):
            for where, record in self._scan(number, path):
                places.extend((*_ids(record, path), number, where))
                self.checkpoints[Checkpoint.of_record(record)] += 1
        table = np.frombuffer(places, np.int64).reshape(-1, 4)
        # A stable sort keeps the order of reading among equals, of which the last one stays.
        table = table[np.lexsort((table[:, 1], table[:, 0]))]
        last = np.ones(len(table), bool)
        last[:-1] = (table[1:, :2] != table[:-1, :2]).any(axis=1)
        self._table = table[last]
        self.num_records = len(self._table)
        self.num_duplicates = len(table) - self.num_records

    @property
    def ref_ids(self) -> set[int]:
        """Ids of the objects that have predictions."""
        return set(np.unique(self._table[:, 0]).tolist())

    def of_object(self, ref_id: int) -> list[dict]:
        """The object's predictions in order of ``sent_id``; empty if it has none."""
        first = np.searchsorted(self._table[:, 0], ref_id)
        stop = np.searchsorted(self._table[:, 0], ref_id, side='right')
        return [self._read(number, where) for _, _, number, where in self._table[first:stop].tolist()]

    def close(self) -> None:
        """Close the files."""
        for handle in self._handles.values():
            handle.close()
        self._handles.clear()

    def __enter__(self) -> 'PredictionStore':
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _scan(self, number: int, path: str) -> Iterator[tuple[int, Any]]:
        if not path.endswith('.jsonl'):
            records = load_json(path)
            if not isinstance(records, list):
                raise UserInputError.of(
                    path, f'a json {type(records).__name__}', 'a list of predictions', TODO
                )
            self._lists[number] = records
            yield from enumerate(records)
            return
        offset = 0
        broken = None
        with open(path, 'rb') as file:
            for line_number, line in enumerate(file, 1):
                if broken is not None:
                    raise UserInputError.of(
                        f'{path} line {broken}', 'text that is not json', 'one prediction a line', TODO
                    )
                if line.strip():
                    try:
                        record = parse_json(line, path)
                    except UserInputError:
                        broken = line_number
                    else:
                        yield offset, record
                offset += len(line)
        if broken is not None:
            self.notes.append(f'{path}: half a line at the end was passed over (the run was stopped).')

    def _read(self, number: int, where: int) -> dict:
        if number in self._lists:
            return self._lists[number][where]
        handle = self._handles.get(number)
        if handle is None:
            handle = self._handles[number] = open(self.files[number], 'rb')  # noqa: SIM115 (see close)
        handle.seek(where)
        return parse_json(handle.readline(), self.files[number])


def _ids(record: Any, path: str) -> tuple[int, int]:
    pair = pair_of(record)
    if pair is None:
        raise UserInputError.of(
            path,
            f'an entry without whole ref_id and sent_id: {short(record)}',
            'predictions with both',
            TODO,
        )
    return pair
