"""mmengine's files whole or not at all: checkpoints, copies of the config, predictions, metrics.

mmengine writes to the place itself: a run that is killed, or a disk that is full, leaves half a checkpoint
where an old and whole one was.
"""

import os
from pathlib import Path

from mmengine.config import Config
from mmengine.fileio.backends.local_backend import LocalBackend

from ..utils import atomic_write

_dump = Config.dump


def write_files_whole() -> None:
    """Let mmengine write local files to a temporary name, and move them into place."""
    LocalBackend.put = put
    LocalBackend.put_text = put_text
    Config.dump = dump


def put(self: LocalBackend, obj: bytes, filepath: str | os.PathLike) -> None:
    """As mmengine's: write bytes; missing folders are made."""
    with atomic_write(filepath, 'wb') as file:
        file.write(obj)


def put_text(self: LocalBackend, obj: str, filepath: str | os.PathLike, encoding: str = 'utf-8') -> None:
    """As mmengine's: write text; missing folders are made."""
    put(self, obj.encode(encoding), filepath)


def dump(self: Config, file: str | Path | None = None) -> str | None:
    """As mmengine's: the config as text, or written to a file."""
    if file is None or not str(file).endswith('.py'):
        return _dump(self, file)
    with atomic_write(file) as opened:
        opened.write(self.pretty_text)
    return None
