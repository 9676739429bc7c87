"""Training a few modules only."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmrefseg.engine.hooks import TrainOnlyHook
from mmrefseg.utils import UserInputError


class Network(nn.Module):
    """A trunk with a batch norm, and a head of two parts."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.head = nn.ModuleDict(
            {'old': nn.Linear(4, 4), 'new': nn.Sequential(nn.Linear(4, 2), nn.Dropout(0.5))}
        )
        self.head_new = nn.Linear(1, 1)  # a name that begins like another

    def forward(self, x):
        return self.head['new'](self.head['old'](self.trunk(x)))


def started(*modules):
    runner, hook = SimpleNamespace(model=Network()), TrainOnlyHook(modules)
    hook.before_run(runner)
    runner.model.train()  # as the loop does, after before_train_epoch
    hook.before_train_iter(runner, 0)
    return runner.model


def test_one_step_changes_the_named_module_and_nothing_else():
    model = started('head.new')
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    model(torch.randn(8, 3)).square().sum().backward()
    optimizer.step()
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {'head.new.0.weight', 'head.new.0.bias'}


def test_what_is_frozen_computes_as_in_a_test():
    model = started('head.new')
    modes = {name: module.training for name, module in model.named_modules()}
    assert {name for name, training in modes.items() if training} == {
        '', 'head', 'head.new', 'head.new.0', 'head.new.1'
    }  # fmt: skip


def test_a_name_that_the_model_does_not_have_is_refused():
    with pytest.raises(UserInputError, match=r'head\.newer: found no such module \(did you mean head\.new'):
        started('head.newer')
