"""Expressions to words."""

import re

from mmrefseg.utils import UserInputError

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
