"""detectron2's checkpoints: its Mask R-CNN zoo, models trained with it, and Caffe2's ImageNet backbones."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..compat.checkpoint import load_checkpoint_file
from ..compat.key_map import KeyMap, MappedState
from ..utils import UserInputError
from ..utils.safe_pickle import load_pickle

STATISTIC = r'(weight|bias|running_mean|running_var)'
BOTTOM_UP = r'(?:backbone\.bottom_up\.)?'


def _backbone_rules() -> list[tuple[str, str]]:
    rules = [
        (rf'{BOTTOM_UP}stem\.conv1\.weight', 'backbone.conv1.weight'),
        (rf'{BOTTOM_UP}stem\.conv1\.norm\.{STATISTIC}', r'backbone.bn1.\1'),
    ]
    for stage in range(2, 6):
        theirs, ours = rf'{BOTTOM_UP}res{stage}\.(\d+)', rf'backbone.layer{stage - 1}.\1'
        rules += [
            (rf'{theirs}\.shortcut\.weight', rf'{ours}.downsample.0.weight'),
            (rf'{theirs}\.shortcut\.norm\.{STATISTIC}', rf'{ours}.downsample.1.\2'),
            (rf'{theirs}\.conv([123])\.weight', rf'{ours}.conv\2.weight'),
            (rf'{theirs}\.conv([123])\.norm\.{STATISTIC}', rf'{ours}.bn\2.\3'),
        ]
    return rules


def _detector_rules() -> list[tuple[str, str]]:
    rules = []
    for level in range(2, 6):
        rules += [
            (rf'backbone\.fpn_lateral{level}\.(.*)', rf'neck.lateral_convs.{level - 2}.conv.\1'),
            (rf'backbone\.fpn_output{level}\.(.*)', rf'neck.fpn_convs.{level - 2}.conv.\1'),
        ]
    for number in range(1, 5):
        rules += [
            (rf'roi_heads\.box_head\.fc{number}\.(.*)', rf'roi_head.bbox_head.shared_fcs.{number - 1}.\1'),
            (
                rf'roi_heads\.mask_head\.mask_fcn{number}\.(.*)',
                rf'roi_head.mask_head.convs.{number - 1}.conv.\1',
            ),
        ]
    names = {
        'proposal_generator.rpn_head.conv': 'rpn_head.rpn_conv',
        'proposal_generator.rpn_head.objectness_logits': 'rpn_head.rpn_cls',
        'proposal_generator.rpn_head.anchor_deltas': 'rpn_head.rpn_reg',
        'roi_heads.box_predictor.cls_score': 'roi_head.bbox_head.fc_cls',
        'roi_heads.box_predictor.bbox_pred': 'roi_head.bbox_head.fc_reg',
        'roi_heads.mask_head.deconv': 'roi_head.mask_head.upsample',
        'roi_heads.mask_head.predictor': 'roi_head.mask_head.conv_logits',
    }
    return rules + [(rf'{re.escape(theirs)}\.(.*)', rf'{ours}.\1') for theirs, ours in names.items()]


DETECTRON2_KEYS = KeyMap(
    [*_backbone_rules(), *_detector_rules()],
    drop=[
        r'(proposal_generator\.)?anchor_generator\.cell_anchors\.\d+',
        'pixel_mean',
        'pixel_std',
        rf'{BOTTOM_UP}(stem\.)?fc\.(weight|bias)',
    ],
)
"""detectron2's names of a Mask R-CNN with ResNet and FPN; classes and deltas are in the same order here."""

_CAFFE2_BN = {
    's': 'weight',
    'b': 'bias',
    'gamma': 'weight',
    'beta': 'bias',
    'running_mean': 'running_mean',
    'running_var': 'running_var',
}


def _caffe2_rules() -> list[tuple[str, str]]:
    rules = [('conv1_w', 'backbone.conv1.weight')]
    branches = {'2a': ('conv1', 'bn1'), '2b': ('conv2', 'bn2'), '2c': ('conv3', 'bn3')}
    branches['1'] = ('downsample.0', 'downsample.1')
    rules += [(f'res_conv1_bn_{theirs}', f'backbone.bn1.{ours}') for theirs, ours in _CAFFE2_BN.items()]
    for stage in range(2, 6):
        for branch, (conv, norm) in branches.items():
            theirs, ours = rf'res{stage}_(\d+)_branch{branch}', rf'backbone.layer{stage - 1}.\1'
            rules.append((rf'{theirs}_w', rf'{ours}.{conv}.weight'))
            rules += [(rf'{theirs}_bn_{their}', rf'{ours}.{norm}.{our}') for their, our in _CAFFE2_BN.items()]
    return rules


CAFFE2_KEYS = KeyMap(_caffe2_rules(), drop=['conv1_b', r'fc1000_[wb]'])
"""The names of MSRA's ResNets in ``R-50.pkl`` and ``R-101.pkl``. detectron2 drops the bias of conv1 too."""


@dataclass
class Detectron2Checkpoint:
    """What a file of detectron2's holds.

    Attributes:
        mapped: The weights under our names; a backbone's begin with ``backbone.`` too.
        notes: Our key -> what was done besides renaming.
        depth: Layers of the ResNet: 50 or 101.
        num_classes: Of the detector; None for a backbone.
    """

    mapped: MappedState
    notes: dict[str, str]
    depth: int
    num_classes: int | None

    @property
    def backbone_only(self) -> bool:
        """Whether there is no detector in it."""
        return self.num_classes is None


def read_detectron2(path: str | os.PathLike) -> Detectron2Checkpoint:
    """Read ``model_final_xxx.pkl``, ``R-50.pkl``, ``R-101.pkl``, or a ``.pth`` that detectron2 has written.

    Nothing in the file is executed. Frozen batch norm of old files has no running statistics: they become
    mean 0 and variance 1, as in detectron2.

    Raises:
        UserInputError: If the file cannot be read, or holds no weights of a ResNet.
    """
    state = _weights(path)
    caffe2 = any(key == 'conv1_w' for key in state)
    tensors = {key: _tensor(path, key, value) for key, value in state.items()}
    mapped = (CAFFE2_KEYS if caffe2 else DETECTRON2_KEYS)(tensors)
    notes = _fill_statistics(mapped)
    scores = mapped.state.get('roi_head.bbox_head.fc_cls.weight')
    return Detectron2Checkpoint(
        mapped, notes, _depth(path, mapped), None if scores is None else len(scores) - 1
    )


def _weights(path: str | os.PathLike) -> Mapping[str, Any]:
    """The state dict in a file, whatever is around it."""
    if Path(path).suffix in ('.pkl', '.pickle'):
        content = load_pickle(path, arrays=True)
    else:
        content = load_checkpoint_file(path)
    for key in ('model', 'blobs', 'state_dict'):  # detectron2's, Detectron's, others'
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not content or not all(isinstance(key, str) for key in content):
        raise UserInputError.of(
            str(path), 'no weights by name', "{'model': {name: array}}", 'check that it is from detectron2'
        )
    # Detectron keeps the state of its optimizer beside each weight.
    return {key: value for key, value in content.items() if not key.endswith('_momentum')}


def _tensor(path: str | os.PathLike, key: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, np.ndarray) and value.dtype.kind in 'iuf':
        return torch.from_numpy(np.ascontiguousarray(value, value.dtype.newbyteorder('=')))
    raise UserInputError.of(
        str(path), f'{key} of type {type(value).__name__}', 'an array', 'check that it is from detectron2'
    )


def _fill_statistics(mapped: MappedState) -> dict[str, str]:
    """Give every batch norm the buffers that ours has."""
    notes = {}
    for key in [key for key in mapped.state if re.search(r'(bn\d|downsample\.1)\.weight$', key)]:
        norm, weight = key.removesuffix('weight'), mapped.state[key]
        made = {
            'running_mean': torch.zeros_like(weight),
            'running_var': torch.ones_like(weight),
            'num_batches_tracked': torch.zeros((), dtype=torch.long),
        }
        for name, value in made.items():
            if norm + name not in mapped.state:
                mapped.state[norm + name] = value
                mapped.origin[norm + name] = mapped.origin[key]
                notes[norm + name] = 'made: the file has none'
    return notes


def _depth(path: str | os.PathLike, mapped: MappedState) -> int:
    """Layers of the ResNet, by the number of blocks of its third stage."""
    blocks = {int(key.split('.')[2]) for key in mapped.state if key.startswith('backbone.layer3.')}
    depth = {6: 50, 23: 101}.get(len(blocks))
    if depth is None:
        raise UserInputError.of(
            str(path),
            f'{len(blocks)} blocks in res4',
            'those of a ResNet-50 (6) or ResNet-101 (23)',
            'convert a model with one of these backbones',
        )
    return depth
