"""The config of a checkpoint: the one that it carries, with its words, read as data and never run."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .. import registration  # noqa: F401  (its classes are those that a config may name)
from ..compat.carried import apply_carried, carried_by, read_meta
from ..compat.config_text import read_config_text, untrusted_type
from ..models.layers.language_gate import GATES
from ..runs.config import innermost_datasets, load_config
from ..utils import UserInputError
from ..utils.places import shipped

TRAINED_WITH = 'it was trained with (--config FILE; in Python config=FILE)'


def config_for(config: str | os.PathLike | Config | None, checkpoint: str | os.PathLike) -> Config:
    """The config that a checkpoint is to run with.

    Args:
        config: A file, or a config that is loaded; None takes the one that the checkpoint carries.
        checkpoint: A file or the address of weights inside the package.

    Returns:
        The config. Words that the checkpoint carries stand in for those of a data set; pretrained parts
        are taken out, as the checkpoint replaces them.

    Raises:
        UserInputError: If there is no such config, or it cannot be read or trusted.
    """
    meta = read_meta(checkpoint)
    if config is None:
        config = carried_config(meta, str(checkpoint))
    elif not isinstance(config, Config):
        config = load_config(os.fspath(config))
    apply_carried(config.model, carried_by({'meta': meta}, str(checkpoint)), checkpoint)
    without_pretraining(config.model)
    return config


def carried_config(meta: Mapping[str, Any], where: str) -> Config:
    """The config in a checkpoint's ``meta``, or the shipped one that it names.

    Args:
        meta: Of the checkpoint.
        where: The file, for the message.

    Raises:
        UserInputError: If there is none, or it would build what is not registered.
    """
    metadata = meta.get('safetensors') or {}
    text = meta.get('cfg') or metadata.get('cfg')
    if not text and isinstance(metadata.get('config'), str):
        return _shipped_config(metadata['config'], where)
    if not text:
        raise UserInputError.of(
            where, 'no metadata that name a config', 'a config', f'give the one {TRAINED_WITH}'
        )
    found = _without_scopes(read_config_text(text, where))
    datasets = innermost_datasets(found.get('test_dataloader'))
    pipeline = datasets[0].get('pipeline') if datasets else None
    if not isinstance(found.get('model'), dict) or not isinstance(pipeline, list):
        raise UserInputError.of(
            where, 'a config without a model or a test pipeline', 'both', f'give the one {TRAINED_WITH}'
        )
    wrong = untrusted_type([found['model'], pipeline], also=GATES)
    if wrong is not None:
        raise UserInputError.of(
            where, f'a config that would build {wrong}, which is not registered', 'known classes',
            f'import the module that registers it first, or give the config that {TRAINED_WITH}',
        )  # fmt: skip
    return Config({'model': found['model'], 'test_dataloader': {'dataset': datasets[0]}})


def _shipped_config(path: str, where: str) -> Config:
    """A config of the package by its name in it; what lies elsewhere is not run for a checkpoint's sake."""
    file = shipped(path)
    if Path(path).parts[:1] != ('configs',) or '..' in Path(path).parts or not file.is_file():
        raise UserInputError.of(
            where, f'metadata that name {path}, which is no config of the package', 'one that is',
            f'give the config that {TRAINED_WITH}',
        )  # fmt: skip
    return load_config(str(file))


def _without_scopes(node: Any) -> Any:
    """Plain values without mmengine's ``_scope_``: a scope is a package that would be imported."""
    if isinstance(node, dict):
        return {key: _without_scopes(value) for key, value in node.items() if key != '_scope_'}
    return type(node)(map(_without_scopes, node)) if isinstance(node, list | tuple) else node


def without_pretraining(node: Any) -> None:
    """Take pretrained parts out of a model's config: a checkpoint replaces them all."""
    if isinstance(node, dict):
        start = node.get('init_cfg')
        if isinstance(start, dict) and start.get('type') == 'Pretrained':
            node['init_cfg'] = None
        for value in node.values():
            without_pretraining(value)
    elif isinstance(node, list | tuple):
        for value in node:
            without_pretraining(value)
