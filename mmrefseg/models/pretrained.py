"""Pretrained weights of a part of a model, checked before mmengine loads what fits and goes on."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from ..compat.checkpoint import load_checkpoint_file
from ..utils import UserInputError


def check_pretrained(module: nn.Module, name: str, prefixes: Sequence[str], maker: str) -> None:
    """See that the file of a module's ``init_cfg`` holds what it shall.

    Args:
        module: With ``init_cfg=dict(type='Pretrained', checkpoint=..., prefix=...)``.
        name: How errors name the module.
        prefixes: Beginnings of the parameter names that must be in the file, of the same shape.
        maker: The tool that writes such files.

    Raises:
        UserInputError: If the file is missing or is that of another network.
    """
    path, prefix = str(module.init_cfg['checkpoint']), module.init_cfg.get('prefix') or ''
    if not Path(path).is_file():
        raise UserInputError.of(
            f'{name} weights {path}',
            'no such file',
            f'what {maker} writes',
            'convert the published weights to this path, or train from scratch with init_cfg=None',
        )
    weights = load_checkpoint_file(path)
    weights = weights.get('state_dict', weights)
    prefix = f'{prefix.rstrip(".")}.' if prefix else ''
    wanted = {
        key: value.shape for key, value in module.state_dict().items() if key.startswith(tuple(prefixes))
    }
    absent = [
        key for key, shape in wanted.items() if getattr(weights.get(prefix + key), 'shape', None) != shape
    ]
    if absent:
        raise UserInputError.of(
            f'{name} weights {path}',
            f'{len(absent)} of {len(wanted)} tensors missing or of another shape ({prefix}{absent[0]}, ...)',
            f'weights of the same size that {maker} wrote',
            'convert the weights of this network (and its window size), or set init_cfg.prefix',
        )
