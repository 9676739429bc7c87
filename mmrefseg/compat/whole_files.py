"""mmengine's files whole or not at all: checkpoints, copies of the config, predictions, metrics.

mmengine writes to the place itself: a run that is killed, or a disk that is full, leaves half a checkpoint
where an old and whole one was.
"""

import os
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.fileio.backends.local_backend import LocalBackend
from mmengine.runner import runner

from ..utils import atomic_write

_dump = Config.dump
_save_checkpoint = runner.save_checkpoint


def write_files_whole() -> None:
    """Let mmengine write local files to a temporary name, and move them into place."""
    LocalBackend.put = put
    LocalBackend.put_text = put_text
    Config.dump = dump
    runner.save_checkpoint = save_checkpoint


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


def save_checkpoint(checkpoint: dict, filename: str, *args: Any, **kwargs: Any) -> None:
    """As mmengine's; onto a local disk piece by piece, not by way of two copies of the file in memory."""
    if '://' in filename or any(args) or any(kwargs.values()):
        _save_checkpoint(checkpoint, filename, *args, **kwargs)
        return
    with atomic_write(filename, 'wb') as file:
        torch.save(checkpoint, file)
