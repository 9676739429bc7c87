"""BERT's weights, whatever wrote them."""

import os
from pathlib import Path

from torch import Tensor

from ..compat.checkpoint import load_checkpoint_file
from ..utils import UserInputError
from .key_map import KeyMap, MappedState

# The 2018 releases call a layer norm's weight gamma and its bias beta. What is not the encoder (pooler, heads
# of the pretraining tasks, position numbers) is left out.
_BODY = r'(?:bert\.)?((?:embeddings|encoder)\..*?)'
BERT_KEYS = KeyMap(
    [
        (_BODY + r'LayerNorm\.gamma', r'\1LayerNorm.weight'),
        (_BODY + r'LayerNorm\.beta', r'\1LayerNorm.bias'),
        (_BODY, r'\1'),
    ],
    drop=[r'(?:bert\.)?embeddings\.position_ids', r'(?:bert\.)?pooler\..*', r'cls\..*'],
)


def read_bert_state(path: str | os.PathLike) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file, or of a checkpoint that torch wrote.

    Raises:
        UserInputError: If the file is missing, broken, or would run code.
    """
    path = Path(path)
    if path.suffix != '.safetensors':
        state = load_checkpoint_file(path)
        return state.get('state_dict', state.get('model', state))
    if not path.is_file():
        raise UserInputError.of(str(path), 'no such file', 'BERT weights', 'check the path')
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserInputError.of(
            str(path), f'no safetensors file ({error})', 'one', 'download or copy it again'
        ) from None


def convert_bert(state: dict[str, Tensor]) -> MappedState:
    """BERT's encoder under the names of ``transformers.BertModel``, whatever model it was saved in."""
    return BERT_KEYS(state)


def read_bert_weights(path: str | os.PathLike) -> dict[str, Tensor]:
    """:func:`read_bert_state` under the names of ``transformers.BertModel``."""
    return convert_bert(read_bert_state(path)).state
