"""One reader for all json: what strangers' files hold is read or is one sentence, whoever asks."""

import json
import os
import re
from pathlib import Path

import pytest

from mmrefseg.datasets.annotations import load_split
from mmrefseg.datasets.converters import read_json_lines, read_reasonseg, read_refer
from mmrefseg.datasets.predicted_pairs import read_predicted_pairs
from mmrefseg.evaluation.prediction_file import load_predictions
from mmrefseg.pseudo_labels.prediction_shards import PredictionStore
from mmrefseg.utils import UserInputError, load_json, parse_json, text_lines

ROOT = Path(__file__).resolve().parents[2]
DEEP = '[' * 100_000
BAD = {
    'half of it': (b'{"a": [', 'text that is not json'),
    'nothing': (b'', 'nothing but blanks'),
    'blanks': (b' \n\n', 'nothing but blanks'),
    'nested 100,000 times': (DEEP.encode(), 'json that is nested too deep'),
    'nested in a key': (f'{{"a": {DEEP}{"]" * 100_000}}}'.encode(), 'json that is nested too deep'),
    'a number of 5000 digits': (b'{"a": ' + b'9' * 5000 + b'}', 'a whole number of more than 4300 digits'),
    'utf-16': ('{"a": 1}'.encode('utf-16'), 'text that is not UTF-8'),
    'latin-1': ('{"é": 1}'.encode('latin-1'), 'text that is not UTF-8'),
}


@pytest.mark.parametrize('kind', BAD)
def test_bad_json_is_a_sentence(kind, tmp_path):
    content, found = BAD[kind]
    path = tmp_path / 'a.json'
    path.write_bytes(content)
    for read in (load_json, lambda path: parse_json(path.read_bytes(), str(path))):
        with pytest.raises(UserInputError, match=rf'^{re.escape(str(path))}: found {found}') as error:
            read(path)
        assert '\n' not in str(error.value) and len(str(error.value)) < 300


@pytest.mark.parametrize(
    'content', [b'\xef\xbb\xbf{"a": "\xc3\xa9"}', b'{"a": "\xc3\xa9"}\r\n', b'{"a": "\\u00e9"}']
)
def test_good_json_is_read(content, tmp_path):
    (tmp_path / 'a.json').write_bytes(content)
    assert load_json(tmp_path / 'a.json') == {'a': 'é'}
    assert parse_json(content, 'here') == {'a': 'é'}


def test_what_is_no_file_is_a_sentence(tmp_path):
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'file').touch()
    for name, found in (
        ('none.json', 'no such file'),
        ('file/none.json', 'no such file'),
        ('folder', 'a folder'),
        ('a' * 300, 'no readable file (File name too long)'),
        ('a\0.json', 'a name that no file can have'),
        ('\ud800.json', 'a name that no file can have'),
    ):
        for read in (load_json, lambda path: list(text_lines(path))):
            with pytest.raises(UserInputError, match=re.escape(f'found {found}')):
                read(f'{tmp_path}/{name}')


def test_lines_end_where_json_lets_them_end(tmp_path):
    """U+2028, U+2029, U+0085, form feeds: str.splitlines() breaks there, json does not."""
    texts = ['a\u2028b', 'a\u2029b', 'a\x85b', 'a\x0b b', 'a\x0cb', 'a\x1cb', 'é']
    lines = [json.dumps(text, ensure_ascii=False) for text in texts]
    (tmp_path / 'a.jsonl').write_bytes(('\ufeff' + '\r\n \n'.join(lines)).encode())
    found = [(number, parse_json(text, 'here')) for number, text in text_lines(tmp_path / 'a.jsonl')]
    assert found == [(2 * index + 1, text) for index, text in enumerate(texts)]


READERS = {
    'working format': ('a.json', lambda path: load_split(path, 'val')),
    'json lines': ('a.jsonl', lambda path: read_json_lines(path)),
    'refer': ('a.json', lambda path: read_refer(path, path)),
    'reasonseg': ('val/a.json', lambda path: read_reasonseg(path.parents[1])),
    'predictions': ('a.json', load_predictions),
    'lines of predictions': ('a.jsonl', load_predictions),
    'shard': ('a.rank0.jsonl', lambda path: PredictionStore([str(path)])),
    'predicted pairs': ('a.rank0.jsonl', lambda path: read_predicted_pairs(str(path))),
}


@pytest.mark.parametrize('text', [DEEP, '9' * 5000], ids=['nested', 'digits'])
@pytest.mark.parametrize('reader', READERS)
def test_every_reader_says_it(reader, text, tmp_path):
    name, read = READERS[reader]
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.with_suffix('.png').touch()
    path.write_text(f'{text}\n{text}\n' if name.endswith('l') else text)
    with pytest.raises(UserInputError, match=re.escape(path.name)):
        read(path)


def test_nobody_else_reads_json():
    """json.load knows no sentence for deep nesting, long numbers, folders and byte order marks."""
    files = [
        *(ROOT / 'mmrefseg').rglob('*.py'),
        *(ROOT / 'tools').rglob('*.py'),
        *(ROOT / 'demo').rglob('*.py'),
    ]
    assert len(files) > 100
    readers = [path for path in files if re.search(r'\bjson\.(load|JSONDecoder)', path.read_text())]
    assert [os.path.relpath(path, ROOT) for path in readers] == ['mmrefseg/utils/files.py']
