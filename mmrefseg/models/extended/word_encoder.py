"""Sentences to one vector per word, learned from scratch: for vocabularies too small for BERT.

Letters: M expressions, T words, E word-vector channels, D channels.
"""

import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ...datasets.vocabulary import PAD, build_vocabulary
from ..language_models.token_batch import TokenBatch, WordFeatures


@MODELS.register_module()
class WordEncoder(BaseModule):
    """Learned word vectors and a bidirectional GRU, one output per word.

    Args:
        vocabulary: Config of the vocabulary, see :func:`build_vocabulary`.
        max_tokens: Expressions are cut to so many words.
        embed_dims: E.
        hidden_dims: GRU units of each direction; D is twice that.
        visual_dims: Give each word C + 1 more channels that do not depend on the sentence: weights and bias
            of a linear classifier of C visual features, which says whether the word is said of what is
            there (``word_loss`` of :class:`LAVT` trains it, ``LateLanguageSwin(visual_words=True)`` uses it).
        init_cfg: mmengine's initialisation config.
    """

    def __init__(
        self,
        vocabulary: dict,
        max_tokens: int = 15,
        embed_dims: int = 128,
        hidden_dims: int = 128,
        visual_dims: int = 0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.vocabulary = build_vocabulary(**vocabulary)
        self.max_tokens = max_tokens
        self.embedding = nn.Embedding(len(self.vocabulary), embed_dims)
        self.gru = nn.GRU(embed_dims, hidden_dims, batch_first=True, bidirectional=True)
        # as torch initialises a linear layer
        self.visual = nn.Linear(visual_dims, len(self.vocabulary)) if visual_dims else None

    @property
    def out_channels(self) -> int:
        """D, or with ``visual_dims`` D + C + 1."""
        return 2 * self.gru.hidden_size + (self.visual.in_features + 1 if self.visual else 0)

    def tokenize(self, expressions: list[str]) -> TokenBatch:
        """Word indices of expressions (M, T), padded with 0."""
        ids = torch.as_tensor(self.vocabulary.encode(expressions, self.max_tokens), dtype=torch.long)
        ids = ids.to(self.embedding.weight.device)
        return TokenBatch(ids, ids != PAD)

    def forward(self, tokens: TokenBatch) -> WordFeatures:
        """Word indices (M, T) -> vectors (M, T, :attr:`out_channels`); the first D are zero at padding."""
        lengths = tokens.mask.sum(1).clamp(min=1).cpu()
        packed = pack_padded_sequence(
            self.embedding(tokens.ids), lengths, batch_first=True, enforce_sorted=False
        )
        words: Tensor
        words, _ = pad_packed_sequence(
            self.gru(packed)[0], batch_first=True, total_length=tokens.ids.shape[1]
        )
        if self.visual is not None:
            weight, bias = self.visual.weight[tokens.ids], self.visual.bias[tokens.ids]
            words = torch.cat([words, weight, bias[..., None]], -1)
        return WordFeatures(words, tokens.mask)
