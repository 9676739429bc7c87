"""LAVT-RIS's optimiser groups as a config says them."""

import json

from golden_lavt import load_golden
from mmengine.optim import build_optim_wrapper

# What a config says to train as LAVT-RIS does.
OPTIMIZER = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-5, weight_decay=0.01, foreach=False),
    paramwise_cfg=dict(
        custom_keys={'norm': dict(decay_mult=0.0), 'relative_position_bias_table': dict(decay_mult=0.0)}
    ),
)


def freeze_as_original(model):
    model.language_model._freeze(trained_layers=10, train_embeddings=False)


def test_optimizer_groups(golden_dir):
    loaded = load_golden(golden_dir, 'lavt_tiny_w7', bert=False)
    model, report = loaded.model, loaded.report
    freeze_as_original(model)
    wrapper = build_optim_wrapper(model, OPTIMIZER)
    decay = {id(p): group['weight_decay'] for group in wrapper.param_groups for p in group['params']}
    ours = {
        report.origin[name]: decay.get(id(p)) if p.requires_grad else None
        for name, p in model.named_parameters()
    }
    theirs = json.loads((loaded.folder / 'lavt_optimizer_groups.json').read_text())
    expected = {name: group['weight_decay'] for group in theirs['groups'] for name in group['names']}
    expected |= dict.fromkeys(theirs['not_optimised'])
    unused = {'backbone.layers.3.res_gate.0.weight', 'backbone.layers.3.res_gate.2.weight'}
    assert unused == set(expected) - set(ours)
    assert len(ours) >= 440
    assert {name: expected[name] for name in ours} == ours
