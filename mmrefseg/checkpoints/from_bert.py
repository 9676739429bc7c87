"""BERT's weights, whatever wrote them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..compat.bert_names import BERT_KEYS, read_bert_state
from ..utils import UserInputError, atomic_write, dump_json
from .conversion_report import ConversionReport, expected_shapes


def bert_sizes(state: Mapping[str, Tensor], prefix: str = '') -> dict[str, int]:
    """The fields of ``BertConfig`` that a BERT's weights decide; heads have 64 channels, as released."""
    words = state[f'{prefix}embeddings.word_embeddings.weight']
    layers = {
        key.removeprefix(prefix).split('.')[2] for key in state if key.startswith(f'{prefix}encoder.layer.')
    }
    return dict(
        vocab_size=words.shape[0],
        hidden_size=words.shape[1],
        num_hidden_layers=len(layers),
        num_attention_heads=max(1, words.shape[1] // 64),
        intermediate_size=state[f'{prefix}encoder.layer.0.intermediate.dense.weight'].shape[0],
        max_position_embeddings=state[f'{prefix}embeddings.position_embeddings.weight'].shape[0],
    )


def make_bert_folder(
    source: str | os.PathLike, folder: str | os.PathLike, vocab: str | os.PathLike, allow: Sequence[str] = ()
) -> tuple[ConversionReport, dict[str, int]]:
    """Write the folder that :class:`BertEncoder` reads.

    Args:
        source: Downloaded weights.
        folder: Where ``model.safetensors``, ``config.json`` and ``vocab.txt`` go.
        vocab: Word pieces, one a line.
        allow: See :meth:`ConversionReport.require_complete`.

    Returns:
        What went where, and the fields of ``BertConfig``.

    Raises:
        UserInputError: If a file is missing or is not BERT's, or a key has no place.
    """
    from safetensors.torch import save
    from transformers import BertConfig, BertModel

    state = read_bert_state(source)
    mapped = BERT_KEYS(state)
    if 'embeddings.word_embeddings.weight' not in mapped.state:
        raise UserInputError.of(
            str(source), 'no embeddings.word_embeddings.weight', 'weights of BERT', 'check the file'
        )
    sizes = bert_sizes(mapped.state)
    if not Path(vocab).is_file():
        raise UserInputError.of(str(vocab), 'no such file', 'a vocab.txt', 'name it with --vocab')
    words = len(Path(vocab).read_text(encoding='utf-8').splitlines())
    if words != sizes['vocab_size']:
        raise UserInputError.of(
            str(vocab),
            f'{words} word pieces',
            f'{sizes["vocab_size"]}',
            'give the vocabulary of these weights',
        )
    with torch.device('meta'):
        expected = expected_shapes(BertModel(BertConfig(**sizes), add_pooling_layer=False))
    report = ConversionReport.compare(mapped, expected)
    report.require_complete(str(source), allow)
    folder = Path(folder)
    with atomic_write(folder / 'model.safetensors', 'wb') as file:
        file.write(save({key: value.contiguous() for key, value in report.state.items()}))
    dump_json(sizes | dict(model_type='bert'), folder / 'config.json')
    if Path(vocab).resolve() != (folder / 'vocab.txt').resolve():
        with atomic_write(folder / 'vocab.txt', 'wb') as file:
            file.write(Path(vocab).read_bytes())
    return report, sizes
