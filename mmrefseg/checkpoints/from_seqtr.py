"""Checkpoints of SeqTR and Partial-RES: which network they are, their keys, and the config they run with."""

import copy
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope

from ..compat.carried import KEY
from ..compat.checkpoint import load_checkpoint_file
from ..compat.key_map import KeyMap
from ..datasets.vocabulary import Vocabulary
from ..models.language_models.gru_encoder import carried_vocabulary
from ..utils import UserInputError
from ..utils.places import shipped
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
from .converter_options import SEQTR_DATASETS

SEQTR_KEYS = KeyMap(
    [
        (r'vis_enc\.darknet\.(\d+)\.module_list\.(\d+)\.(\d)\.(.*)', r'backbone.layers.\1.blocks.\2.\3.\4'),
        (r'vis_enc\.darknet\.(\d+)\.(.*)', r'backbone.layers.\1.\2'),
        (r'lan_enc\.embedding\.(.*)', r'language_model.embedding.\1'),
        (r'lan_enc\.lstm\.(.*)', r'language_model.gru.\1'),
        (r'fusion\.down_bot2mid\.(.*)', r'neck.fine_to_middle.\1'),
        (r'fusion\.down_mid2top\.(.*)', r'neck.middle_to_coarse.\1'),
        (r'fusion\.top_project\.(.*)', r'neck.project.\1'),
        (r'head\.transformer\.(encoder|decoder)\.layers\.(\d+)\.(linear\d\..*)', r'head.\1.layers.\2.ffn.\3'),
        (
            r'head\.transformer\.decoder\.layers\.(\d+)\.multihead_attn\.(.*)',
            r'head.decoder.layers.\1.cross_attn.\2',
        ),
        (
            r'head\.transformer\.decoder\.layers\.(\d+)\.point\.(.*)',
            r'head.decoder.layers.\1.point_modulation.point.\2',
        ),
        (r'head\.transformer\.(encoder|decoder)\.(.*)', r'head.\1.\2'),
        (r'head\.transformer\.seq_positional_encoding\.embedding\.(.*)', r'head.decoder.position.\1'),
        (r'head\.transformer\.query_embedding\.(.*)', r'head.token_embedding.\1'),
        (r'head\.transformer\.(task_prompt|input_proj)\.(.*)', r'head.\1.\2'),
        (r'head\.task_embedding\.(.*)', r'head.task_embedding.\1'),
        (r'head\.predictor\.0\.fc\.(.*)', r'head.predictor.0.\1'),
        (r'head\.predictor\.1\.fc\.(.*)', r'head.predictor.2.\1'),
        (r'head\.predictor\.2\.fc\.(.*)', r'head.predictor.4.\1'),
    ]
)

WORDS = 'lan_enc.embedding.weight'
PLACES = 'head.transformer.seq_positional_encoding.embedding.weight'
TOKENS = 'head.transformer.query_embedding.weight'
TASKS = 'head.task_embedding.weight'
POINTS = 'head.transformer.decoder.layers.0.point.'
KINDS = {'model': 'SeqTR', 'backbone': 'DarkNet53', 'language_model': 'GRUEncoder'}
BOX_PLACES = 5  # a start and four coordinates


@dataclass(frozen=True)
class SeqTRNetwork:
    """What a checkpoint holds, read from its shapes.

    Attributes:
        family: ``'seqtr'`` or ``'partial_res'``.
        task: ``'rec'``, ``'res'`` or ``'multi-task'``: what it was trained for.
        num_points: Points of a contour; 0 without masks.
        num_bins: Coordinate bins.
        num_words: Size of the vocabulary, the three special words included.
        word_channels: Channels of a word vector.
        num_encoder_layers: Encoder layers.
        num_decoder_layers: Decoder layers.
    """

    family: str
    task: str
    num_points: int
    num_bins: int
    num_words: int
    word_channels: int
    num_encoder_layers: int
    num_decoder_layers: int

    @property
    def predicts(self) -> str:
        """The task that it can do here. Partial-RES trains the masks alone when it is told multi-task."""
        return 'res' if self.family == 'partial_res' and self.task == 'multi-task' else self.task

    @property
    def original(self) -> str:
        """The name of the code base."""
        return {'seqtr': 'SeqTR', 'partial_res': 'Partial-RES'}[self.family]


def read_weights(checkpoint: Mapping, where: str, which: str | None = None) -> tuple[dict, str]:
    """The state dict of an opened checkpoint, without the prefix of data-parallel training.

    Args:
        checkpoint: What the file holds: ``state_dict``, perhaps ``ema_state_dict``; or bare weights.
        where: The file, for messages.
        which: ``'ema'`` (the moving average), ``'raw'``, or None for the average if there is one.

    Returns:
        The weights, and which they are.

    Raises:
        UserInputError: If the wanted weights are not there.
    """
    bare = bool(checkpoint) and all(isinstance(value, torch.Tensor) for value in checkpoint.values())
    sources = {'raw': checkpoint if bare else checkpoint.get('state_dict')}
    sources['ema'] = checkpoint.get('ema_state_dict')
    sources = {name: state for name, state in sources.items() if isinstance(state, Mapping) and state}
    chosen = which or ('ema' if 'ema' in sources else 'raw')
    if chosen not in sources:
        found = f'only {" and ".join(sources)} weights' if sources else 'no weights'
        wanted = 'ema_state_dict' if chosen == 'ema' else 'state_dict'
        raise UserInputError.of(
            where, found, wanted, 'check the file, or choose other weights with --weights'
        )
    return {key.removeprefix('module.'): value for key, value in sources[chosen].items()}, chosen


def recognise(state: Mapping, where: str) -> SeqTRNetwork:
    """The network that weights belong to.

    Args:
        state: The original's key -> value, without ``module.``.
        where: The file, for messages.

    Raises:
        UserInputError: If they are not of SeqTR or Partial-RES.
    """
    absent = [key for key in (WORDS, PLACES, TOKENS) if getattr(state.get(key), 'ndim', 0) != 2]
    if absent:
        raise UserInputError.of(
            where, f'no {absent[0]}', 'a checkpoint of SeqTR or Partial-RES', 'check that it is one'
        )
    family = 'partial_res' if any(key.startswith(POINTS) for key in state) else 'seqtr'
    places = len(state[PLACES])
    rest = places - BOX_PLACES if TASKS in state else places  # a start, then two for each point
    task = 'multi-task' if TASKS in state else 'rec' if places == BOX_PLACES else 'res'
    points = 0 if task == 'rec' else (rest - 1) // 2
    if task != 'rec' and (points < 3 or rest % 2 == 0):
        raise UserInputError.of(
            where,
            f'{places} places in {PLACES}',
            '5 (boxes), 2 x points + 1 (masks) or 2 x points + 6 (both)',
            'check that it is a checkpoint of SeqTR or Partial-RES',
        )
    words, channels = state[WORDS].shape
    layers = [_count_layers(state, part) for part in ('encoder', 'decoder')]
    return SeqTRNetwork(family, task, points, len(state[TOKENS]) - 1, words, channels, *layers)


def _count_layers(state: Mapping, part: str) -> int:
    pattern = re.compile(rf'head\.transformer\.{part}\.layers\.(\d+)\.')
    return 1 + max((int(found[1]) for found in map(pattern.match, state) if found), default=0)


def convert_state(
    state: Mapping, network: SeqTRNetwork, expected: Mapping[str, tuple[int, ...]]
) -> ConversionReport:
    """Rename the weights.

    Args:
        state: The original's key -> value.
        network: From :func:`recognise`.
        expected: Our key -> shape, of the model that the weights are for.

    Returns:
        What went where. Of a Partial-RES multi-task checkpoint the task embedding, which its training never
        touches, is dropped, and the places of masks are kept: the original's masks start at the first place.
    """
    state, dropped, notes = dict(state), {}, {}
    if network.task != network.predicts:
        state.pop(TASKS)
        dropped[TASKS] = 'Partial-RES never trains or uses it'
        count = 2 * network.num_points + 1
        notes[SEQTR_KEYS.rename(PLACES)] = f'the first {count} of {len(state[PLACES])} places'
        state[PLACES] = state[PLACES][:count].clone()
    return ConversionReport.compare(SEQTR_KEYS(state), expected, notes, dropped)


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


def expected_of(config: Config, num_words: int) -> dict[str, tuple[int, ...]]:
    """Key -> shape of a config's model, with a vocabulary of so many words in place of its own."""
    model = copy.deepcopy(config.model.to_dict())
    model['language_model']['vocabulary'] = dict(words=[f'w{index}' for index in range(num_words - 3)])
    with DefaultScope.overwrite_default_scope('mmdet'), torch.device('meta'):
        return expected_shapes(MODELS.build(model))


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


@dataclass
class SeqTRConversion:
    """A converted checkpoint that is not written yet.

    Attributes:
        report: What went where, and the weights.
        network: What the checkpoint holds.
        weights: ``'ema'`` or ``'raw'``.
        base: The shipped config that its own inherits from.
        vocabulary: The words, or None for those of the base config.
        source: Name of the file that it came from.
    """

    report: ConversionReport
    network: SeqTRNetwork
    weights: str
    base: str
    vocabulary: Vocabulary | None
    source: str

    def config(self) -> Config:
        """The whole config, with the words in it."""
        words = None
        if self.vocabulary is not None:
            words = dict(words=self.vocabulary.words, tokenizer=self.vocabulary.tokenizer.name)
        return inherit(self.base, settings(self.network, self.base, words))

    def write(self, path: str | os.PathLike) -> None:
        """Write the checkpoint, and beside it the config and the vocabulary under the same name.

        Whatever reads the config finds the vocabulary and the checkpoint wherever the three files lie
        together. The checkpoint's ``meta['cfg']`` is the same config with the words in it, so that the
        checkpoint alone is enough too.
        """
        path = Path(path)
        write_checkpoint(
            path,
            self.report.state,
            cfg=plain_text(self.config()),
            original=self.network.original,
            task=self.network.task,
            weights=self.weights,
            source=self.source,
            conventions=conventions_of(self.network),
            **({} if self.vocabulary is None else {KEY: self._carried()}),
        )
        file = None
        if self.vocabulary is not None:
            words_path = path.with_suffix('.vocab.json')
            self.vocabulary.save(words_path)
            file = dict(file='{{ fileDirname }}/' + words_path.name)
        write_config(
            config_beside(path),
            f'{self.network.original} ({self.network.task}), {self.weights} weights of {self.source}, '
            'with the conventions that it was trained with.',
            self.base,
            settings(self.network, self.base, file) | dict(load_from='{{ fileDirname }}/' + path.name),
        )

    def _carried(self) -> dict:
        vectors = self.report.state['language_model.embedding.weight'].shape[1]
        return {'language_model': carried_vocabulary(self.vocabulary, vectors=None, embed_dims=vectors)}


def convert(source: str | os.PathLike, *args, **kwargs) -> SeqTRConversion:
    """:func:`convert_checkpoint` of a file, which is opened with ``weights_only=True``."""
    return convert_checkpoint(load_checkpoint_file(source), str(source), *args, **kwargs)


def convert_checkpoint(
    checkpoint: Mapping,
    source: str,
    dataset: str = 'refcoco-unc',
    vocabulary: Vocabulary | None = None,
    which: str | None = None,
    config: str | None = None,
) -> SeqTRConversion:
    """Convert a checkpoint of SeqTR or Partial-RES.

    Args:
        checkpoint: What the file holds.
        source: The file's name.
        dataset: What it was trained on: decides the config that its own inherits from.
        vocabulary: The words in the original's order; None leaves those of that config.
        which: ``'ema'`` or ``'raw'`` weights; None takes the moving average if there is one.
        config: What its config inherits from; None for the shipped one of the network on ``dataset``.

    Returns:
        The conversion; ask its ``report`` whether it is complete before writing it.

    Raises:
        UserInputError: If it is not such a checkpoint, if the vocabulary has another size, or if the config
            is that of another network.
    """
    state, weights = read_weights(checkpoint, source, which)
    network = recognise(state, source)
    base = base_config(network, dataset) if config is None else chosen_base(config, KINDS)
    if vocabulary is not None and len(vocabulary) != network.num_words:
        raise UserInputError.of(
            source,
            f'word vectors of {network.num_words} words',
            f'{len(vocabulary)}, as in the vocabulary',
            'give the token_to_ix.pkl, or the annotation file, that it was trained with',
        )
    expected = expected_of(inherit(base, settings(network, base, None)), network.num_words)
    report = convert_state(state, network, expected)
    return SeqTRConversion(report, network, weights, base, vocabulary, Path(source).name)
