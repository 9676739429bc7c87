"""Numbers of a config that no run could work with."""

import pytest
from mmengine.config import Config

from mmrefseg.runs.config_values import RULES, check_values
from mmrefseg.utils import UserInputError

GOOD = {
    'train_cfg.max_epochs': 1,
    'train_dataloader.batch_size': 2,
    'val_dataloader.num_workers': 0,
    'optim_wrapper.optimizer.lr': 1e-4,
    'optim_wrapper.optimizer.weight_decay': 0,
    'train_dataloader.dataset.pipeline': [{'type': 'A'}],
    'test_evaluator': None,
}


@pytest.mark.parametrize(
    ('key', 'value', 'expected'),
    [
        ('train_dataloader.batch_size', 0, 'a whole number of at least 1'),
        ('val_dataloader.batch_size', 'a', 'a whole number of at least 1'),
        ('test_dataloader.batch_size', True, 'a whole number of at least 1'),
        ('train_dataloader.num_workers', -1, 'a whole number of at least 0'),
        ('train_cfg.max_epochs', -1, 'a whole number of at least 1'),
        ('train_cfg.max_iters', 1.5, 'a whole number of at least 1'),
        ('train_cfg.val_interval', 0, 'a whole number of at least 1'),
        ('optim_wrapper.optimizer.lr', 'fast', 'a number'),
        ('optim_wrapper.optimizer.lr', -0.1, 'a number'),
        ('optim_wrapper.optimizer.lr', float('nan'), 'a number'),
        ('optim_wrapper.optimizer.lr', float('inf'), 'a number'),
        ('optim_wrapper.optimizer.weight_decay', [1], 'a number'),
        ('optim_wrapper.clip_grad.max_norm', -1, 'a number above 0'),  # it would turn every gradient round
        ('train_dataloader.drop_last', 'maybe', 'True or False'),
        ('load_from', 5, 'the name of a checkpoint'),
        ('log_level', 'LOUD', "'INFO' or another level of Python's logging"),
        ('env_cfg.mp_cfg.mp_start_method', 'x', 'one of fork, spawn, forkserver'),
        ('optim_wrapper.accumulative_counts', 0, 'a whole number of at least 1'),
        ('default_hooks.logger.interval', 0, 'a whole number of at least 1'),
        ('train_dataloader.dataset.pipeline', [], 'steps that load and pack images'),
        ('test_dataloader.dataset.pipeline', 'x', 'steps that load and pack images'),
    ],
)
def test_a_wrong_value_is_one_sentence(key, value, expected):
    config = Config()
    config.merge_from_dict(GOOD)
    check_values(config)
    config.merge_from_dict({key: value})
    found = 'an empty list' if value == [] else repr(value)
    with pytest.raises(UserInputError) as error:
        check_values(config)
    assert str(error.value).startswith(f'{key}: found {found}, expected {expected}; ')


def test_every_rule_leaves_out_what_is_not_set():
    assert len(RULES) >= 12
    for rule in RULES:
        config = Config()
        config.merge_from_dict({rule.key: None})
        check_values(config)


def test_pipelines_inside_of_wrappers():
    """A wrapper may leave its own pipeline empty; the data set inside of it may not."""
    inside = [dict(pipeline=[dict(type='A')]), dict(pipeline=[])]
    union = dict(pipeline=[], datasets=inside)
    config = Config(dict(train_dataloader=dict(dataset=dict(dataset=union, pipeline=[]))))
    where = r'^train_dataloader\.dataset\.dataset\.datasets\[1\]\.pipeline: found an empty list'
    with pytest.raises(UserInputError, match=where):
        check_values(config)
    del config.train_dataloader.dataset.dataset.datasets[1]
    check_values(config)
