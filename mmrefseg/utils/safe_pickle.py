"""Reading pickles from strangers.

A pickle is a program: ``pickle.load`` runs whatever its author wrote. The data sets and weights of this
field come as pickles (refer's ``refs(unc).p``, SeqTR's ``token_to_ix.pkl``, detectron2's
``model_final.pkl``), but they only hold containers, numbers, text and arrays. This unpickler builds those
and refuses everything else before anything is called.
"""

import _codecs
import contextlib
import os
import pickle
import resource
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from .errors import UserInputError

# An empty dict is one byte of a pickle and 64 of memory; names and numbers take less.
_BYTES_PER_BYTE = 200
_SPARE = 1 << 30
_BUILTINS = {'set': set, 'frozenset': frozenset, 'bytearray': bytearray, 'complex': complex}


def load_pickle(path: str | os.PathLike, arrays: bool = False, as_lists: bool = False) -> Any:
    """Read a pickle that holds plain data.

    Byte strings of Python 2 become text: UTF-8 where they are that, else Latin-1. Byte strings of Python 3
    stay bytes.

    Args:
        path: The file.
        arrays: Whether numpy arrays and scalars of numbers and text are plain data too.
        as_lists: Whether to return these as lists, numbers and text of Python.

    Returns:
        dicts, lists, tuples, sets, numbers, text, bytes and, with ``arrays``, numpy arrays.

    Raises:
        UserInputError: If the file is missing, is not a whole pickle, or names anything else.
    """
    expected = 'plain containers, numbers and text' + (' and arrays' if arrays else '')
    try:
        with open(path, 'rb') as file, _bounded_memory(os.fstat(file.fileno()).st_size):
            # Protocols below 3 may come from Python 2, whose str is bytes.
            python2 = not (head := file.read(2)).startswith(b'\x80') or head[1:] < b'\x03'
            file.seek(0)
            data = _PlainUnpickler(file, arrays, encoding='bytes' if python2 else 'ASCII').load()
            return _Finish(python2, as_lists).finish(data) if python2 or arrays else data
    except FileNotFoundError:
        raise UserInputError.of(str(path), 'no such file', 'a pickle', 'check the path') from None
    except IsADirectoryError:
        raise UserInputError.of(str(path), 'a folder', 'a pickle', 'check the path') from None
    except _RefusedError as error:
        raise UserInputError.of(
            str(path),
            f'a pickle that would call {error}',
            expected,
            'do not trust this file; nothing was run',
        ) from None
    except Exception as error:
        found = f'no readable pickle ({type(error).__name__}: {error})'
        raise UserInputError.of(str(path), found, expected, f'get {Path(path).name} again') from None


@contextlib.contextmanager
def _bounded_memory(size: int) -> Iterator[None]:
    """Let this process take no more memory than a sound pickle of ``size`` bytes needs.

    Ten bytes of a pickle can ask for gigabytes (a memo's place far away, a bytearray of zeros), and Linux
    would end the process for it; like this it is a MemoryError. Other systems set no such limit.
    """
    try:
        used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    except OSError:  # another system than Linux
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = used + _SPARE + _BYTES_PER_BYTE * size
    resource.setrlimit(
        resource.RLIMIT_AS, (limit if soft == resource.RLIM_INFINITY else min(soft, limit), hard)
    )
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


class _RefusedError(Exception):
    """The pickle names something that is not plain data."""


class _Python3Bytes(bytes):
    """Bytes that Python 3 wrote in an old protocol, told apart from Python 2's text."""


class _PlainUnpickler(pickle.Unpickler):
    """Resolves the few names that plain data needs, to functions that check what they get."""

    def __init__(self, file: IO[bytes], arrays: bool, encoding: str) -> None:
        super().__init__(file, encoding=encoding)
        self._arrays = arrays

    def find_class(self, module: str, name: str) -> Any:
        if module in ('builtins', '__builtin__') and name in _BUILTINS:
            return _BUILTINS[name]
        if (module, name) == ('collections', 'OrderedDict'):
            return OrderedDict
        if (module, name) == ('_codecs', 'encode'):
            return _encode
        if (module, name) == ('__builtin__', 'bytes'):
            return _empty_bytes
        if self._arrays and (maker := _array_maker(module, name)):
            return maker
        raise _RefusedError(f'{module}.{name}')

    def persistent_load(self, pid: Any) -> Any:
        raise _RefusedError('an object outside the file')


def _encode(text: str, encoding: str = 'latin1') -> bytes:
    """What Python 3 calls to rebuild bytes in protocols 0 to 2."""
    if encoding not in ('latin1', 'latin-1', b'latin1'):
        raise _RefusedError(f'_codecs.encode with {encoding!r}')
    return _Python3Bytes(_codecs.encode(text, 'latin1'))


def _empty_bytes() -> bytes:
    return _Python3Bytes()


class _Array:
    """Takes the place of an array until its state is known, and then holds it in ``value``.

    numpy would believe the shape, dtype and bytes of a pickle; here they go through ``numpy.frombuffer``.
    """

    value: np.ndarray

    def __init__(self, kind: Any = None, shape: Any = None, code: Any = None) -> None:
        if kind is not _Array:
            raise _RefusedError('numpy with an array of another type')

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        if isinstance(data, list):
            raise _RefusedError('numpy with an array of objects')
        self.value = _array_of_buffer(data, dtype, shape, 'F' if fortran else 'C')


class _Dtype:
    """Takes the place of a dtype of numbers or text."""

    def __init__(self, code: str | bytes, *_: Any) -> None:
        code = code.decode('latin-1') if isinstance(code, bytes) else code
        self.value = np.dtype(code if isinstance(code, str) else 'O')
        if self.value.kind not in 'biufcSU':
            raise _RefusedError(f'numpy with values of type {self.value}')

    def __setstate__(self, state: tuple) -> None:
        order = state[1].decode('latin-1') if isinstance(state[1], bytes) else state[1]
        self.value = self.value.newbyteorder(order)


def _array_maker(module: str, name: str) -> Callable | None:
    if module == 'numpy':
        return {'ndarray': _Array, 'dtype': _Dtype}.get(name)
    package, _, rest = module.partition('.')
    if package != 'numpy' or rest.removeprefix('_') not in ('core.multiarray', 'core.numeric'):
        return None
    return {'_reconstruct': _Array, 'scalar': _scalar, '_frombuffer': _array_of_buffer}.get(name)


def _scalar(dtype: _Dtype, data: bytes = b'') -> Any:
    return _array_of_buffer(data, dtype, (1,), 'C')[0]


def _array_of_buffer(data: Any, dtype: _Dtype, shape: tuple, order: str) -> np.ndarray:
    if not isinstance(dtype, _Dtype):
        raise _RefusedError('numpy without a dtype')
    if not dtype.value.itemsize:
        raise _RefusedError('numpy with values of no size')
    if 0 in shape:
        return np.zeros(shape, dtype.value)
    return np.frombuffer(data, dtype.value).reshape(shape, order=order).copy(order)


_FINISHED = frozenset((str, int, float, bool, type(None)))


class _Finish:
    """Puts arrays in their places and turns the bytes of Python 2 into text, in place where possible.

    Containers that are shared stay shared, and cycles end.

    Args:
        python2: Whether bytes are Python 2's text.
        as_lists: Whether arrays become lists, and their numbers Python's.
    """

    def __init__(self, python2: bool, as_lists: bool = False) -> None:
        self._python2 = python2
        self._as_lists = as_lists
        self._done: dict[int, Any] = {}
        self._kept: list = []
        self._texts: dict[bytes, str] = {}

    def finish(self, value: Any) -> Any:
        """The value as the user shall have it, all the way down."""
        kind = type(value)
        if kind in _FINISHED:
            return value
        if kind is bytes and self._python2:
            return self._text(value)
        if kind is _Array:
            return value.value.tolist() if self._as_lists else value.value
        if self._as_lists and isinstance(value, np.generic | np.ndarray):
            return value.tolist()
        if kind is _Python3Bytes:
            return bytes(value)
        if kind not in (dict, OrderedDict, list, tuple, set, frozenset):
            return value
        if id(value) not in self._done:
            self._kept.append(value)  # so that no id is used twice
            self._done[id(value)] = value
            self._done[id(value)] = self._container(value, kind)
        return self._done[id(value)]

    def _container(self, value: Any, kind: type) -> Any:
        if kind is list:
            value[:] = [self.finish(each) for each in value]
            return value
        if kind in (dict, OrderedDict):
            items = [(self.finish(key), self.finish(each)) for key, each in value.items()]
            value.clear()
            value.update(items)
            return value
        return kind(self.finish(each) for each in value)

    def _text(self, value: bytes) -> str:
        text = self._texts.get(value)
        if text is None:
            try:
                text = value.decode('utf-8')
            except UnicodeDecodeError:
                text = value.decode('latin-1')
            self._texts[value] = text
        return text
