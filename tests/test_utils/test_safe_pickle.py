"""Plain data comes out as it went in, and nothing is ever called."""

import base64
import collections
import os
import pickle
import resource

import numpy as np
import pytest

from mmrefseg.utils import UserInputError
from mmrefseg.utils.safe_pickle import load_pickle

# cPickle.dumps([{'tokens': ['caf\xc3\xa9', 'left'], 'raw': u'caf\u00e9 left', 'latin': '\xe9t\xe9', ...}],
# protocol) of a real Python 2.7.18: its str is bytes, in UTF-8 or Latin-1, and its long has a type code of
# its own.
PYTHON2 = {
    0: 'KGxwMQooZHAyClMnaW1hZ2VfaWQnCnAzCkk5CnNTJ3NldCcKcDQKY19fYnVpbHRpbl9fCnNldApwNQooKGxwNgpTJ2En'
    'CmF0UnA3CnNTJ3NlbnRfaWRzJwpwOAoobHA5CkkxCmFJMgphc1MnYmlnJwpwMTAKTDEyMzQ1Njc4OTAxMjM0NTY3ODkw'
    'TApzUydzZW50ZW5jZXMnCnAxMQoobHAxMgooZHAxMwpTJ3Rva2VucycKcDE0CihscDE1ClMnY2FmXHhjM1x4YTknCnAx'
    'NgphUydsZWZ0JwpwMTcKYXNTJ3JhdycKcDE4ClZjYWbpIGxlZnQKcDE5CnNTJ3NlbnRfaWQnCnAyMApJMQpzUydzZW50'
    'JwpwMjEKUydjYWZceGMzXHhhOSBsZWZ0JwpwMjIKc2EoZHAyMwpnMTQKKGxwMjQKUydceGU5dFx4ZTknCnAyNQphc2cx'
    'OApnMjUKc2cyMApJMgpzZzIxCmcyNQpzYXNTJ3NwbGl0JwpwMjYKUyd0cmFpbicKcDI3CnNTJ2ZpbGVfbmFtZScKcDI4'
    'ClMnQ09DT190cmFpbjIwMTRfMDAwMDAwMDAwMDA5XzEuanBnJwpwMjkKc1MnY2F0ZWdvcnlfaWQnCnAzMApJMwpzUydh'
    'bm5faWQnCnAzMQpJMQpzUydyZWZfaWQnCnAzMgpJNwpzYS4=',
    2: 'gAJdcQF9cQIoVQhpbWFnZV9pZHEDSwlVA3NldHEEY19fYnVpbHRpbl9fCnNldApxBV1xBlUBYWGFUnEHVQhzZW50X2lk'
    'c3EIXXEJKEsBSwJlVQNiaWdxCooJ0gof64ypVKsAVQlzZW50ZW5jZXNxC11xDCh9cQ0oVQZ0b2tlbnNxDl1xDyhVBWNh'
    'ZsOpcRBVBGxlZnRxEWVVA3Jhd3ESWAoAAABjYWbDqSBsZWZ0cRNVB3NlbnRfaWRxFEsBVQRzZW50cRVVCmNhZsOpIGxl'
    'ZnRxFnV9cRcoaA5dcRhVA+l06XEZYWgSaBloFEsCaBVoGXVlVQVzcGxpdHEaVQV0cmFpbnEbVQlmaWxlX25hbWVxHFUh'
    'Q09DT190cmFpbjIwMTRfMDAwMDAwMDAwMDA5XzEuanBncR1VC2NhdGVnb3J5X2lkcR5LA1UGYW5uX2lkcR9LAVUGcmVm'
    'X2lkcSBLB3VhLg==',
}


def load(tmp_path, content, **arguments):
    path = tmp_path / 'x.p'
    path.write_bytes(content)
    return load_pickle(path, **arguments)


@pytest.mark.parametrize('protocol', PYTHON2)
def test_python2(tmp_path, protocol):
    assert load(tmp_path, base64.b64decode(PYTHON2[protocol])) == [
        {
            'image_id': 9,
            'set': {'a'},
            'sent_ids': [1, 2],
            'big': 12345678901234567890,
            'sentences': [
                {'tokens': ['café', 'left'], 'raw': 'café left', 'sent_id': 1, 'sent': 'café left'},
                {'tokens': ['été'], 'raw': 'été', 'sent_id': 2, 'sent': 'été'},
            ],
            'split': 'train',
            'file_name': 'COCO_train2014_000000000009_1.jpg',
            'category_id': 3,
            'ann_id': 1,
            'ref_id': 7,
        }
    ]


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_of_python3(tmp_path, protocol):
    data = {
        'text': ['é', 'Ã©', '日本', ''],
        'bytes': (b'\xff\x00', b'', b'abc'),
        3: [1, -(2**70), 2.5, True, None, 1 + 2j],
        'sets': [{1, 2}, frozenset(['a'])],
        'ordered': collections.OrderedDict(x=1, y=[2]),
    }
    loaded = load(tmp_path, pickle.dumps(data, protocol))
    assert loaded == data and type(loaded['ordered']) is collections.OrderedDict


def test_shared_and_cyclic_containers_stay_so(tmp_path):
    inner = ['a']
    data = {'one': inner, 'two': inner}
    data['self'] = data
    loaded = load(tmp_path, pickle.dumps(data, 2))
    assert loaded['one'] is loaded['two'] and loaded['self'] is loaded


ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.arange(10)[::2],
    np.arange(3, dtype='>i4'),
    np.array([True, False]),
    np.array(['ab', 'c']),
    np.array([b'ab', b'c']),
    np.array(3.5, dtype=np.float16),
    np.zeros((0, 4)),
    np.float32(3),
    np.int64(-3),
    np.bool_(True),
]


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays(tmp_path, protocol):
    content = pickle.dumps({'arrays': ARRAYS}, protocol)
    loaded = load(tmp_path, content, arrays=True)['arrays']
    assert len(loaded) == len(ARRAYS)
    for expected, found in zip(ARRAYS, loaded, strict=True):
        assert type(found) is type(expected) and found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(UserInputError, match='numpy'):
        load(tmp_path, content)


class Evil:
    def __reduce__(self):
        return os.system, ('touch executed',)


class EvilState:
    """Hides the call in the state of a harmless type."""

    def __reduce__(self):
        return collections.OrderedDict, (), {'x': Evil()}


class Whatever:
    pass


REFUSED = {
    'call': Evil(),
    'nested call': {'a': [1, (2, {3: Evil()})]},
    'call in a state': EvilState(),
    'call in an array': np.array([Evil()], dtype=object),
    'array of objects': np.array([{}, []], dtype=object),
    'structured array': np.zeros(2, dtype=[('a', 'i4')]),
    'array of dates': np.zeros(2, dtype='M8[s]'),
    'own class': Whatever(),
    'function': os.system,
    'numpy function': np.load,
    'masked array': np.ma.array([1]),
}


@pytest.mark.parametrize('protocol', [0, 2, pickle.HIGHEST_PROTOCOL])
@pytest.mark.parametrize('name', REFUSED)
def test_anything_else_is_refused_and_not_run(tmp_path, monkeypatch, name, protocol):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UserInputError, match=r'x\.p: found a pickle that would call .*; do not trust this file'
    ):
        load(tmp_path, pickle.dumps(REFUSED[name], protocol), arrays=True)
    assert not (tmp_path / 'executed').exists()


@pytest.mark.parametrize(
    'content',
    [
        b"cos\nsystem\n(S'touch executed'\ntR.",
        b"(S'touch executed'\nios\nsystem\n.",
        b"c__builtin__\neval\n(S\"open('executed', 'w')\"\ntR.",
        b'\x80\x04\x8c\x08builtins\x8c\x07getattr\x93.',
        b'\x80\x02}\x85Q.',
        b'c_codecs\nencode\n(Vabc\nVrot13\ntR.',
        b'cnumpy.core.multiarray\n_reconstruct\n(c__builtin__\nset\n(I0\ntS"b"\ntR.',
    ],
    ids=['GLOBAL', 'INST', 'eval', 'getattr', 'persistent id', 'codec', 'array of another type'],
)
def test_hand_written_pickles(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserInputError, match='would call'):
        load(tmp_path, content, arrays=True)
    assert not (tmp_path / 'executed').exists()


@pytest.mark.parametrize(
    'content',
    [b'', b'{"a": 1}', b'\x80\x02', pickle.dumps(list(range(99)))[:-9], b'\x80\x04r\xff\xff\xff\xff.'],
)
def test_no_whole_pickle(tmp_path, content):
    with pytest.raises(UserInputError, match=r'x\.p: found no readable pickle') as error:
        load(tmp_path, content)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    'content',
    [
        b'\x80\x04]r\xff\xff\xff\x7f.',  # a list kept at place 2,147,483,647 of the memo
        b'(lp4000000000\n.',
        b'\x80\x04\x8c\x08builtins\x8c\x09bytearray\x93J\xff\xff\xff\x7f\x85R.',
    ],
    ids=['memo', 'memo as text', 'bytearray'],
)
def test_few_bytes_cannot_take_all_memory(tmp_path, content):
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(UserInputError, match=r'x\.p: found no readable pickle \(MemoryError'):
        load(tmp_path, content)
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_arrays_as_lists(tmp_path):
    content = pickle.dumps({'a': np.arange(6.0).reshape(2, 3), 'b': [np.float32(0.5), np.str_('é')]}, 2)
    loaded = load(tmp_path, content, arrays=True, as_lists=True)
    assert loaded == {'a': [[0, 1, 2], [3, 4, 5]], 'b': [0.5, 'é']}
    assert [type(value) for value in loaded['b']] == [float, str]


def test_no_file(tmp_path):
    with pytest.raises(UserInputError, match='no such file'):
        load_pickle(tmp_path / 'y.p')
    with pytest.raises(UserInputError, match='a folder'):
        load_pickle(tmp_path)
