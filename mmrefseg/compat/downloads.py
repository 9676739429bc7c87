"""Published weights by their address: downloaded once, and read without running code from them.

mmengine hands what it has downloaded to ``torch.hub``, which loads it with ``weights_only=False``: who can
change the file runs code. Here it is opened like any other checkpoint from a stranger.
"""

import os
import urllib.error
from pathlib import Path
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, get_rank
from mmengine.runner.checkpoint import CheckpointLoader, get_external_models

from ..utils import UserInputError
from .checkpoint import load_checkpoint_file

PREFIXES = ('open-mmlab://', 'openmmlab://')


def read_downloads_safely() -> None:
    """Let mmengine's ``load_from`` and ``init_cfg=dict(type='Pretrained')`` open addresses by this module."""
    CheckpointLoader.register_scheme(('http://', 'https://'), load_from_http, force=True)
    CheckpointLoader.register_scheme(PREFIXES, load_from_openmmlab, force=True)


def load_from_http(filename: str, map_location: str | torch.device = 'cpu') -> dict:
    """Download (the first process; the others wait) and read.

    Args:
        filename: An address. The file is kept in ``$TORCH_HOME/hub/checkpoints``.
        map_location: Where the tensors shall be.

    Raises:
        UserInputError: If it cannot be downloaded, or holds anything but tensors and plain containers.
    """
    path = Path(torch.hub.get_dir()) / 'checkpoints' / os.path.basename(urlparse(filename).path)
    if get_rank() == 0:
        _download(filename, path)
    barrier()
    if not path.is_file():  # another machine
        _download(filename, path)
    return load_checkpoint_file(path, map_location=map_location)


def load_from_openmmlab(filename: str, map_location: str | torch.device = 'cpu') -> dict:
    """Weights by their name in OpenMMLab's list, such as ``open-mmlab://resnest50``.

    Raises:
        UserInputError: If the list has no such name, or see :func:`load_from_http`.
    """
    known = get_external_models()
    name = filename.partition('://')[2]
    if name not in known:
        raise UserInputError.of(filename, 'an unknown name', "one of mmengine's list", 'name a file instead')
    return load_from_http(known[name], map_location)


def _download(address: str, path: Path) -> None:
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(address, str(path), progress=False)
    except (urllib.error.URLError, OSError) as error:
        reason = ' '.join(str(error).split())
        raise UserInputError.of(
            address,
            f'no way to download it ({reason})',
            'a network',
            f'download it elsewhere and put it at {path}, or name the file in the config',
        ) from error
