"""Runs and inferencers accelerate their networks, unless they are told not to."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

from mmrefseg.apis import InstanceInferencer, RefSegInferencer
from mmrefseg.models.acceleration.base import attached
from mmrefseg.runs.config import build_runner, load_config

MODEL = dict(
    type='SeqTR',
    backbone=dict(
        type='DarkNet53', base_channels=4, stage_blocks=(1, 1, 1, 1), neck_blocks=1, out_indices=(4, 6, 11),
        frozen_layers=0,
    ),
    language_model=dict(type='GRUEncoder', vocabulary=dict(words=['red']), embed_dims=8, hidden_dims=16),
    neck=dict(type='MultiscaleFusion', in_channels=(16, 32, 64), out_channels=32),
    head=dict(
        type='SeqTRHead', codec=dict(type='ContourCodec', num_points=6, num_bins=16, sampling='even'),
        in_channels=32, embed_dims=32, num_heads=2, feedforward_channels=64, num_encoder_layers=1,
        num_decoder_layers=1,
    ),
)  # fmt: skip


def pieces(model):
    return sum(attached(module) is not None for module in model.modules())


@pytest.mark.parametrize('switch', [{}, {'accelerate': True}, {'accelerate': False}])
def test_a_run(switch, tmp_path):
    config = Config(dict(model=MODEL, work_dir=str(tmp_path), default_scope='mmdet', **switch))
    runner = build_runner(config)
    assert (pieces(runner.model) > 10) == switch.get('accelerate', True)


def test_the_switch_is_in_the_runtime_and_on_the_command_line(repo_root):
    path = str(repo_root / 'configs/_base_/default_runtime.py')
    assert load_config(path).accelerate is True
    assert load_config(path, {'accelerate': False}).accelerate is False
    instances = str(repo_root / 'configs/_base_/instance_runtime.py')
    assert load_config(instances, {'accelerate': False}).accelerate is False


@pytest.mark.parametrize('inferencer', [RefSegInferencer, InstanceInferencer])
def test_an_inferencer(inferencer, tmp_path):
    path = tmp_path / 'weights.pth'
    torch.save({'state_dict': MODELS.build(MODEL).state_dict()}, path)
    loader = dict(dataset=dict(type='RefSegDataset', pipeline=[]))
    config = Config(dict(model=MODEL, test_dataloader=loader, default_scope='mmdet'))
    assert pieces(inferencer(config, path, 'cpu').model) > 10
    assert pieces(inferencer(config, path, 'cpu', accelerated=False).model) == 0


def test_a_model_that_is_built_is_the_papers():
    assert pieces(MODELS.build(MODEL)) == 0
