"""Parameter groups by setting."""

import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

import mmrefseg.registration  # noqa: F401


def build(constructor: str, model: nn.Module):
    config = dict(
        type='OptimWrapper',
        constructor=constructor,
        optimizer=dict(type='AdamW', lr=0.1, weight_decay=0.01),
        paramwise_cfg=dict(custom_keys={'0.': dict(lr_mult=3.0)}, norm_decay_mult=0.0),
    )
    return build_optim_wrapper(model, config).optimizer


def make_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 6), nn.LayerNorm(6), nn.Linear(6, 2))


def test_groups_are_the_settings_and_updates_are_the_same():
    models, groups = [], []
    for constructor in ('DefaultOptimWrapperConstructor', 'mmdet.MergedGroupsConstructor'):
        model = make_model()
        optimizer = build(constructor, model)
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.linspace(-1, 1, 12).view(3, 4)).square().sum().backward()
            optimizer.step()
        models.append(model)
        groups.append(optimizer.param_groups)
    assert len(groups[0]) == 8
    assert sorted((g['lr'], g['weight_decay'], len(g['params'])) for g in groups[1]) == [
        (0.1, 0.0, 2),
        (0.1, 0.01, 4),
        (0.1 * 3.0, 0.01, 2),
    ]
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert one.equal(other)
