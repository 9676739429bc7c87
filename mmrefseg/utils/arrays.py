"""Reading numpy's files from strangers: a header may claim terabytes that the file does not hold."""

import math
import os
import zipfile
from collections.abc import Sequence
from typing import IO, Any

import numpy as np

from .errors import UserInputError
from .files import unreadable

# Of one array, in memory. GloVe's largest table, 2.2 million words of 300 float32, has 2.6 GB.
MOST_BYTES = 4 * 2**30


def load_npy(path: str | os.PathLike, expected: str = 'an array') -> np.ndarray:
    """The array of an ``.npy`` file, read without pickle.

    Args:
        path: The file.
        expected: What it shall be, for the sentence.

    Raises:
        UserInputError: If it cannot be read, is no array of numbers or text, is shorter than its header
            claims, or larger than :data:`MOST_BYTES`.
    """
    try:
        with open(path, 'rb') as file:
            length = os.fstat(file.fileno()).st_size
            return _read_array(file, length)
    except _BROKEN as error:
        raise _sentence(path, error, expected) from None


def load_npz(path: str | os.PathLike, names: Sequence[str], expected: str) -> list[np.ndarray]:
    """Arrays of an ``.npz`` file by name, read without pickle.

    Args:
        path: The file.
        names: Of the arrays.
        expected: What the file shall be, for the sentence.

    Raises:
        UserInputError: As of :func:`load_npy`, or if one of the names is missing.
    """
    arrays = []
    try:
        with zipfile.ZipFile(path) as archive:
            for name in names:
                member = archive.getinfo(f'{name}.npy')
                with archive.open(member) as file:
                    arrays.append(_read_array(file, member.file_size))
    except _BROKEN as error:
        raise _sentence(path, error, expected) from None
    return arrays


_BROKEN = (
    OSError, ValueError, KeyError, TypeError, EOFError, SyntaxError, RuntimeError, NotImplementedError,
    RecursionError, MemoryError, zipfile.BadZipFile, zipfile.LargeZipFile,
)  # fmt: skip


def _sentence(path: str | os.PathLike, error: Exception, expected: str) -> UserInputError:
    if isinstance(error, OSError):
        return unreadable(path, error, expected)
    reason = ' '.join(str(error).split())[:120]
    return UserInputError.of(
        str(path),
        f'no array: the file cannot be read ({type(error).__name__}: {reason})',
        expected,
        'get the file again',
    )


def _read_array(file: IO[bytes], length: int) -> np.ndarray:
    """The array of a stream of ``length`` bytes; its claim is checked before memory is taken."""
    version = np.lib.format.read_magic(file)
    shape, fortran, dtype = _read_header(file, version)
    if dtype.hasobject or not dtype.itemsize:
        raise ValueError(f'it holds {"Python objects" if dtype.hasobject else "nothing"}')
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > min(length, MOST_BYTES):
        raise ValueError(f'its header claims {claimed} bytes, it has {length}; at most {MOST_BYTES} are read')
    data, filled = np.empty(claimed, np.uint8), 0
    while filled < claimed:
        count = file.readinto(data[filled:])
        if not count:
            raise ValueError(f'it ends after {filled} of {claimed} bytes')
        filled += count
    return data.view(dtype).reshape(shape, order='F' if fortran else 'C')


def _read_header(file: IO[bytes], version: tuple[int, int]) -> tuple[tuple[int, ...], bool, Any]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f'version {version} of the format')
    shape, fortran, dtype = readers[version](file)
    if any(side < 0 for side in shape):
        raise ValueError(f'the shape {shape}')
    return shape, fortran, dtype
