"""BERT's weights under the names of ``transformers.BertModel``, whatever package and year wrote them."""

import os

from torch import Tensor

from .checkpoint import load_checkpoint_file
from .key_map import KeyMap

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
    state = load_checkpoint_file(path)
    return state.get('state_dict', state.get('model', state))


def read_bert_weights(path: str | os.PathLike) -> dict[str, Tensor]:
    """:func:`read_bert_state` under the names of ``transformers.BertModel``."""
    return BERT_KEYS(read_bert_state(path)).state
