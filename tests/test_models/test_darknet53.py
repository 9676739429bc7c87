"""Pretrained weights of the backbone: all of them, or one sentence."""

import pytest
import torch
from mmdet.registry import MODELS

from mmrefseg.utils import UserInputError

TINY = dict(
    type='DarkNet53', base_channels=4, stage_blocks=(1, 1), neck_blocks=1, out_indices=(4,), frozen_layers=0
)


def build(path, **init_cfg):
    model = MODELS.build({**TINY, 'init_cfg': dict(type='Pretrained', checkpoint=str(path), **init_cfg)})
    model.init_weights()
    return model


@pytest.fixture
def state():
    """Weights that no initialisation would give."""
    model = MODELS.build(TINY)
    return {key: torch.full_like(value, 7) for key, value in model.state_dict().items()}


def test_weights_are_loaded(state, tmp_path):
    """A bare state dict, a checkpoint, and a whole model's checkpoint by its prefix."""
    torch.save(state, tmp_path / 'bare.pth')
    torch.save({'state_dict': state}, tmp_path / 'checkpoint.pth')
    whole = {f'backbone.{key}': value for key, value in state.items()}
    torch.save({'state_dict': {**whole, 'head.weight': torch.zeros(1)}}, tmp_path / 'whole.pth')
    for model in (
        build(tmp_path / 'bare.pth'),
        build(tmp_path / 'checkpoint.pth'),
        build(tmp_path / 'whole.pth', prefix='backbone'),
    ):
        assert all((value == 7).all() for value in model.state_dict().values())


def test_missing_file(tmp_path):
    with pytest.raises(UserInputError, match=r'none\.pth: found no such file.*init_cfg=None'):
        build(tmp_path / 'none.pth')


def test_weights_of_another_network(state, tmp_path):
    """One tensor absent, one of another shape, all under other names: nothing is loaded in silence."""
    first = next(iter(state))
    torch.save({key: value for key, value in state.items() if key != first}, tmp_path / 'absent.pth')
    torch.save({**state, first: torch.zeros(2)}, tmp_path / 'shape.pth')
    torch.save({f'darknet.{key}': value for key, value in state.items()}, tmp_path / 'names.pth')
    for name in ('absent', 'shape'):
        with pytest.raises(UserInputError, match=rf'1 of \d+ tensors missing or of another shape \({first}'):
            build(tmp_path / f'{name}.pth')
    with pytest.raises(UserInputError, match=r'(\d+) of \1 tensors missing'):
        build(tmp_path / 'names.pth')
