"""Held-out words: who says what, and that nothing of the test is said in training."""

import json
import shutil

import pytest

from mmrefseg.datasets.refshapes import generate
from mmrefseg.datasets.refshapes.expressions import SYNONYMS as SAID
from mmrefseg.datasets.refshapes.synonyms import (
    FILE,
    SYNONYMS,
    USUAL,
    VOCABULARY_FILE,
    usual,
    with_synonyms,
    write_synonyms,
)
from mmrefseg.datasets.vocabulary import Vocabulary
from mmrefseg.utils import UserInputError


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    found = generate('tiny', tmp_path_factory.mktemp('data'), num_workers=1, progress=False)
    write_synonyms(found.annotations)
    return found.annotations


def words_of(records):
    return {word for record in records for text in record['expressions'] for word in text.split()}


def test_splits_share_no_held_out_word(folder):
    splits = json.loads((folder / FILE).read_text())
    plain = json.loads((folder / 'instances.json').read_text())
    assert splits.keys() == plain.keys() | {'val_synonyms', 'testA_synonyms'}
    known = {word for split in plain for word in words_of(splits[split])}
    val, test = (words_of(splits[f'{split}_synonyms']) - known for split in ('val', 'testA'))
    assert len(val) > 20 and len(test) > 20 and not val & test
    assert {'violet', 'crescent', 'crimson', 'beside'} <= test
    others = {other for names in USUAL.values() for other in names if ' ' not in other}
    assert not known & others
    assert Vocabulary.load(folder / VOCABULARY_FILE).words[3:] == sorted(words_of(splits['train']))


def test_the_same_objects_are_meant(folder):
    """Sentence by sentence, with the ids and kinds that belong to it; only those that are said otherwise."""
    splits = json.loads((folder / FILE).read_text())
    compared = 0
    for split in ('val', 'testA'):
        plain = {record['ref_id']: record for record in splits[split]}
        for record in splits[f'{split}_synonyms']:
            before = plain[record['ref_id']]
            assert record['bbox'] == before['bbox'] and record['file_name'] == before['file_name']
            old = dict(zip(before['sent_ids'], before['expressions'], strict=True))
            kinds = dict(zip(before['sent_ids'], before['kinds'], strict=True))
            for sent_id, kind, text in zip(
                record['sent_ids'], record['kinds'], record['expressions'], strict=True
            ):
                assert kind == kinds[sent_id] and text != old[sent_id]
                assert text == with_synonyms(old[sent_id], split)
                compared += 1
    assert compared > 200


def test_every_other_way_of_saying_is_known():
    """What RefShapes calls a thing besides its usual name, and that usual sentences stay as they are."""
    for word, said in SAID.items():
        for other in said:
            assert usual(other) == word
    pairs = [(word, both) for kind in SYNONYMS.values() for word, both in kind.items()]
    assert len(pairs) == len({word for word, _ in pairs}) > 25
    for word, (val, test) in pairs:
        assert usual(word) == word and val != test
        assert with_synonyms(word, 'val') == val and with_synonyms(word, 'testA') == test


def test_words_within_words():
    """``left of`` in ``to the left of``, ``dots`` in ``dotted``, ``largest`` beside ``large``."""
    assert usual('solid disc to the left of the spotted box') == 'plain circle left of the dotted square'
    assert with_synonyms('the largest large dotted circle with dots', 'testA') == (
        'the biggest big spotted disc with spots'
    )


def test_other_data(tmp_path, folder):
    with pytest.raises(UserInputError, match='no such file'):
        write_synonyms(tmp_path)
    shutil.copy(folder / 'coco' / 'instances_val.json', tmp_path / 'instances.json')
    with pytest.raises(UserInputError, match='found other splits'):
        write_synonyms(tmp_path)
