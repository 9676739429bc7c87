"""Tokenisers, vocabularies and word vectors, against the originals' and hand-made files."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import spacy

from mmrefseg.datasets.vocabulary import (
    PAD,
    UNK,
    SpacyTokenizer,
    Vocabulary,
    build_tokenizer,
    build_vocabulary,
    clean_expression,
)
from mmrefseg.datasets.word_vectors import find_word_vectors, load_word_vectors, save_word_vectors
from mmrefseg.utils import UserInputError

ORIGINALS = ('seqtr', 'partial')
WORDS = ['red', 'star', 'left', 'unseen']


@pytest.fixture(params=ORIGINALS)
def golden(request, golden_dir):
    path = golden_dir / f'seqtr/F_tokenize_{request.param}'
    return json.loads(path.with_suffix('.json').read_text()), dict(np.load(path.with_suffix('.npz')))


@pytest.fixture
def ann_file(tmp_path):
    splits = {
        'train': [{'expressions': ['The red star!', 'left-most star']}, {'expressions': ['the RED one']}],
        'val': [{'expressions': ['a blue ring']}],
    }
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps(splits))
    return path


# --- tokenisers


def test_cleaning_is_the_originals(golden):
    facts, _ = golden
    assert len(facts['clean_string']) >= 40
    for expression, cleaned in facts['clean_string'].items():
        assert clean_expression(expression) == cleaned


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('simple', ['the', 'mans', 't', 'shirt', 'left']),
        ('spacy', ['the', 'man', "'s", 't', 'shirt', 'left']),
        ('spacy_punct', ['the', 'man', "'s", 't', '-', 'shirt', ',', 'left', '!']),
    ],
)
def test_tokenizers(name, words):
    tokenizer = build_tokenizer(name)
    assert tokenizer("The  man's T-shirt, left!") == words
    assert tokenizer.name == name
    assert tokenizer(' \t ') == []


def test_spacy_tokenizer_is_spacys_own():
    words = SpacyTokenizer(keep_punct=True)("don't touch the 2nd guy w/ glasses")
    reference = spacy.blank('en')("don't touch the 2nd guy w/ glasses")
    assert words == [token.text for token in reference]


def test_unknown_tokenizer_is_one_sentence():
    with pytest.raises(UserInputError, match="found 'spaccy', expected 'simple', 'spacy'"):
        build_tokenizer('spaccy')


# --- vocabulary


def test_indices_are_the_originals(golden):
    facts, arrays = golden
    words = sorted(facts['token2idx'], key=facts['token2idx'].get)
    full, cut = Vocabulary(words), Vocabulary(words[:40])
    compared = 0
    for row, expression in enumerate(facts['expressions']):
        if not clean_expression(expression).split():
            continue  # the originals make a row of padding, on which Partial-RES crashes
        for max_tokens in (15, 20):
            np.testing.assert_array_equal(
                full.encode([expression], max_tokens)[0], arrays[f'inds_max{max_tokens}'][row]
            )
            np.testing.assert_array_equal(
                cut.encode([expression], max_tokens)[0], arrays[f'inds_oov_max{max_tokens}'][row]
            )
            compared += 1
    assert compared >= 70


def test_built_vocabulary_is_the_originals(golden, golden_dir, tmp_path):
    facts, _ = golden
    path = tmp_path / 'instances.json'
    splits = json.loads((golden_dir / 'seqtr/F_sources.json').read_text())['instances']
    assert list(splits) == facts['splits_order']
    path.write_text(json.dumps(splits))
    assert Vocabulary.build(path).index == facts['token2idx']


def test_encoding(ann_file):
    vocabulary = Vocabulary.build(ann_file)
    assert vocabulary.words[3:] == ['the', 'red', 'star', 'left', 'most', 'one', 'a', 'blue', 'ring']
    encoded = vocabulary.encode(['the red ring', 'quux', 'quux red', '?!', 'PAD star'])
    assert encoded.shape == (5, 15) and encoded.dtype == np.int64
    assert encoded[:, :3].tolist() == [
        [3, 4, 11],
        [UNK, PAD, PAD],
        [UNK, 4, PAD],
        [UNK, PAD, PAD],
        [UNK, 5, PAD],
    ]
    assert not encoded[:, 3:].any()
    assert vocabulary.encode([]).shape == (0, 15)


def test_long_expressions_are_cut(ann_file):
    vocabulary = Vocabulary.build(ann_file, max_tokens=20)
    assert (vocabulary.encode(['star ' * 500]) == 5).all()
    assert str(vocabulary.cuts) == '1 of 1 sentences was cut to 20 words; the longest has 500'
    vocabulary.cuts.clear()
    assert vocabulary.encode(['star ' * 500], max_tokens=7).shape == (1, 7)
    vocabulary.encode(['star', 'star ' * 7, 'star ' * 8], max_tokens=7)
    assert str(vocabulary.cuts) == '2 of 4 sentences were cut to 7 words; the longest has 500'
    assert vocabulary.usage.total == 20 + 7 + 1 + 7 + 7, 'of the words that are read'


@pytest.mark.parametrize('expression', ['', '  \n', None, 3])
def test_empty_expression_is_one_sentence(ann_file, expression):
    with pytest.raises(UserInputError, match=r'expression 1: found .*expected a sentence'):
        Vocabulary.build(ann_file).encode(['red', expression])


def test_splits_and_rare_words(ann_file):
    assert 'blue' not in Vocabulary.build(ann_file, splits=['train'])
    assert Vocabulary.build([ann_file, ann_file], min_count=4).words[3:] == ['the', 'red', 'star']
    with pytest.raises(UserInputError, match="no split 'testA'"):
        Vocabulary.build(ann_file, splits=['testA'])


@pytest.mark.parametrize('tokenizer', ['simple', 'spacy'])
def test_save_and_load(ann_file, tmp_path, tokenizer):
    vocabulary = Vocabulary.build(ann_file, tokenizer, max_tokens=20)
    vocabulary.save(tmp_path / 'vocab.json')
    loaded = Vocabulary.load(tmp_path / 'vocab.json')
    assert loaded.index == vocabulary.index
    assert (loaded.tokenizer.name, loaded.max_tokens) == (tokenizer, 20)
    assert Vocabulary.load(tmp_path / 'vocab.json', 'simple', 15).max_tokens == 15


def test_other_files_hold_the_same_words(tmp_path):
    index = {'PAD': 0, 'UNK': 1, 'CLS': 2, 'red': 3, 'star': 4}
    (tmp_path / 'token_to_ix.pkl').write_bytes(pickle.dumps(dict(reversed(index.items()))))
    (tmp_path / 'index.json').write_text(json.dumps(index))
    (tmp_path / 'list.json').write_text(json.dumps(['red', 'star']))
    (tmp_path / 'words.txt').write_text('red\nstar\n')
    for name in ('token_to_ix.pkl', 'index.json', 'list.json', 'words.txt'):
        assert build_vocabulary(file=tmp_path / name).index == index, name
    assert build_vocabulary(words=['red', 'star']).index == index


class Malicious:
    def __reduce__(self):
        return os.system, ('exit 7',)


@pytest.mark.parametrize(
    ('name', 'content'),
    [
        ('code.pkl', pickle.dumps(Malicious())),
        ('list.pkl', pickle.dumps([1, 2])),
        ('gap.json', b'{"PAD": 0, "UNK": 1, "red": 3}'),
        ('text.json', b'no json'),
        ('twice.txt', b'red\nred\n'),
        ('empty.txt', b''),
        ('binary.txt', b'\xff\xfe\x00\x80'),
    ],
)
def test_wrong_vocabulary_is_one_sentence(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserInputError, match='found') as error:
        Vocabulary.load(tmp_path / name)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('name', ['missing.pkl', 'missing.json', 'missing.txt'])
def test_missing_vocabulary_is_one_sentence(tmp_path, name):
    with pytest.raises(UserInputError, match='no such file'):
        Vocabulary.load(tmp_path / name)


def test_a_config_names_exactly_one_source(ann_file):
    assert len(build_vocabulary(ann_file=ann_file)) == 12
    for wrong in ({}, {'words': ['a'], 'ann_file': ann_file}):
        with pytest.raises(UserInputError, match='expected one of file, ann_file and words'):
            build_vocabulary(**wrong)


@pytest.mark.parametrize('content', ['[]', '{"train": [{"sentence": "a"}]}', '{"train": 3}'])
def test_wrong_annotations_are_one_sentence(tmp_path, content):
    path = tmp_path / 'instances.json'
    path.write_text(content)
    with pytest.raises(UserInputError, match='found another layout'):
        Vocabulary.build(path)


# --- word vectors


def test_original_vectors(golden, tmp_path):
    facts, arrays = golden
    np.savez_compressed(tmp_path / 'word_emb.npz', word_emb=arrays['word_emb'])
    words = sorted(facts['token2idx'], key=facts['token2idx'].get)
    table = load_word_vectors(f'original:{tmp_path / "word_emb.npz"}', Vocabulary(words))
    np.testing.assert_array_equal(table, arrays['word_emb'])
    with pytest.raises(UserInputError, match='one row for each of the 50 words'):
        load_word_vectors(f'original:{tmp_path / "word_emb.npz"}', Vocabulary(words[:50]))


def test_an_npz_with_objects_is_refused(tmp_path):
    np.savez(tmp_path / 'word_emb.npz', word_emb=np.array([Malicious()], dtype=object))
    with pytest.raises(UserInputError, match='cannot be read'):
        load_word_vectors(f'original:{tmp_path / "word_emb.npz"}', Vocabulary(WORDS))


@pytest.mark.parametrize('header', ['', '3 4\n'])
def test_glove_text(tmp_path, header):
    path = tmp_path / 'glove.txt'
    path.write_text(
        header + 'star 1 2 3 4\nother 9 9 9 9\nred 0.5 -1 1e-1 0\n. . . 7 7 7 7\n', encoding='utf-8'
    )
    table, known = find_word_vectors({'type': 'glove', 'file': str(path)}, Vocabulary(WORDS))
    assert table.shape == (7, 4) and table.dtype == np.float32
    np.testing.assert_allclose(table[3:5], [[0.5, -1, 0.1, 0], [1, 2, 3, 4]])
    assert known.tolist() == [False] * 3 + [True, True, False, False]
    np.testing.assert_allclose(table[UNK], table[3:5].mean(axis=0), rtol=1e-6)
    assert not table[PAD].any() and not table[5:].any()


def test_spacy_vectors_are_means_of_parts(tmp_path):
    pipeline = spacy.blank('en')
    for word, value in (('red', 1.0), ('do', 2.0), ("n't", 4.0), ('nt', 6.0)):
        pipeline.vocab.set_vector(word, np.full(5, value, np.float32))
    pipeline.to_disk(tmp_path / 'pipeline')
    vocabulary = Vocabulary(['red', 'dont', 'unseen'])
    table, known = find_word_vectors(f'spacy:{tmp_path / "pipeline"}', vocabulary)
    assert [token.text for token in pipeline('dont')] == ['do', 'nt']
    np.testing.assert_allclose(table[3:, 0], [1, (2 + 6) / 2, 0])
    assert known[3:].tolist() == [True, True, False]


def test_missing_spacy_pipeline_says_what_to_install():
    with pytest.raises(UserInputError, match='install it with `python -m spacy download en_core_web_xxl`'):
        load_word_vectors('spacy:en_core_web_xxl', Vocabulary(WORDS))


def test_spacy_pipeline_without_vectors_says_so(tmp_path):
    spacy.blank('en').to_disk(tmp_path / 'pipeline')
    with pytest.raises(UserInputError, match='found a pipeline without vectors'):
        load_word_vectors(f'spacy:{tmp_path / "pipeline"}', Vocabulary(WORDS))


def test_own_vectors_in_any_order(tmp_path):
    vocabulary = Vocabulary(WORDS)
    table = np.random.default_rng(0).random((7, 3)).astype(np.float32)
    save_word_vectors(tmp_path / 'vectors.npz', vocabulary, table)
    turned = Vocabulary(WORDS[::-1])
    loaded = load_word_vectors(f'npz:{tmp_path / "vectors.npz"}', turned)
    np.testing.assert_array_equal(loaded, [table[vocabulary.index[word]] for word in turned.words])
    with pytest.raises(UserInputError, match=r'no vector for 1 of 8 words \(ring'):
        load_word_vectors(f'npz:{tmp_path / "vectors.npz"}', Vocabulary([*WORDS, 'ring']))


def test_random_vectors_are_the_same_each_time():
    first, second = (load_word_vectors('random:16', Vocabulary(WORDS)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (7, 16) and not first[PAD].any() and 0.5 < first[1:].std() < 1.5


@pytest.mark.parametrize(
    ('source', 'content', 'expected'),
    [
        ('glove:FILE', 'red 1 2\nstar 1\n', 'line 2: found 1 values'),
        ('glove:FILE', 'red 1 two\n', 'line 1: found values that are no finite numbers'),
        ('glove:FILE', 'red 1 nan\n', 'line 1: found values that are no finite numbers'),
        ('glove:FILE', 'other 1 2\n', 'found none of the words'),
        ('glove:missing', '', 'no readable file'),
        ('npz:FILE', 'no npz', 'cannot be read'),
        ('npz:missing', '', 'no such file'),
        ('random:none', '', 'expected random:CHANNELS'),
        ('word2vec:FILE', '', 'expected spacy:PIPELINE'),
        ('random', '', 'expected spacy:PIPELINE'),
    ],
)
def test_wrong_vectors_are_one_sentence(tmp_path, source, content, expected):
    path = tmp_path / 'file'
    path.write_text(content)
    with pytest.raises(UserInputError) as error:
        load_word_vectors(source.replace('FILE', str(path)), Vocabulary(WORDS))
    assert expected in str(error.value) and '\n' not in str(error.value)


# --- the tool


def build_vocab(repo_root, *args):
    command = [sys.executable, 'tools/dataset_converters/build_vocab.py', *map(str, args)]
    return subprocess.run(command, cwd=repo_root, capture_output=True, text=True, check=False)


def test_tool_writes_vocabulary_and_vectors(repo_root, ann_file, tmp_path):
    glove = tmp_path / 'glove.txt'
    glove.write_text('star 1 2\nring 3 4\n')
    out = tmp_path / 'vocab.json'
    done = build_vocab(
        repo_root, '--ann', ann_file, '--out', out, '--max-tokens', 20, '--vectors', f'glove:{glove}'
    )
    assert done.returncode == 0, done.stderr
    vocabulary = build_vocabulary(file=out)
    assert len(vocabulary) == 12 and vocabulary.max_tokens == 20
    table = load_word_vectors(f'npz:{out.with_suffix(".npz")}', vocabulary)
    assert table[vocabulary.index['ring']].tolist() == [3, 4]
    assert '12 words' in done.stdout and '2 words known' in done.stdout


def test_tool_says_in_one_line_what_is_wrong(repo_root, tmp_path):
    done = build_vocab(repo_root, '--ann', tmp_path / 'none.json', '--out', tmp_path / 'vocab.json')
    assert done.returncode == 2 and 'Traceback' not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith('error: ') and 'no such file' in done.stderr
    assert not (tmp_path / 'vocab.json').exists()
