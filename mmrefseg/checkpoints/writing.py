"""Writing a converted checkpoint, and beside it the config that it runs with."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from ..utils import UserInputError, atomic_write
from ..version import __version__


def write_checkpoint(path: str | os.PathLike, state: Mapping[str, torch.Tensor], **meta: Any) -> None:
    """Write weights as mmengine does, atomically; they load with ``weights_only=True``.

    Args:
        path: Where; ends in ``.pth``.
        state: Our key -> value.
        **meta: Plain values for the checkpoint's ``meta``, such as ``original='SeqTR'`` and
            ``conventions=[...]``.

    Raises:
        UserInputError: If the name has another ending, or the file cannot be written.
    """
    if Path(path).suffix != '.pth':
        raise UserInputError.of(str(path), 'another ending', '.pth', 'name the converted checkpoint so')
    content = {'meta': {'mmrefseg_version': __version__, **meta}, 'state_dict': dict(state)}
    try:
        with atomic_write(path, 'wb') as file:
            torch.save(content, file)
    except OSError as error:
        raise UserInputError.of(
            str(path), f'no way to write it ({error.strerror})', 'a writable place', 'choose another'
        ) from error


def config_beside(checkpoint: str | os.PathLike) -> Path:
    """The config that belongs to a converted checkpoint: the same name with the ending ``.py``."""
    return Path(checkpoint).with_suffix('.py')


def write_config(path: str | os.PathLike, about: str, base: str, settings: Mapping[str, Any]) -> None:
    """Write a config of a few lines that inherits from one of the package's.

    Args:
        path: Where; ends in ``.py``.
        about: Comment at the top.
        base: What to inherit from, such as ``mmrefseg::seqtr/seqtr_darknet53_rec_refcoco-unc.py``.
        settings: What differs from it.
    """
    comment = '\n'.join(f'# {line}' for line in about.splitlines())
    with atomic_write(path) as file:
        file.write(f'{comment}\n_base_ = {base!r}\n\n{Config(dict(settings)).pretty_text}')
