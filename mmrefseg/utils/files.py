"""Writing files so that nothing is lost: a temporary name, then a move."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from .errors import UserInputError


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike, mode: str = 'w') -> Iterator[IO]:
    """Open a temporary file beside ``path`` and move it into place on success.

    Args:
        path: Where the file shall be. Its folder is made if it is missing.
        mode: ``'w'`` (UTF-8 text) or ``'wb'``.

    Yields:
        The open file. If the block raises, ``path`` keeps what it had.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f'.{path.name}.', dir=path.parent)
    try:
        with os.fdopen(handle, mode, encoding=None if 'b' in mode else 'utf-8') as file:
            yield file
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def dump_json(data: Any, path: str | os.PathLike, indent: int | None = None) -> None:
    """Write ``data`` as json, atomically, with a final newline."""
    text = json.dumps(data, indent=indent)  # json.dump takes three times as long
    with atomic_write(path) as file:
        file.write(f'{text}\n')


def load_json(path: str | os.PathLike) -> Any:
    """Read a json file.

    Raises:
        UserInputError: If the file is missing or is not json.
    """
    try:
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    except FileNotFoundError:
        raise UserInputError.of(str(path), 'no such file', 'a json file', 'check the path') from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserInputError.of(
            str(path), f'text that is not json ({error})', 'a json file', 'write the file again'
        ) from None
