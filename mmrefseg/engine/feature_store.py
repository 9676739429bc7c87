"""Arrays on disk by key: written once, read from memory-mapped files, kept between runs.

A store is a folder. Each process that writes has a pair of files of its own: ``NAME.bin``, half-precision
numbers one array after another, and ``NAME.jsonl``, a line for each key with where its arrays lie. A line is
written after its numbers, so a run that was killed leaves nothing half-done, and the next one goes on.
"""

import contextlib
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..utils import UserInputError, make_folder, parse_json

NUMBER = np.dtype('<f2')


class FeatureStore:
    """Lists of float16 arrays by key.

    Args:
        folder: Where it lies; made if need be.

    Raises:
        UserInputError: If the folder cannot be made, or an index in it is damaged before its last line.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        make_folder(self.folder)
        self._where: dict[str, tuple[Path, int, tuple[tuple[int, ...], ...]]] = {}
        self._maps: dict[Path, np.memmap] = {}
        self._bin = self._index = None
        self._size = 0
        self.refresh()

    def __len__(self) -> int:
        return len(self._where)

    def __contains__(self, key: str) -> bool:
        return key in self._where

    @property
    def size(self) -> int:
        """Bytes of all arrays."""
        return self._size

    def refresh(self) -> None:
        """Read what other processes have written since.

        Raises:
            UserInputError: If an index is damaged before its last line.
        """
        own = self._index.name if self._index else None
        for index in sorted(self.folder.glob('*.jsonl')):
            if str(index) != own:
                self._read_index(index)

    def get(self, key: str) -> list[np.ndarray] | None:
        """The arrays of a key, views of the file; None if there are none."""
        if key not in self._where:
            return None
        path, first, shapes = self._where[key]
        numbers = self._map(path, first + _count(shapes))
        arrays = []
        for shape in shapes:
            count = int(np.prod(shape))
            arrays.append(numbers[first : first + count].reshape(shape))
            first += count
        return arrays

    def put(self, key: str, arrays: Sequence[np.ndarray]) -> None:
        """Keep arrays under a key; those that it has stay.

        Raises:
            OSError: The disk is full; what was kept before is untouched.
        """
        if key in self._where:
            return
        if self._bin is None:
            self._open()
        ends = {file: file.seek(0, os.SEEK_END) for file in (self._bin, self._index)}
        first = ends[self._bin] // NUMBER.itemsize
        shapes = tuple(tuple(map(int, array.shape)) for array in arrays)
        try:
            for array in arrays:
                _write(self._bin, np.ascontiguousarray(array, NUMBER).tobytes())
            line = json.dumps({'key': key, 'first': first, 'shapes': shapes}) + '\n'
            _write(self._index, line.encode())
        except OSError:
            for file, end in ends.items():
                with contextlib.suppress(OSError):
                    file.truncate(end)
            raise
        self._know(key, Path(self._bin.name), first, shapes)

    def _know(self, key: str, path: Path, first: int, shapes: tuple[tuple[int, ...], ...]) -> None:
        if key not in self._where:
            self._where[key] = (path, first, shapes)
            self._size += NUMBER.itemsize * _count(shapes)

    def close(self) -> None:
        """Close the files that were written; what is kept can still be read, and more be kept."""
        for file in (self._bin, self._index):
            if file is not None:
                file.close()
        self._bin = self._index = None

    def _open(self) -> None:
        """Files that no other process writes."""
        number = 0
        while True:
            path = self.folder / f'{number:03d}.bin'
            try:
                numbers = open(path, 'xb', buffering=0)  # noqa: SIM115 (open as long as the store)
            except FileExistsError:
                number += 1
                continue
            try:
                self._index = open(path.with_suffix('.jsonl'), 'wb', buffering=0)  # noqa: SIM115
            except OSError:
                numbers.close()
                raise
            self._bin = numbers
            return

    def _map(self, path: Path, count: int) -> np.memmap:
        """At least ``count`` numbers of a file, which may have grown since it was mapped."""
        known = self._maps.get(path)
        if known is None or len(known) < count:
            known = self._maps[path] = np.memmap(path, NUMBER, 'r')
        return known

    def _read_index(self, index: Path) -> None:
        lines = index.read_text(encoding='utf-8', errors='replace').splitlines()
        path = index.with_suffix('.bin')
        size = path.stat().st_size // NUMBER.itemsize if path.is_file() else 0
        for number, line in enumerate(lines, 1):
            entry = _entry(line)
            if entry is None:
                if number == len(lines):
                    return  # a run was killed as it wrote it
                raise UserInputError.of(
                    f'{index} line {number}',
                    'something else than a key and where its features lie',
                    'an index as this package writes it',
                    f'remove {self.folder}: its features are computed anew',
                )
            key, first, shapes = entry
            if first + _count(shapes) <= size:
                self._know(key, path, first, shapes)


def _write(file: io.RawIOBase, content: bytes) -> None:
    """All of it: a file without a buffer may take a part, as where a disk has room for no more."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def _entry(line: str) -> tuple[str, int, tuple[tuple[int, ...], ...]] | None:
    """Key, place and shapes of a line; None if it is none."""
    try:
        found: Any = parse_json(line, 'index')
        key, first, shapes = found['key'], found['first'], found['shapes']
        whole = [first, *(side for shape in shapes for side in shape)]
    except (UserInputError, KeyError, TypeError):
        return None
    if not isinstance(key, str) or not all(type(number) is int and number >= 0 for number in whole):
        return None
    return key, first, tuple(map(tuple, shapes))


def _count(shapes: Sequence[Sequence[int]]) -> int:
    return sum(int(np.prod(shape)) for shape in shapes)
