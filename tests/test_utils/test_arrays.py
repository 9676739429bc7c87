"""numpy's files from strangers: what they hold is read, what they only claim takes no memory."""

import io
import pickle
import re
import zipfile

import numpy as np
import pytest

from mmrefseg.utils import UserInputError
from mmrefseg.utils.arrays import load_npy, load_npz

ARRAYS = {
    'floats': np.random.default_rng(0).random((3, 5)),
    'fortran': np.asfortranarray(np.arange(12, dtype=np.int16).reshape(3, 4)),
    'text': np.array(['red', 'blue']),
    'big endian': np.arange(4, dtype='>f4'),
    'one number': np.array(7),
    'none': np.zeros((0, 300), np.float32),
    'bitmap': np.eye(9, dtype=bool),
}


@pytest.mark.parametrize('name', ARRAYS)
def test_arrays_are_what_numpy_reads(name, tmp_path):
    array = ARRAYS[name]
    np.save(tmp_path / 'a.npy', array)
    np.savez_compressed(tmp_path / 'a.npz', other=np.arange(3), a=array)
    for found in (load_npy(tmp_path / 'a.npy'), *load_npz(tmp_path / 'a.npz', ['a'], 'vectors')):
        assert found.dtype == array.dtype and found.shape == array.shape
        np.testing.assert_array_equal(found, array)
        found[...] = found  # of its own, not a view of the file


def npy(shape, dtype='<f8', data=b'\0' * 80):
    """A file whose header claims a shape."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {'descr': dtype, 'fortran_order': False, 'shape': shape})
    return buffer.getvalue() + data


BAD = {
    'terabytes': (npy((10**6, 10**6)), r'claims 8000000000000 bytes'),
    'more than any memory': (npy((10**9, 10**9, 10**9)), 'claims 8'),
    'four bytes too many': (npy((21,), '<i4'), 'it ends after 80 of 84 bytes'),
    'a negative side': (npy((-5, 2)), r'the shape \(-5, 2\)'),
    'letters of no size': (npy((10**12,), '<U0'), 'it holds nothing'),
    'objects': (npy((1,), '|O', pickle.dumps([print])), 'it holds Python objects'),
    'another file': (b'<html>not found</html>', 'cannot be read'),
    'nothing': (b'', 'cannot be read'),
    'half a header': (npy((1,))[:20], 'cannot be read'),
    'a header of code': (b'\x93NUMPY\x01\x00\x10\x00__import__("os")', 'cannot be read'),
}


@pytest.mark.parametrize('kind', BAD)
def test_bad_arrays_are_a_sentence(kind, tmp_path):
    content, found = BAD[kind]
    (tmp_path / 'a.npy').write_bytes(content)
    with zipfile.ZipFile(tmp_path / 'a.npz', 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('a.npy', content)
    for read in (
        lambda: load_npy(tmp_path / 'a.npy'),
        lambda: load_npz(tmp_path / 'a.npz', ['a'], 'vectors'),
    ):
        with pytest.raises(UserInputError, match=found) as error:
            read()
        assert '\n' not in str(error.value)


def test_an_archive_that_lies_about_a_member(tmp_path):
    """The directory of the zip file claims that the member is as long as its header says."""
    content = npy((10**8,))
    path = tmp_path / 'a.npz'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('a.npy', content)
    size = len(content).to_bytes(4, 'little')
    assert path.read_bytes().count(size) >= 2
    path.write_bytes(path.read_bytes().replace(size, (8 * 10**8 + 128).to_bytes(4, 'little')))
    with pytest.raises(UserInputError, match=re.escape('a.npz: found no array')):
        load_npz(path, ['a'], 'vectors')


def test_what_is_not_there(tmp_path):
    np.savez(tmp_path / 'a.npz', a=np.arange(3))
    with pytest.raises(UserInputError, match=r'KeyError.*b\.npy'):
        load_npz(tmp_path / 'a.npz', ['a', 'b'], 'vectors')
    with pytest.raises(UserInputError, match='no such file'):
        load_npy(tmp_path / 'none.npy')
    with pytest.raises(UserInputError, match='a folder'):
        load_npy(tmp_path)
