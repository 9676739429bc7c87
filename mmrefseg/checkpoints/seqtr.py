"""Checkpoints of SeqTR and Partial-RES: what network they hold, and its parameters under our names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..compat.key_map import KeyMap
from ..utils import UserInputError
from .report import ConversionReport

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
