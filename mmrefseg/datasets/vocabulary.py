"""Sentences to words, and words to indices."""

import math
import os
import re
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmrefseg.utils import UserInputError, dump_json, load_json
from mmrefseg.utils.errors import printable, short
from mmrefseg.utils.places import is_shipped
from mmrefseg.utils.safe_pickle import load_pickle

PAD, UNK, CLS = range(3)
# No sentence is longer; a number from a file decides about memory.
MOST_TOKENS = 10_000
# So many unknown words are named.
MOST_NAMED = 20
CHECKPOINTS = {'.safetensors', '.pth'}
SPECIAL_WORDS = ('PAD', 'UNK', 'CLS')

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


class WordUsage:
    """How many words were read since :meth:`clear`, and which of them were unknown.

    >>> usage = WordUsage()
    >>> usage.count(['the', 'red', 'zebra'], {'the', 'red'})
    >>> print(usage)
    66 % of 3 words are known to the model; unknown: zebra
    """

    def __init__(self) -> None:
        self.total = 0
        self.unknown: Counter[str] = Counter()

    def count(self, words: Sequence[str], known: Container[str]) -> None:
        """Add words that were read."""
        self.total += len(words)
        self.unknown.update(word for word in words if word not in known)

    def clear(self) -> None:
        """Forget them."""
        self.total = 0
        self.unknown.clear()

    @property
    def share(self) -> float:
        """Share of the words that the model knows, in [0, 1]."""
        return 1 - self.unknown.total() / max(self.total, 1)

    def __str__(self) -> str:
        names = [f'{word} ({n} times)' if n > 1 else word for word, n in self.unknown.most_common(MOST_NAMED)]
        more = len(self.unknown) - len(names)
        named = ', '.join(printable(name) for name in names) + (f' and {more} more' if more else '')
        known = f'{math.floor(100 * self.share)} % of {self.total} words are known to the model'
        return f'{known}; unknown: {named}' if names else known


class SentenceCuts:
    """How many sentences were read since :meth:`clear`, and how many of them were cut.

    Args:
        unit: What a sentence is cut into.

    >>> cuts = SentenceCuts('words')
    >>> cuts.count([3, 17, 20], 15)
    >>> print(cuts)
    2 of 3 sentences were cut to 15 words; the longest has 20
    """

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.clear()

    def count(self, lengths: Iterable[int], limit: int) -> None:
        """Add sentences that were read: how long each is, and how much of one is read at most."""
        for length in lengths:
            self.total += 1
            self.cut += length > limit
            self.longest = max(self.longest, length)
        self.limit = limit

    def clear(self) -> None:
        """Forget them."""
        self.total = self.cut = self.longest = self.limit = 0

    def __str__(self) -> str:
        were = 'was' if self.cut == 1 else 'were'
        what = f'{self.cut} of {self.total} sentences {were} cut to {self.limit} {self.unit}'
        return f'{what}; the longest has {self.longest}'


class Vocabulary:
    """Words with fixed indices, and the tokenizer they were made with.

    Index 0 pads, 1 stands for every unknown word, 2 is the originals' unused CLS. These three are upper case
    and words are lower case, so that the word "pad" is a word.

    Args:
        words (Iterable[str]): In order of their index; PAD, UNK and CLS are put before them if they are not
            there.
        tokenizer (str): See :func:`build_tokenizer`. Defaults to ``'simple'``.
        max_tokens (int): Expressions are cut to so many words. SeqTR uses 15, and 20 on RefCOCOg.
            Defaults to 15.

    Raises:
        UserInputError: If a word is there twice, or another argument is wrong.
    """

    def __init__(self, words: Iterable[str], tokenizer: str = 'simple', max_tokens: int = 15) -> None:
        _check_max_tokens(max_tokens)
        words = list(words)
        if tuple(words[:3]) != SPECIAL_WORDS:
            words = [*SPECIAL_WORDS, *words]
        self.words = words
        self.index = {word: index for index, word in enumerate(words)}
        if len(self.index) < len(words):
            twice = next(word for word, count in Counter(words).items() if count > 1)
            raise UserInputError.of(
                'vocabulary', f'the word {short(twice)} twice', 'every word once', 'remove one'
            )
        if not isinstance(max_tokens, int) or max_tokens < 1:
            raise UserInputError.of(
                'max_tokens', repr(max_tokens), 'a whole number of at least 1', 'change it'
            )
        self.tokenizer = build_tokenizer(tokenizer)
        self.max_tokens = max_tokens
        self.usage = WordUsage()
        self.cuts = SentenceCuts('words')
        # Of a vocabulary that extends a checkpoint's: the words that are new to it, and those of the data.
        self.added: tuple[str, ...] = ()
        self.own: Vocabulary | None = None

    def __len__(self) -> int:
        """Number of indices, the three special ones included."""
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self.index

    def encode(self, expressions: Sequence[str], max_tokens: int | None = None) -> np.ndarray:
        """Indices of the words of expressions.

        Args:
            expressions (Sequence[str]): M sentences.
            max_tokens (int | None): T; longer sentences are cut. Defaults to the vocabulary's own.

        Returns:
            np.ndarray: (M, T) int64, PAD behind the last word. Unknown words are UNK; a sentence of nothing
            but punctuation is a single UNK, so that every row has a word.

        Raises:
            UserInputError: If a sentence is empty.
        """
        max_tokens = max_tokens or self.max_tokens
        _check_max_tokens(max_tokens)
        indices = np.full((len(expressions), max_tokens), PAD, np.int64)
        for row, expression in enumerate(expressions):
            if not isinstance(expression, str) or not expression.strip():
                raise UserInputError.of(
                    f'expression {row}', repr(expression), 'a sentence', 'mend or remove the empty expression'
                )
            words = self.tokenizer(expression)
            self.cuts.count([len(words)], max_tokens)
            words = words[:max_tokens]
            indices[row, : max(len(words), 1)] = [self.index.get(word, UNK) for word in words] or [UNK]
            self.usage.count(words, self.index)
        return indices

    @classmethod
    def build(
        cls,
        ann_files: str | os.PathLike | Sequence[str | os.PathLike],
        tokenizer: str = 'simple',
        max_tokens: int = 15,
        min_count: int = 1,
        splits: Sequence[str] | None = None,
    ) -> 'Vocabulary':
        """Collect the words of annotation files in order of first use.

        The originals take every split in the file's order, test splits included: it decides which words have
        a vector, not what is learned. Words that are seen in no training sentence keep the vector they start
        with.

        Args:
            ann_files: One or more files of the working format.
            tokenizer (str): See :func:`build_tokenizer`. Defaults to ``'simple'``.
            max_tokens (int): See the class; all words of longer sentences are collected. Defaults to 15.
            min_count (int): Leave out words that are used less often. Defaults to 1.
            splits (Sequence[str] | None): Only these. Defaults to None (all).
        """
        tokenize, counts = build_tokenizer(tokenizer), Counter()
        files = [ann_files] if isinstance(ann_files, str | os.PathLike) else ann_files
        for file in files:
            for expression in _expressions_of(file, splits):
                counts.update(tokenize(expression))
        return cls([word for word, count in counts.items() if count >= min_count], tokenizer, max_tokens)

    @classmethod
    def load(
        cls, path: str | os.PathLike, tokenizer: str | None = None, max_tokens: int | None = None
    ) -> 'Vocabulary':
        """Read a vocabulary.

        Args:
            path: What :meth:`save` wrote; a json list of words, or dict of words and indices; the originals'
                ``token_to_ix.pkl``; a text file with one word a line; or a checkpoint, which carries its own
                (``.pth``, ``.safetensors``, ``mmrefseg://NAME``).
            tokenizer (str | None): Defaults to None (the file's, else ``'simple'``).
            max_tokens (int | None): Defaults to None (the file's, else 15).

        Raises:
            UserInputError: If the file is missing or holds something else.
        """
        if is_shipped(path) or Path(path).suffix in CHECKPOINTS:
            known = _carried_by(path)
            words = _words_in_order(known['words'], Path(path))
            return cls(words, tokenizer or known['tokenizer'], max_tokens or known['max_tokens'])
        path = Path(path)
        if not path.is_file():
            raise UserInputError.of(
                str(path),
                'no such file',
                'a vocabulary',
                'check the path, or make one with tools/dataset_converters/build_vocab.py',
            )
        if path.suffix in ('.pkl', '.p', '.pickle'):
            content = load_pickle(path)
        elif path.suffix == '.json':
            content = load_json(path)
        else:
            content = _lines_of(path)
        known = {}
        if isinstance(content, dict) and isinstance(content.get('words'), list):
            known, content = content, content['words']
        words = _words_in_order(content, path)
        return cls(
            words,
            tokenizer or known.get('tokenizer', 'simple'),
            max_tokens or known.get('max_tokens', 15),
        )

    def save(self, path: str | os.PathLike) -> None:
        """Write the vocabulary as json: ``{"tokenizer", "max_tokens", "words"}``."""
        content = {'tokenizer': self.tokenizer.name, 'max_tokens': self.max_tokens, 'words': self.words}
        dump_json(content, path)

    def __repr__(self) -> str:
        return f'{type(self).__name__}({len(self)} words, tokenizer={self.tokenizer.name!r})'


def _check_max_tokens(max_tokens: Any) -> None:
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or not 0 < max_tokens <= MOST_TOKENS:
        raise UserInputError.of(
            'vocabulary',
            f'max_tokens {short(max_tokens)}',
            f'a whole number from 1 to {MOST_TOKENS}',
            'mend it',
        )


def build_vocabulary(
    file: str | os.PathLike | None = None,
    ann_file: str | os.PathLike | Sequence[str | os.PathLike] | None = None,
    words: Sequence[str] | None = None,
    tokenizer: str | None = None,
    max_tokens: int | None = None,
    min_count: int = 1,
    extends: str | os.PathLike | None = None,
) -> Vocabulary:
    """A vocabulary as a config names it: by exactly one of a file, annotation files or the words themselves.

    Args:
        file: See :meth:`Vocabulary.load`.
        ann_file: See :meth:`Vocabulary.build`.
        words (Sequence[str] | None): The words.
        tokenizer (str | None): Defaults to None (the file's, else ``'simple'``).
        max_tokens (int | None): Defaults to None (the file's, else 15).
        min_count (int): For ``ann_file``. Defaults to 1.
        extends: A checkpoint. Its words come first, in its own order, then those of the above that it does
            not know. Defaults to None.

    Raises:
        UserInputError: If what is named is missing or wrong, or splits sentences by another rule than what
            it extends.
    """
    own = _one_vocabulary(file, ann_file, words, tokenizer, max_tokens, min_count)
    if extends is None:
        return own
    first = Vocabulary.load(extends)
    if first.tokenizer.name != own.tokenizer.name:
        raise UserInputError.of(
            f'vocabulary of {extends}',
            f'words by the tokenizer {first.tokenizer.name!r}',
            f'the {own.tokenizer.name!r} of the config, or the words are not the same',
            f'set tokenizer={first.tokenizer.name!r} in the config, or train without that checkpoint',
        )
    added = [word for word in own.words if word not in first]
    whole = Vocabulary([*first.words, *added], own.tokenizer.name, own.max_tokens)
    whole.added, whole.own = tuple(added), own
    return whole


def _one_vocabulary(file, ann_file, words, tokenizer, max_tokens, min_count) -> Vocabulary:
    given = [
        name
        for name, value in (('file', file), ('ann_file', ann_file), ('words', words))
        if value is not None
    ]
    if len(given) != 1:
        raise UserInputError.of(
            'vocabulary',
            ' and '.join(given) or 'nothing',
            'one of file, ann_file and words',
            'mend the config',
        )
    if file is not None:
        return Vocabulary.load(file, tokenizer, max_tokens)
    if ann_file is not None:
        return Vocabulary.build(ann_file, tokenizer or 'simple', max_tokens or 15, min_count)
    return Vocabulary(words, tokenizer or 'simple', max_tokens or 15)


def _carried_by(path: str | os.PathLike) -> dict:
    """``words``, ``tokenizer`` and ``max_tokens`` of a checkpoint."""
    from ..compat.carried import words_of  # brings torch

    found = words_of(path)
    if not found:
        raise UserInputError.of(
            str(path), 'weights that do not say which words they know', 'a vocabulary', 'name another file'
        )
    return found


def _expressions_of(file: str | os.PathLike, splits: Sequence[str] | None) -> Iterable[str]:
    content = load_json(file)
    missing = [split for split in splits or () if not isinstance(content, dict) or split not in content]
    if missing:
        raise UserInputError.of(
            str(file), f'no split {missing[0]!r}', 'a split of the file', 'choose another'
        )
    try:
        for split in splits or content.keys():
            for record in content[split]:
                for expression in record['expressions']:
                    yield str(expression)
    except (AttributeError, TypeError, KeyError, IndexError) as error:
        raise UserInputError.of(
            str(file),
            f'another layout ({type(error).__name__}: {error})',
            'a dict of splits, each a list of records with expressions',
            'convert the annotations to the working format',
        ) from error


def _lines_of(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except UnicodeDecodeError as error:
        raise UserInputError.of(
            str(path), 'a file that is not UTF-8 text', 'one word a line', 'name the vocabulary file'
        ) from error
    return [line.strip() for line in lines if line.strip()]


def _words_in_order(content: object, path: Path) -> list[str]:
    """The words of a list, or of a dict of words and indices from 0 on without gaps."""
    if isinstance(content, dict):
        if sorted(content.values(), key=str) != sorted(range(len(content)), key=str):
            content = None
        else:
            content = sorted(content, key=content.get)
    if not isinstance(content, list) or not content or not all(isinstance(word, str) for word in content):
        raise UserInputError.of(
            str(path),
            'something else than words',
            'a list of words, or words with indices from 0 on without gaps',
            'name the vocabulary file, or make one with build_vocab.py',
        )
    return content
