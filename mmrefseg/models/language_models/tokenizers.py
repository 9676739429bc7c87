"""Sentences to word indices: what the encoders read, and who makes it."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmrefseg.utils import UserInputError


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


# What SeqTR's rule removes, and what it takes for a space.
_REMOVED = re.compile(r'[.,\'!?"()*#:;]')
_SPACES = str.maketrans('-/', '  ')


def clean_expression(expression: str) -> str:
    """SeqTR's rule: lower case, punctuation removed, hyphens and slashes to spaces.

    >>> clean_expression("dog's tail (brown)")
    'dogs tail brown'
    """
    return _REMOVED.sub('', expression.lower()).translate(_SPACES)


class SimpleTokenizer:
    """SeqTR's and Partial-RES's rule: :func:`clean_expression`, then split at white space."""

    name = 'simple'

    def __call__(self, expression: str) -> list[str]:
        """Words of an expression; none if it has only punctuation."""
        return clean_expression(expression).split()


class SpacyTokenizer:
    """spaCy's blank English tokeniser on lower-case text: ``dog's`` becomes ``dog`` and ``'s``.

    Its rules come with spaCy; no model is needed.

    Args:
        keep_punct (bool): Keep punctuation marks as words. Defaults to False.
    """

    def __init__(self, keep_punct: bool = False) -> None:
        try:
            import spacy
        except ImportError as error:
            raise UserInputError.of(
                'tokenizer', 'no spaCy', 'spaCy for tokenizer="spacy"', 'pip install spacy'
            ) from error
        self.keep_punct = keep_punct
        self._nlp = spacy.blank('en')

    @property
    def name(self) -> str:
        """The name that :func:`build_tokenizer` knows it by."""
        return 'spacy_punct' if self.keep_punct else 'spacy'

    def __call__(self, expression: str) -> list[str]:
        """Words of an expression; none if it has only punctuation."""
        tokens = self._nlp.make_doc(expression.lower())
        return [
            token.text for token in tokens if not token.is_space and (self.keep_punct or not token.is_punct)
        ]


def build_tokenizer(name: str) -> SimpleTokenizer | SpacyTokenizer:
    """The tokenizer called ``'simple'``, ``'spacy'`` or ``'spacy_punct'`` (punctuation marks are words)."""
    if name == 'simple':
        return SimpleTokenizer()
    if name in ('spacy', 'spacy_punct'):
        return SpacyTokenizer(keep_punct=name == 'spacy_punct')
    raise UserInputError.of(
        'tokenizer', repr(name), "'simple', 'spacy' or 'spacy_punct'", 'mend the name in the config'
    )
