"""The config that a converted SeqTR or Partial-RES checkpoint runs with, as it was trained."""

import copy
from typing import Any

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope

from ..utils import UserInputError
from ..utils.places import shipped
from .options import SEQTR_DATASETS
from .report import expected_shapes
from .seqtr import SeqTRNetwork


def conventions_of(network: SeqTRNetwork) -> dict[str, bool]:
    """Switches of our model that the weights were trained under, for ``meta['conventions']``.

    Whoever loads the weights into a model with other settings is warned by :class:`CheckpointCheckHook`.
    """
    conventions = {'language_model.legacy_padding': True}
    return conventions | ({'head.legacy': True} if network.family == 'partial_res' else {})


def base_config(network: SeqTRNetwork, dataset: str) -> str:
    """The shipped config of the same network and task on a data set: ``mmrefseg::FOLDER/FILE.py``.

    Raises:
        UserInputError: If there is none.
    """
    stage = 'rec' if network.predicts == 'rec' else 'm100'
    stem = {
        'seqtr': f'seqtr/seqtr_darknet53_{network.predicts}_',
        'partial_res': f'partial_res/partial-res_darknet53_{stage}_',
    }[network.family]
    there = [name for name in SEQTR_DATASETS if shipped(f'configs/{stem}{name}.py').is_file()]
    if dataset not in there:
        raise UserInputError.of(
            f'--dataset {dataset}',
            f'no config for {network.original} ({network.task}) on it',
            f'one of {", ".join(there)}',
            'choose another',
        )
    return f'mmrefseg::{stem}{dataset}.py'


def settings(network: SeqTRNetwork, base: str, vocabulary: dict | None) -> dict[str, Any]:
    """What differs from the base config.

    Args:
        network: What the checkpoint holds.
        base: From :func:`base_config`.
        vocabulary: Config of the vocabulary; None leaves the data set's.
    """
    head = dict(
        codec=dict(num_bins=network.num_bins, legacy=True),
        num_encoder_layers=network.num_encoder_layers,
        num_decoder_layers=network.num_decoder_layers,
        with_box=network.predicts != 'res',
        with_mask=network.predicts != 'rec',
        task_prompt=network.family == 'partial_res',
        legacy=True,
    )
    if network.num_points:
        head['codec']['num_points'] = network.num_points
    # The checkpoint brings the word vectors, frozen as the original's are; any table of their size will do.
    language = dict(vectors=f'random:{network.word_channels}', legacy_padding=True)
    if vocabulary is not None:
        language['vocabulary'] = dict(_delete_=True, **vocabulary)
    model = dict(backbone=dict(init_cfg=None, norm_eval=False), language_model=language, head=head)
    loaders = inherit(base).train_dataloader.to_dict()
    return dict(model=model, train_dataloader=_difference(loaders, _with_codec(loaders, head['codec'])))


def inherit(base: str, more: dict | None = None) -> Config:
    """A config that inherits from ``base``, loaded."""
    text = f'_base_ = {base!r}\n' + ''.join(f'{key} = {value!r}\n' for key, value in (more or {}).items())
    return Config.fromstring(text, '.py')


def expected_of(config: Config, num_words: int) -> dict[str, tuple[int, ...]]:
    """Key -> shape of a config's model, with a vocabulary of so many words in place of its own."""
    model = copy.deepcopy(config.model.to_dict())
    model['language_model']['vocabulary'] = dict(words=[f'w{index}' for index in range(num_words - 3)])
    with DefaultScope.overwrite_default_scope('mmdet'), torch.device('meta'):
        return expected_shapes(MODELS.build(model))


def plain_text(config: Config) -> str:
    """A whole config as Python text, for a checkpoint's ``meta['cfg']``."""
    return ''.join(f'{key} = {value!r}\n' for key, value in config.to_dict().items())


def _with_codec(node: Any, codec: dict) -> Any:
    """A copy of a config in which every ``EncodeContour`` has these settings in its codec."""
    if isinstance(node, list | tuple):
        return [_with_codec(value, codec) for value in node]
    if not isinstance(node, dict):
        return node
    if node.get('type') == 'EncodeContour':
        return {**node, 'codec': {**node['codec'], **codec}}
    return {key: _with_codec(value, codec) for key, value in node.items()}


def _difference(old: dict, new: dict) -> dict:
    """What a config must say to turn ``old`` into ``new``, which has the same keys (lists go as a whole)."""
    return {
        key: _difference(value, new[key]) if isinstance(value, dict) else new[key]
        for key, value in old.items()
        if value != new[key]
    }
