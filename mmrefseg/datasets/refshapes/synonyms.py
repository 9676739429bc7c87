"""Held-out words: RefShapes with one word for each thing in training, and with others in testing.

The sentences of all splits are said in one way each (:data:`USUAL`). Two further splits say those of ``val``
and ``testA`` with synonyms that no other split has. Val's are others than testA's: what is chosen on val has
not seen the words of the test.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmrefseg.utils import UserInputError, dump_json, load_json

FILE = 'instances_synonyms.json'
"""Beside ``instances.json``, whose images it shares."""
VOCABULARY_FILE = 'vocab_usual.json'
"""The words of training, beside it."""

USUAL = {
    'circle': ('disc',),
    'square': ('box',),
    'ring': ('hoop',),
    'cross': ('plus',),
    'moon': ('crescent',),
    'purple': ('violet',),
    'large': ('big',),
    'small': ('little',),
    'largest': ('biggest',),
    'plain': ('solid',),
    'dotted': ('spotted',),
    'next to': ('beside',),
    'left of': ('to the left of',),
    'right of': ('to the right of',),
    'closest to': ('nearest to',),
    'middle': ('center',),
    'highest': ('topmost',),
    'shape': ('object', 'thing'),
}
"""The one way in which a thing is said -> the other ways that RefShapes has."""

SYNONYMS = {
    'colours': {
        'red': ('scarlet', 'crimson'),
        'orange': ('apricot', 'tangerine'),
        'yellow': ('lemon', 'golden'),
        'green': ('jade', 'emerald'),
        'blue': ('navy', 'azure'),
        'purple': ('lavender', 'violet'),
        'white': ('snowy', 'ivory'),
        'black': ('charcoal', 'ebony'),
    },
    'shapes': {
        'circle': ('ball', 'disc'),
        'square': ('cube', 'box'),
        'star': ('starburst', 'pentagram'),
        'ring': ('donut', 'hoop'),
        'cross': ('crucifix', 'plus'),
        'diamond': ('lozenge', 'rhombus'),
        'moon': ('halfmoon', 'crescent'),
        'arrow': ('dart', 'pointer'),
        'shape': ('item', 'figure'),
    },
    'sizes': {
        'large': ('huge', 'big'),
        'small': ('tiny', 'little'),
        'largest': ('greatest', 'biggest'),
        'smallest': ('tiniest', 'littlest'),
    },
    'textures': {
        'plain': ('uniform', 'solid'),
        'striped': ('lined', 'stripy'),
        'dotted': ('speckled', 'spotted'),
        'checkered': ('chequered', 'checked'),
        'stripes': ('lines', 'bands'),
        'dots': ('speckles', 'spots'),
    },
    'relations': {
        'next to': ('near', 'beside'),
        'above': ('higher than', 'over'),
        'below': ('beneath', 'under'),
        'closest to': ('closest by', 'nearest to'),
        'middle': ('center', 'centre'),
        'highest': ('uppermost', 'topmost'),
        'lowest': ('undermost', 'bottommost'),
    },
}
"""Kind of word -> how it is said in training -> how val and how testA say it instead."""
HELD_OUT = {'val': 0, 'testA': 1}
"""Splits that have a copy in other words -> which of the two they are."""


def split_name(split: str) -> str:
    """The split that says ``split``'s sentences with synonyms."""
    return f'{split}_synonyms'


def usual(sentence: str) -> str:
    """A sentence of RefShapes with the usual word for each thing.

    >>> usual('the big violet crescent to the left of a disc')
    'the large purple moon left of a circle'
    """
    return _replace(sentence, {other: word for word, others in USUAL.items() for other in others})


def with_synonyms(sentence: str, split: str) -> str:
    """A usual sentence with every word replaced for which there is a synonym.

    Args:
        sentence: As :func:`usual` gives it.
        split: ``'val'`` or ``'testA'``: whose synonyms.

    >>> with_synonyms('the large purple moon left of the red star', 'testA')
    'the big violet crescent left of the crimson pentagram'
    """
    pairs = {word: both[HELD_OUT[split]] for words in SYNONYMS.values() for word, both in words.items()}
    return _replace(sentence, pairs)


def _replace(sentence: str, words: Mapping[str, str]) -> str:
    longest_first = sorted(words, key=len, reverse=True)
    pattern = r'\b(?:' + '|'.join(map(re.escape, longest_first)) + r')\b'
    return re.sub(pattern, lambda match: words[match[0]], sentence)


def write_synonyms(annotations: str | os.PathLike) -> tuple[Path, dict[str, int]]:
    """Write :data:`FILE` and :data:`VOCABULARY_FILE` beside a set's ``instances.json``.

    Args:
        annotations: The folder of a RefShapes set.

    Returns:
        The file, and the number of sentences of each split.

    Raises:
        UserInputError: If the folder has no RefShapes set.
    """
    folder = Path(annotations)
    splits = load_json(folder / 'instances.json')
    if not isinstance(splits, dict) or not splits.keys() >= {'train', *HELD_OUT}:
        raise UserInputError.of(
            str(folder / 'instances.json'), 'other splits', 'those of RefShapes', 'make it with --size'
        )
    said = {split: _rewritten(records, usual) for split, records in splits.items()}
    for split in HELD_OUT:
        said[split_name(split)] = _rewritten(
            said[split], lambda text, split=split: with_synonyms(text, split), changed=True
        )
    words = {word for record in said['train'] for text in record['expressions'] for word in text.split()}
    dump_json({'tokenizer': 'simple', 'max_tokens': 16, 'words': sorted(words)}, folder / VOCABULARY_FILE)
    dump_json(said, folder / FILE)
    return folder / FILE, {
        split: sum(len(record['expressions']) for record in records) for split, records in said.items()
    }


def _rewritten(records: list[dict[str, Any]], rewrite, changed: bool = False) -> list[dict[str, Any]]:
    """Records with other sentences, each once; with ``changed``, those alone that are no longer the same."""
    result = []
    for record in records:
        kept: dict[str, int] = {}
        for place, text in enumerate(record['expressions']):
            new = rewrite(text)
            if not (changed and new == text):
                kept.setdefault(new, place)
        if kept:
            lists = {key: [record[key][place] for place in kept.values()] for key in ('sent_ids', 'kinds')}
            result.append({**record, **lists, 'expressions': [*kept]})
    return result
