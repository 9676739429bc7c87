"""Checkpoints of LAVT-RIS and LAVT-pytorch: what they hold, and our names for their parameters."""

import argparse
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

from ..compat.carried import KEY
from ..compat.checkpoint import load_checkpoint_file
from ..compat.key_map import KeyMap, MappedState
from ..utils import UserInputError
from .conversion_report import (
    ConversionReport,
    chosen_base,
    config_beside,
    expected_shapes,
    inherit,
    plain_text,
    write_checkpoint,
    write_config,
)
from .from_bert import bert_sizes
from .from_swin import swin_sizes

_SWIN = r'((?:patch_embed|layers\.\d+\.(?:blocks|downsample))\..*)'
_BERT = r'((?:embeddings|encoder)\..*)'
_BUFFERS = [r'.*\.relative_position_index', r'.*\.attn_mask', r'.*position_ids']


def _lavt_rules() -> list[tuple[str, str]]:
    att, gate = r'backbone\.layers\.(\d+)\.fusion\.image_lang_att\.', r'backbone.gates.\1.fusion.'
    rules = [
        (att + r'f_(query|key|value)\.0\.(.*)', gate + r'\2.\3'),
        (att + r'W\.0\.(.*)', gate + r'output.\2'),
        (r'backbone\.layers\.(\d+)\.fusion\.vis_project\.0\.(.*)', gate + r'project_vision.0.\2'),
        (r'backbone\.layers\.(\d+)\.fusion\.project_mm\.0\.(.*)', gate + r'project.0.\2'),
        (r'backbone\.layers\.(\d+)\.res_gate\.(.*)', r'backbone.gates.\1.gate.\2'),
        (r'backbone\.norm(\d)\.(.*)', r'backbone.norms.\1.\2'),
        (r'backbone\.' + _SWIN, r'backbone.\1'),
        (r'text_encoder\.' + _BERT, r'language_model.bert.\1'),
        (r'classifier\.conv1_1\.(.*)', r'decode_head.classifier.\1'),
    ]
    for block, level in enumerate((4, 3, 2)):
        for conv in (0, 1):
            for kind in ('conv', 'bn'):
                ours = rf'decode_head.blocks.{block}.{conv}.{kind}.\1'
                rules.append((rf'classifier\.{kind}{conv + 1}_{level}\.(.*)', ours))
    return rules


_PWAN = {
    'Wk': 'key',
    'Wv': 'value',
    'Wq': 'query',
    'Wm': 'project_vision.0',
    'Ww': 'output',
    'Wo': 'project.0',
    'ins_q': 'norm_query',
    'ins_w': 'norm_output',
}


def _lavt_pytorch_rules() -> list[tuple[str, str]]:
    rules = [
        (r'imageEncoder\.' + _SWIN, r'backbone.\1'),
        (r'textEncoder\.' + _BERT, r'language_model.bert.\1'),
        (r'Seg\.conv\.(.*)', r'decode_head.classifier.\1'),
    ]
    for theirs, ours in _PWAN.items():
        rules.append((rf'imageEncoder\.Pwans\.(\d)\.{theirs}\.(.*)', rf'backbone.gates.\1.fusion.{ours}.\2'))
    for conv in (0, 1):
        path = rf'imageEncoder\.LangauagePathway\.(\d)\.twoLayerNet\.conv{conv + 1}\.(.*)'
        rules.append((path, rf'backbone.gates.\1.gate.{2 * conv}.\2'))
        for theirs, ours in (('conv', 'conv'), ('norm', 'bn')):
            path = rf'Seg\.tinyConvs\.(\d)\.{theirs}{conv + 1}\.(.*)'
            rules.append((path, rf'decode_head.blocks.\1.{conv}.{ours}.\2'))
    return rules


LAVT_KEYS = KeyMap(_lavt_rules(), _BUFFERS)
LAVT_PYTORCH_KEYS = KeyMap(_lavt_pytorch_rules(), _BUFFERS)
KINDS = {'model': 'LAVT', 'backbone': 'LanguageSwin', 'language_model': 'BertEncoder'}
# Parameters that the originals create and never use.
UNUSED = (
    (r'backbone\.layers\.3\.res_gate\..*', 'never used: the gate behind the last stage'),
    (r'(bert_model|text_encoder|textEncoder)\.pooler\..*', 'never used: the pooler of BERT'),
    (r'imageEncoder\.(norm|head)\..*', 'never used: the classifier of ImageNet'),
)


@dataclass
class LAVTNetwork:
    """What a checkpoint of LAVT holds.

    Attributes:
        original: ``'LAVT-RIS lavt'``, ``'LAVT-RIS lavt_one'`` or ``'LAVT-pytorch'``.
        state: Original key -> value, BERT's under ``bert_model.`` in ``lavt``.
        args: The training's arguments, where the checkpoint has them.
    """

    original: str
    state: dict[str, Tensor]
    args: dict[str, Any]

    @property
    def pytorch(self) -> bool:
        """Whether it is the reproduction's."""
        return self.original == 'LAVT-pytorch'

    def model_settings(self) -> dict[str, Any]:
        """The arguments of ``backbone``, ``language_model`` and ``decode_head`` that its sizes decide."""
        swin = 'imageEncoder.' if self.pytorch else 'backbone.'
        backbone = swin_sizes(self.state, swin)
        channels = [backbone['embed_dims'] * 2**i for i in range(len(backbone['depths']))]
        heads = str(self.args.get('mha') or '')
        if self.pytorch:
            channels = [*channels[1:], channels[-1]]
            backbone |= dict(
                fuse_after_merging=True, shift_single_window=False, gate=dict(type='lavt_pytorch')
            )
            head = dict(type='LAVTPytorchHead', in_channels=tuple(channels))
        else:
            gate = dict(type='lavt')
            if heads:
                gate['num_heads'] = tuple(int(number) for number in heads.split('-'))
            backbone |= dict(gate=gate)
            width = self.state['classifier.conv1_4.weight'].shape[0]
            weight = dict(type='PixelCrossEntropyLoss', class_weight=(0.9, 1.1))
            head = dict(type='LAVTHead', in_channels=tuple(channels), channels=width, loss=weight)
        bert = bert_sizes(self.state, self._bert_prefix)
        backbone['language_channels'] = bert['hidden_size']
        language = dict(type='BertEncoder', config=bert, max_tokens=30 if self.pytorch else 20)
        return dict(backbone=dict(type='LanguageSwin', **backbone), language_model=language, decode_head=head)

    def config_settings(self) -> dict[str, Any]:
        """:meth:`model_settings` as a child of a shipped config, which names the vocabulary's folder.

        A training that goes on trains what the original trains: of LAVT-RIS's BERT the first ten layers.
        """
        settings = self.model_settings()
        settings['backbone']['init_cfg'] = None
        if not self.pytorch:
            settings['language_model'] |= dict(trained_layers=10, train_embeddings=False)
        head = settings['decode_head']
        head['_delete_'] = True
        return settings

    def dataset_settings(self, dataset: str) -> dict[str, Any]:
        """What a child of :meth:`base_config` changes for another data set than the config's own."""
        if not self.pytorch or dataset in self.base_config(dataset):
            return {}
        changed = dict(dataset=dict(ann_file=f'annotations/{dataset}/instances.json'))
        return {f'{part}_dataloader': changed for part in ('train', 'val', 'test')}

    def base_config(self, dataset: str) -> str:
        """The shipped config of the same network and recipe."""
        if self.pytorch:
            return 'mmrefseg::lavt/lavt_swin-b-w7_448_refcoco-unc.py'
        family = 'lavt-one' if self.original.endswith('lavt_one') else 'lavt'
        return f'mmrefseg::lavt/{family}_swin-b-w12_480_{dataset}.py'

    def inherited(self, dataset: str, config: str | None = None) -> tuple[str, dict[str, Any]]:
        """What the config of its weights inherits from, and what that config changes.

        Args:
            dataset: What it was trained on.
            config: A file to inherit from in place of the shipped one of the network on ``dataset``.

        Raises:
            UserInputError: If that config is not one of LAVT.
        """
        base = self.base_config(dataset) if config is None else chosen_base(config, KINDS)
        settings = self.dataset_settings(dataset) if config is None else {}
        return base, {**settings, 'model': self.config_settings()}

    @property
    def _bert_prefix(self) -> str:
        if self.pytorch:
            return 'textEncoder.'
        return 'bert_model.' if self.original.endswith(' lavt') else 'text_encoder.'

    def convert(self, expected: Mapping[str, tuple[int, ...]]) -> ConversionReport:
        """Rename everything, and hold it against what our model wants."""
        state, dropped = {}, {}
        for key, value in self.state.items():
            reason = next((why for pattern, why in UNUSED if re.fullmatch(pattern, key)), None)
            if reason is None:
                state[key] = value
            else:
                dropped[key] = reason
        mapped = (LAVT_PYTORCH_KEYS if self.pytorch else LAVT_KEYS)(_rename_bert(state))
        mapped.origin = {ours: _original_name(key, state) for ours, key in mapped.origin.items()}
        notes = _convolutions_to_linear(mapped)
        return ConversionReport.compare(mapped, expected, notes, dropped)


def read_lavt(path: str | os.PathLike) -> LAVTNetwork:
    """Open a checkpoint of LAVT-RIS or LAVT-pytorch.

    Args:
        path: The file. LAVT-RIS pickles its ``argparse.Namespace`` into it: that one type is allowed, and
            nothing else.

    Raises:
        UserInputError: If it is another file, or wants to build anything else.
    """
    checkpoint = load_checkpoint_file(path, allow=[argparse.Namespace])
    model = checkpoint.get('model')
    if not isinstance(model, dict):
        raise UserInputError.of(
            str(path),
            f'the keys {", ".join(map(str, list(checkpoint)[:4]))}',
            "'model' with weights, as LAVT saves them",
            'name a checkpoint of LAVT-RIS or LAVT-pytorch',
        )
    state = {key.removeprefix('module.'): value for key, value in model.items()}
    args = checkpoint.get('args')
    args = dict(vars(args)) if isinstance(args, argparse.Namespace) else {}
    if 'Seg.conv.weight' in state:
        return LAVTNetwork('LAVT-pytorch', state, args)
    if 'classifier.conv1_4.weight' not in state:
        raise UserInputError.of(
            str(path),
            f'the key {next(iter(state), None)!r} and no decoder of LAVT',
            'a checkpoint of LAVT-RIS (lavt, lavt_one) or LAVT-pytorch',
            'check the file',
        )
    if any(key.startswith('text_encoder.') for key in state):
        return LAVTNetwork('LAVT-RIS lavt_one', state, args)
    bert = checkpoint.get('bert_model')
    if not isinstance(bert, dict):
        raise UserInputError.of(
            str(path), "no 'bert_model'", 'the BERT that was trained with it', 'use the complete checkpoint'
        )
    state |= {f'bert_model.{key.removeprefix("module.")}': value for key, value in bert.items()}
    return LAVTNetwork('LAVT-RIS lavt', state, args)


def expected_lavt(settings: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Our key -> shape, for what :meth:`LAVTNetwork.model_settings` describes; needs no vocabulary."""
    from mmdet.registry import MODELS
    from transformers import BertConfig, BertModel

    with torch.device('meta'):
        parts = {name: MODELS.build(dict(settings[name])) for name in ('backbone', 'decode_head')}
        config = BertConfig(**settings['language_model']['config'])
        parts['language_model.bert'] = BertModel(config, add_pooling_layer=False)
    return {
        f'{name}.{key}': shape for name, part in parts.items() for key, shape in expected_shapes(part).items()
    }


def _rename_bert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """BERT inside and beside the network under one prefix, ``text_encoder.``."""
    return {re.sub(r'^bert_model\.', 'text_encoder.', key): value for key, value in state.items()}


def _original_name(key: str, state: Mapping[str, Tensor]) -> str:
    return key if key in state else re.sub(r'^text_encoder\.', 'bert_model.', key)


def _convolutions_to_linear(mapped: MappedState) -> dict[str, str]:
    """The gates' 1x1 convolutions are linear layers here."""
    notes = {}
    for key, value in mapped.state.items():
        if key.startswith('backbone.gates.') and value.ndim > 2:
            mapped.state[key] = value.flatten(1)
            notes[key] = '1x1 convolution to linear'
    return notes


def word_pieces(config: Config, vocab_file: str | None) -> dict[str, Any]:
    """What a checkpoint carries of its BERT, besides the weights, as one of a training does.

    Args:
        config: Of the whole network.
        vocab_file: ``vocab.txt``; None for that of the folder which the config names.

    Returns:
        Empty if there is no such file.

    Raises:
        UserInputError: If it has more word pieces than the weights.
    """
    language = config.model.language_model
    if vocab_file is None:
        vocab_file = language.get('vocab_file') or str(Path(language.get('path') or '') / 'vocab.txt')
    if not Path(vocab_file).is_file():
        return {}
    from mmdet.registry import MODELS

    sizes = {key: value for key, value in language.items() if key in ('type', 'config', 'max_tokens')}
    with torch.device('meta'):
        encoder = MODELS.build({**sizes, 'vocab_file': vocab_file})
    return {'language_model': encoder.carried()}


def write_lavt(
    path: str | os.PathLike,
    state: Mapping[str, Tensor],
    inherited: tuple[str, dict[str, Any]],
    source: str | os.PathLike,
    network: LAVTNetwork,
    vocab_file: str | None = None,
) -> bool:
    """Write a converted checkpoint, which carries its config and its word pieces, and the config beside it.

    Args:
        path: Where; ends in ``.pth``.
        state: Our key -> value.
        inherited: Of :meth:`LAVTNetwork.inherited`.
        source: The original's file.
        network: What it holds.
        vocab_file: See :func:`word_pieces`.

    Returns:
        Whether there were word pieces, so that the checkpoint predicts alone.
    """
    base, settings = inherited
    config = inherit(base, settings)
    pieces = word_pieces(config, vocab_file)
    carried = {KEY: pieces} if pieces else {}
    write_checkpoint(path, state, cfg=plain_text(config), **carried, **describe_source(source, network))
    write_config(
        config_beside(path),
        f'{network.original}, weights of {Path(source).name}.',
        base,
        {**settings, 'load_from': '{{ fileDirname }}/' + Path(path).name},
    )
    return bool(pieces)


def describe_source(path: str | os.PathLike, network: LAVTNetwork) -> dict[str, Any]:
    """Plain values for a converted checkpoint's ``meta``."""
    return dict(
        original=network.original,
        source=Path(path).name,
        args={key: value for key, value in network.args.items() if isinstance(value, str | int | float)},
        conventions=(
            ['fuses after patch merging', 'swapped language pathway', 'attends to padding']
            if network.pytorch
            else ['class weights 0.9 and 1.1', 'overlapping polygons are background in training']
        ),
    )
