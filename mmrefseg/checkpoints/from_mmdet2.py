"""Checkpoints of mmdet 2.x (mmcv 1.x) as mmdet 3.x and this package read them.

From 2.0 on the parameters of detectors of the R-CNN family kept their names and conventions: background is
the last class, RoIAlign is aligned, boxes have no +1. What changed is around them: class names moved from
``meta['CLASSES']`` to ``meta['dataset_meta']``, and mmcv's moving average lies beside the weights. mmdet 1.x
had other conventions; its checkpoints are refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..compat.checkpoint import load_checkpoint_file
from ..compat.key_map import KeyMap, MappedState
from ..utils import UserInputError

# mmcv's EMAHook keeps `ema_backbone_conv1_weight`; what it saves under the plain name is the average itself.
MMDET2_KEYS = KeyMap([(r'(.+)', r'\1')], drop=[r'ema_.+'])


@dataclass(frozen=True)
class Mmdet2Checkpoint:
    """What a file of mmdet 2.x holds, under the names of mmdet 3.x.

    Attributes:
        mapped: Its weights.
        meta: ``dataset_meta`` (class names, and a palette if there is one), ``mmdet_version``, ``epoch`` and
            ``iter``, as far as the file has them.
    """

    mapped: MappedState
    meta: dict[str, Any]


def read_mmdet2(path: str) -> Mmdet2Checkpoint:
    """Read a checkpoint of mmdet 2.x, without running code from it.

    Args:
        path: A ``latest.pth`` or ``epoch_24.pth``, or a published file of weights alone.

    Raises:
        UserInputError: If it is no such file, or of mmdet 1.x.
    """
    checkpoint = load_checkpoint_file(path)
    state = checkpoint.get('state_dict', checkpoint)
    weights = {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}
    if not weights:
        raise UserInputError.of(path, 'no weights', 'a checkpoint of mmdet 2.x', 'check the path')
    old_meta = checkpoint.get('meta')
    return Mmdet2Checkpoint(MMDET2_KEYS(weights), _new_meta(path, old_meta if old_meta else {}))


def _new_meta(path: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    version = str(meta.get('mmdet_version', ''))
    if re.match(r'[01]\.', version):
        raise UserInputError.of(
            path,
            f'a checkpoint of mmdet {version}, where background is the first class',
            'one of mmdet 2.x',
            "run mmdet 2's tools/model_converters/upgrade_model_version.py on it first",
        )
    dataset = {
        new: list(meta[old]) for old, new in (('CLASSES', 'classes'), ('PALETTE', 'palette')) if meta.get(old)
    }
    kept = {key: meta[key] for key in ('mmdet_version', 'epoch', 'iter') if key in meta}
    return {**kept, **({'dataset_meta': dataset} if dataset else {})}
