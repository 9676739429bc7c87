"""Sentences to vectors: word vectors, a bidirectional GRU, the maximum over the words.

Letters: M expressions, T words, E word-vector channels, C sentence channels.
"""

from typing import Any

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ...compat.carried import HERE
from ...datasets.vocabulary import PAD, Vocabulary, build_vocabulary
from ...datasets.word_vectors import load_word_vectors


def carried_vocabulary(vocabulary: Vocabulary, **config: Any) -> dict[str, Any]:
    """What a checkpoint carries of an encoder with a fixed vocabulary, see :mod:`mmrefseg.compat.carried`."""
    return {
        'words': list(vocabulary.words),
        'tokenizer': vocabulary.tokenizer.name,
        'max_tokens': vocabulary.max_tokens,
        'config': {'vocabulary': {'file': HERE}, **config},
    }


def _word_table(vectors: dict | str, vocabulary: Vocabulary) -> Tensor:
    """Vectors of all words (V, E); zeros for words that only a checkpoint knows, which brings theirs."""
    own = vocabulary.own or vocabulary
    known = torch.as_tensor(load_word_vectors(vectors, own), dtype=torch.float32)
    table = known.new_zeros(len(vocabulary), known.shape[1])
    table[[vocabulary.index[word] for word in own.words]] = known
    return table


def read_words(gru: nn.GRU, words: Tensor, real: Tensor, legacy_padding: bool = False) -> Tensor:
    """What a GRU makes of sentences: the maximum of its states over the words.

    Args:
        gru: Batch first, with C units in its directions together.
        words: Word vectors (M, T, E).
        real: (M, T) bool, False at the padding behind the last word.
        legacy_padding: See :class:`GRUEncoder`.

    Returns:
        Sentence vectors (M, C).
    """
    if legacy_padding:
        states, _ = gru(words)
    else:
        lengths = real.sum(1).clamp(min=1).cpu()
        packed = pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(gru(packed)[0], batch_first=True)
        real = real[:, : states.shape[1]]
    # An expression without words would give -inf: let it see its padding instead.
    hidden = ~real & real.any(1, keepdim=True)
    return states.masked_fill(hidden[..., None], float('-inf')).amax(1)


@MODELS.register_module()
class GRUEncoder(BaseModule):
    """SeqTR's language encoder.

    Args:
        vocabulary: Config of the vocabulary, see :func:`build_vocabulary`.
        max_tokens: Expressions are cut to so many words.
        embed_dims: Word-vector channels E, where they are learned.
        hidden_dims: GRU units of each direction; C is twice that.
        vectors: Where word vectors come from, see :func:`load_word_vectors`;
            ``None`` learns them from scratch.
        freeze_embedding: Keep given vectors as they are (ignored without ``vectors``).
        legacy_padding: Let the backward GRU run over the padding first, as the
            original does; published weights were trained so.
        batch_norm: Normalise sentence vectors over the batch. At first all sentences look
            alike (the maximum over words has a large mean and little spread); from scratch
            this speeds up learning what sets them apart. The original does without.
        init_cfg: mmengine's initialisation config.
    """

    word_rows = ('embedding.weight',)

    def __init__(
        self,
        vocabulary: dict,
        max_tokens: int = 15,
        embed_dims: int = 300,
        hidden_dims: int = 512,
        vectors: dict | str | None = None,
        freeze_embedding: bool = True,
        legacy_padding: bool = False,
        batch_norm: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.vocabulary = build_vocabulary(**vocabulary)
        self.max_tokens = max_tokens
        self.legacy_padding = legacy_padding
        size = len(self.vocabulary)
        if vectors is None:
            self.embedding = nn.Embedding(size, embed_dims)
        else:
            table = _word_table(vectors, self.vocabulary)
            self.embedding = nn.Embedding.from_pretrained(table, freeze=freeze_embedding)
        self.gru = nn.GRU(self.embedding.embedding_dim, hidden_dims, batch_first=True, bidirectional=True)
        self.norm = nn.BatchNorm1d(self.out_channels) if batch_norm else nn.Identity()

    def carried(self) -> dict[str, Any]:
        """The words; the vectors are among the weights."""
        return carried_vocabulary(
            self.vocabulary, vectors=None, embed_dims=self.embedding.embedding_dim, max_tokens=self.max_tokens
        )

    @property
    def out_channels(self) -> int:
        """C, channels of the sentence vector."""
        return 2 * self.gru.hidden_size

    def tokenize(self, expressions: list[str]) -> Tensor:
        """Word indices (M, T) of expressions, padded with 0 after the last word."""
        ids = torch.as_tensor(self.vocabulary.encode(expressions, self.max_tokens), dtype=torch.long)
        return ids.to(self.embedding.weight.device)

    def forward(self, token_ids: Tensor) -> Tensor:
        """(M, T) word indices -> (M, C) sentence vectors."""
        return self._normalise(
            read_words(self.gru, self.embedding(token_ids), token_ids != PAD, self.legacy_padding)
        )

    def _normalise(self, sentences: Tensor) -> Tensor:
        """(M, C) -> (M, C); one sentence alone has no batch statistics and takes the running ones."""
        if self.training and len(sentences) == 1 and isinstance(self.norm, nn.BatchNorm1d):
            norm = self.norm
            return F.batch_norm(
                sentences, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
            )
        return self.norm(sentences)
