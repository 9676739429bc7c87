"""What text encoders read and give: token ids, word vectors, each with its mask."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class TokenBatch(NamedTuple):
    """Token ids of expressions.

    Attributes:
        ids: (M, T) int64, 0 behind the last token.
        mask: (M, T) bool, True at tokens.
    """

    ids: Tensor
    mask: Tensor


class WordFeatures(NamedTuple):
    """Words as vectors.

    Attributes:
        words: (M, T, D).
        mask: (M, T) bool, True at real words.
    """

    words: Tensor
    mask: Tensor


class TextFeatures(NamedTuple):
    """Words as vectors, and the expression as one.

    Attributes:
        words: (M, T, D).
        mask: (M, T) bool, True at real words.
        sentence: (M, D).
    """

    words: Tensor
    mask: Tensor
    sentence: Tensor


def join_tokens(tokens: TokenBatch, rows: Sequence[int], interleave: bool = False) -> TokenBatch:
    """Several expressions as one.

    Args:
        tokens: Of all expressions.
        rows: Those that are joined.
        interleave: Take the first position of each expression, then the second and so on, padding included:
            what LAVT-pytorch's ``cat`` does by mistake. Otherwise one expression after the other without
            padding in between.

    Returns:
        TokenBatch: One row, at least as long as those of ``tokens``.
    """
    ids, mask = tokens.ids[list(rows)], tokens.mask[list(rows)]
    if interleave:
        return TokenBatch(ids.t().reshape(1, -1), mask.t().reshape(1, -1))
    joined = torch.cat([row[real] for row, real in zip(ids, mask, strict=True)])
    length = max(len(joined), ids.shape[1])
    result = TokenBatch(ids.new_zeros(1, length), mask.new_zeros(1, length))
    result.ids[0, : len(joined)] = joined
    result.mask[0, : len(joined)] = True
    return result
