"""Numbers of a config that no run could work with, told before anything is built."""

import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mmengine.config import Config

from ..utils.errors import UserInputError

STARTS = ('fork', 'spawn', 'forkserver')
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


class Rule(NamedTuple):
    """What a setting may be.

    Attributes:
        key: Where it is in a config, ``a.b.c``.
        fits: Whether a value is right.
        expected: What is right, for the message.
    """

    key: str
    fits: Callable[[Any], bool]
    expected: str


def _whole(least: int) -> tuple[Callable[[Any], bool], str]:
    return lambda value: type(value) is int and value >= least, f'a whole number of at least {least}'


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _level(value: Any) -> bool:
    return value in logging.getLevelNamesMapping() or value in logging.getLevelNamesMapping().values()


def _above_zero(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


RULES = (
    *(Rule(f'{loader}.batch_size', *_whole(1)) for loader in LOADERS),
    *(Rule(f'{loader}.num_workers', *_whole(0)) for loader in LOADERS),
    *(Rule(f'{loader}.drop_last', lambda value: type(value) is bool, 'True or False') for loader in LOADERS),
    Rule('train_cfg.max_epochs', *_whole(1)),
    Rule('train_cfg.max_iters', *_whole(1)),
    Rule('train_cfg.val_interval', *_whole(1)),
    Rule('optim_wrapper.optimizer.lr', _number, 'a number'),
    Rule('optim_wrapper.optimizer.weight_decay', _number, 'a number'),
    Rule('optim_wrapper.clip_grad.max_norm', _above_zero, 'a number above 0'),
    Rule('optim_wrapper.accumulative_counts', *_whole(1)),
    Rule('default_hooks.logger.interval', *_whole(1)),
    Rule('load_from', lambda value: isinstance(value, str), 'the name of a checkpoint'),
    Rule('log_level', _level, "'INFO' or another level of Python's logging"),
    Rule('env_cfg.mp_cfg.mp_start_method', STARTS.__contains__, f'one of {", ".join(STARTS)}'),
)


def check_values(config: Config) -> None:
    """See that the settings that every run reads are numbers of the right kind, and that images are loaded.

    Args:
        config: Of a run. What it does not set is not looked at, nor what is ``None``: both mean a default.

    Raises:
        UserInputError: For the first that is not.
    """
    for rule in RULES:
        value = _get(config, rule.key)
        if value is not None and not rule.fits(value):
            raise UserInputError.of(rule.key, repr(value), rule.expected, 'correct the config')
    for loader in LOADERS:
        _check_pipelines(_get(config, f'{loader}.dataset'), f'{loader}.dataset')


def check_data_files(config: Config, loaders: Sequence[str]) -> None:
    """See that the annotation files of a run's data sets are there, before its log begins.

    Args:
        config: Of the run.
        loaders: Which it reads, of :data:`LOADERS`.

    Raises:
        UserInputError: For the first that is not.
    """
    for loader in loaders:
        for dataset in _innermost(_get(config, f'{loader}.dataset')):
            name, root = dataset.get('ann_file'), dataset.get('data_root')
            if not isinstance(name, str) or not name or '://' in name or not isinstance(root or '', str):
                continue
            path = os.path.join(root or '', name)
            if '://' not in path and not os.path.exists(path):
                kind = 'a json file' if name.endswith('.json') else 'an annotation file'
                raise UserInputError.of(path, 'no such file', kind, 'check the path')


def _innermost(dataset: Any) -> Iterator[Mapping]:
    """The data sets inside wrappers and unions."""
    if not isinstance(dataset, Mapping):
        return
    inner = [dataset['dataset']] if 'dataset' in dataset else dataset.get('datasets')
    if not isinstance(inner, list | tuple):
        yield dataset
        return
    for one in inner:
        yield from _innermost(one)


def _get(config: Any, key: str) -> Any:
    """The value of ``a.b.c``; None where it is not set, or lies in something that is no dict."""
    for name in key.split('.'):
        config = config.get(name) if hasattr(config, 'get') else None  # mmengine's Config is no Mapping
    return config


def _check_pipelines(dataset: Any, where: str) -> None:
    """Of a data set, and of those inside it; a wrapper's own pipeline may be empty."""
    if not isinstance(dataset, Mapping):
        return
    inner = [('dataset', dataset.get('dataset'))]
    several = dataset.get('datasets')
    if isinstance(several, Sequence):
        inner += [(f'datasets[{number}]', one) for number, one in enumerate(several)]
    inner = [(name, one) for name, one in inner if isinstance(one, Mapping)]
    for name, one in inner:
        _check_pipelines(one, f'{where}.{name}')
    pipeline = dataset.get('pipeline')
    if not inner and pipeline is not None and not (isinstance(pipeline, list | tuple) and pipeline):
        found = 'an empty list' if isinstance(pipeline, list | tuple) else repr(pipeline)
        raise UserInputError.of(
            f'{where}.pipeline',
            found,
            'steps that load and pack images',
            "copy them from one of the package's configs",
        )
