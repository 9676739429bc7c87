"""Vectors for the words of a vocabulary, from where the user has them. Nothing is ever fetched.

Letters: V words of the vocabulary, D channels.
"""

import math
import os
import re
from pathlib import Path

import numpy as np

from mmrefseg.utils import UserInputError, track
from mmrefseg.utils.arrays import load_npz
from mmrefseg.utils.errors import shortened
from mmrefseg.utils.files import atomic_write

from .vocabulary import PAD, UNK, Vocabulary

SOURCES = 'spacy:PIPELINE, glove:FILE, original:FILE, npz:FILE or random:CHANNELS'
MOST_CHANNELS = 10000


def load_word_vectors(source: str | dict, vocabulary: Vocabulary) -> np.ndarray:
    """Vectors of all words: (V, D) float32. See :func:`find_word_vectors`."""
    return find_word_vectors(source, vocabulary)[0]


def find_word_vectors(source: str | dict, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of all words, and which of them the source knows.

    Args:
        source (str | dict): One of these, or the same as a dict, for instance ``dict(type='spacy',
            name='en_core_web_md')`` (the second key may have any name):

            - ``spacy:PIPELINE``: an installed spaCy pipeline with vectors, or a folder with one. A word that
            it
              splits gets the mean of its parts, and an unknown word zeros, as in the originals.
            - ``glove:FILE``: GloVe's text format. Unknown words get zeros, UNK the mean of the known ones.
            - ``original:FILE``: the originals' ``word_emb.npz``, made for the same vocabulary.
            - ``npz:FILE``: what :func:`save_word_vectors` wrote; it may hold more words, in any order.
            - ``random:CHANNELS``: standard normal from a fixed seed, to be learned.
        vocabulary (Vocabulary): The words.

    Returns:
        tuple[np.ndarray, np.ndarray]: (V, D) float32 and (V,) bool.

    Raises:
        UserInputError: If the source is not there or does not fit the vocabulary.
    """
    if isinstance(source, dict):
        source = ':'.join(
            str(value) for value in (source['type'], *(v for k, v in source.items() if k != 'type'))
        )
    kind, _, name = str(source).partition(':')
    readers = {'spacy': _spacy, 'glove': _glove, 'original': _original, 'npz': _npz, 'random': _random}
    if kind not in readers or not name:
        raise UserInputError.of('word vectors', repr(source), SOURCES, 'mend the name')
    table, known = readers[kind](name, vocabulary)
    if not np.isfinite(table).all():
        raise UserInputError.of(
            str(source), 'vectors with NaN or infinite values', 'finite numbers', 'make or get them again'
        )
    return table.astype(np.float32), known


def save_word_vectors(path: str | os.PathLike, vocabulary: Vocabulary, table: np.ndarray) -> None:
    """Write vectors (V, D) with their words as npz, readable without pickle."""
    with atomic_write(path, 'wb') as file:
        np.savez_compressed(file, vectors=table, words=np.array(vocabulary.words, dtype=np.str_))


def _spacy(name: str, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    try:
        import spacy
    except ImportError as error:
        raise UserInputError.of(
            'word vectors', 'no spaCy', f'spaCy for {name}', 'pip install spacy'
        ) from error
    try:
        pipeline = spacy.load(name)
    except OSError as error:
        raise UserInputError.of(
            f'word vectors spacy:{name}',
            'no such spaCy pipeline',
            'an installed pipeline with vectors, such as en_core_web_md or en_core_web_lg',
            f'install it with `python -m spacy download {name}` (nothing is fetched by itself)',
        ) from error
    if not pipeline.vocab.vectors_length:
        raise UserInputError.of(
            f'word vectors spacy:{name}',
            'a pipeline without vectors',
            'one with vectors',
            'install en_core_web_md or en_core_web_lg with `python -m spacy download`',
        )
    documents = [pipeline.make_doc(word) for word in vocabulary.words]
    table = np.stack([document.vector for document in documents])
    return table, np.array([document.has_vector for document in documents])


def _glove(path: str, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    table, known = None, np.zeros(len(vocabulary), bool)
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            for number, line in enumerate(track(file, 'word vectors'), start=1):
                fields = line.rstrip().split(' ')
                if number == 1 and len(fields) == 2 and fields[1].isdigit():
                    continue  # word2vec's text format begins with its size
                if table is None:
                    table = np.zeros((len(vocabulary), len(fields) - 1))
                row = vocabulary.index.get(fields[0])
                if row is None or row <= 2:
                    continue
                table[row], known[row] = _numbers(fields[1:], table.shape[1], f'{path}, line {number}'), True
    except OSError as error:
        raise UserInputError.of(
            path, 'no readable file', "a file in GloVe's text format", 'check the path'
        ) from error
    if not known.any():
        raise UserInputError.of(
            path, 'none of the words', "a file in GloVe's text format", 'unpack it, or name another file'
        )
    table[UNK] = table[known].mean(axis=0)
    return table, known


def _numbers(fields: list[str], channels: int, where: str) -> list[float]:
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        numbers = [math.nan]
    if len(fields) == channels and not all(map(math.isfinite, numbers)):
        raise UserInputError.of(
            where, 'values that are no finite numbers', f'a word and {channels} numbers', 'mend the line'
        )
    if len(numbers) != channels or not channels:
        raise UserInputError.of(
            where,
            f'{len(fields)} values',
            f'a word and {channels} numbers',
            "use a file in GloVe's text format",
        )
    return numbers


def _original(path: str, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    table = _arrays_of(path, 'word_emb')[0]
    if table.ndim != 2 or len(table) != len(vocabulary):
        raise UserInputError.of(
            path,
            f'an array of shape {table.shape}',
            f'one row for each of the {len(vocabulary)} words',
            'use the token_to_ix.pkl from beside it as the vocabulary',
        )
    return table, table.any(axis=1)


def _npz(path: str, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    vectors, words = _arrays_of(path, 'vectors', 'words')
    rows = {str(word): row for row, word in enumerate(words)}
    missing = [word for word in vocabulary.words if word not in rows]
    if missing:
        raise UserInputError.of(
            path,
            f'no vector for {len(missing)} of {len(vocabulary)} words ({", ".join(missing[:3])}, ...)',
            'vectors made for this vocabulary',
            'make both again with build_vocab.py --vectors',
        )
    table = vectors[[rows[word] for word in vocabulary.words]]
    return table, table.any(axis=1)


def _random(channels: str, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    if not re.fullmatch('[0-9]{1,5}', channels) or not 1 <= int(channels) <= MOST_CHANNELS:
        raise UserInputError.of(
            'word vectors',
            f'random:{shortened(channels)}',
            f'random:CHANNELS with at most {MOST_CHANNELS}',
            'give a whole number',
        )
    table = np.random.default_rng(0).standard_normal((len(vocabulary), int(channels)))
    table[PAD] = 0
    return table, np.zeros(len(vocabulary), bool)


def _arrays_of(path: str, *names: str) -> list[np.ndarray]:
    """Arrays of an npz file, read without pickle."""
    if not Path(path).is_file():
        raise UserInputError.of(
            path,
            'no such file',
            'word vectors',
            'check the path, make them with tools/dataset_converters/build_vocab.py --vectors, or set '
            'vectors=None to learn them',
        )
    return load_npz(path, names, f'an npz file with {" and ".join(names)}')
