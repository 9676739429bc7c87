"""Parquet and arrow files of the RefCOCO family, with the columns that people have given them."""

import builtins
import io
import json

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from mmrefseg.datasets.converters import ImportOptions, read_hugging_face
from mmrefseg.structures.masks import to_bitmap
from mmrefseg.structures.rle import encode_mask
from mmrefseg.utils import UserInputError

HEIGHT, WIDTH = 50, 100
SQUARE = [10.0, 10.0, 30.0, 10.0, 30.0, 30.0, 10.0, 30.0]
BLOCK = np.zeros((HEIGHT, WIDTH), bool)
BLOCK[10:30, 10:30] = True


def encoded(array=None, kind='JPEG') -> bytes:
    file = io.BytesIO()
    array = np.zeros((HEIGHT, WIDTH, 3), np.uint8) if array is None else array
    Image.fromarray(array).save(file, kind)
    return file.getvalue()


def write(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
    return path


LMMS_LAB = {
    'question_id': '1',
    'image': {'bytes': encoded(), 'path': '1.jpg'},
    'question': 'Please describe the object in the box.',
    'answer': ['the left cup', 'cup'],
    'segmentation': SQUARE,
    'bbox': [10.0, 10.0, 20.0, 20.0],
    'iscrowd': 0,
    'file_name': 'COCO_train2014_000000000001_5.jpg',
}


def test_lmms_labs_columns(tmp_path):
    other = {
        **LMMS_LAB,
        'file_name': 'COCO_train2014_000000000001_6.jpg',
        'segmentation': [1.0, 1, 9, 1, 9, 9],
    }
    write(tmp_path / 'data/testA-00000-of-00001.parquet', LMMS_LAB, other | {'bbox': [1.0, 1, 8, 8]})
    write(tmp_path / 'data/validation-00000-of-00001.parquet', LMMS_LAB)
    out = tmp_path / 'images'
    splits = read_hugging_face(tmp_path / 'data', save_images=out).splits
    assert list(splits) == ['val', 'testA']
    first, second = splits['testA']
    assert first['expressions'] == ['the left cup', 'cup'] and first['bbox'] == [10, 10, 20, 20]
    np.testing.assert_array_equal(to_bitmap(first['mask'], HEIGHT, WIDTH), BLOCK)
    # one picture is one file, and one image
    assert [path.name for path in out.iterdir()] == ['COCO_train2014_000000000001_5.jpg']
    assert second['file_name'] == first['file_name'] and second['image_id'] == first['image_id']
    assert (out / first['file_name']).read_bytes() == encoded()


def test_jxu124s_columns(tmp_path):
    raw = {'segmentation': [SQUARE], 'image_id': 7, 'bbox': [10, 10, 20, 20], 'category_id': 3, 'id': 5}
    row = {
        'sent_ids': [0, 1],
        'file_name': 'COCO_train2014_000000000007_5.jpg',
        'ref_id': 2,
        'image_id': 7,
        'split': 'testB',
        'sentences': [{'raw': 'The cup', 'sent': 'the cup', 'sent_id': 0, 'tokens': ['the', 'cup']}],
        'category_id': 3,
        'raw_anns': json.dumps(raw),
        'raw_image_info': json.dumps(
            {'file_name': 'COCO_train2014_000000000007.jpg', 'height': 50, 'width': 100}
        ),
        'image_path': 'coco/train2014/COCO_train2014_000000000007.jpg',
        'bbox': [10.0, 10.0, 30.0, 30.0],
    }
    (record,) = read_hugging_face(write(tmp_path / 'train.parquet', row)).splits['testB']
    assert record['file_name'] == 'coco/train2014/COCO_train2014_000000000007.jpg'
    assert (record['bbox'], record['image_id'], record['category_id']) == ([10, 10, 20, 20], 7, 3)
    assert record['expressions'] == ['the cup']


def test_objects_within_a_row(tmp_path):
    samples = [
        {
            'id': 1,
            'category': 'cup',
            'sentences': ['one', 'two'],
            'bbox': [10.0, 10, 20, 20],
            'mask': encode_mask(BLOCK),
        },
        {'id': 2, 'category': 'dog', 'sentences': ['three'], 'bbox': [50.0, 10, 20, 20], 'mask': None},
    ]
    row = {
        'image': {'bytes': encoded(), 'path': None},
        'image_id': 4,
        'file_name': 'x.jpg',
        'samples': samples,
    }
    first, second = read_hugging_face(write(tmp_path / 'test.parquet', row)).splits['test']
    np.testing.assert_array_equal(to_bitmap(first['mask'], HEIGHT, WIDTH), BLOCK)
    assert (first['category'], first['expressions'], first['image_id']) == ('cup', ['one', 'two'], 4)
    assert 'mask' not in second and second['bbox'] == [50, 10, 20, 20]
    columns = {'bbox': [[1.0, 1, 5, 5], [7.0, 7, 5, 5]], 'category': ['cup', 'dog']}
    row = {'image': {'bytes': encoded(kind='PNG'), 'path': None}, 'objects': columns}
    found = read_hugging_face(write(tmp_path / 'test.parquet', row)).splits['test']
    assert [each['expressions'] for each in found] == [['cup'], ['dog']]
    assert found[0]['file_name'].endswith('.png')


def test_masks_as_images_boxes_as_corners_and_one_sentence_a_row(tmp_path):
    mask = {'bytes': encoded(BLOCK.astype(np.uint8) * 255, 'PNG'), 'path': None}
    image = {'bytes': encoded(), 'path': 'a.jpg'}
    rows = [
        {'image': image, 'mask': mask, 'caption': text, 'bbox': [10.0, 10, 30, 30]} for text in ('one', 'two')
    ]
    (record,) = read_hugging_face(write(tmp_path / 'ref-l4-val.parquet', *rows), box_form='xyxy').splits[
        'val'
    ]
    assert record['expressions'] == ['one', 'two'] and record['bbox'] == [10, 10, 20, 20]
    np.testing.assert_array_equal(to_bitmap(record['mask'], HEIGHT, WIDTH), BLOCK)
    rows = [{**row, 'mask': BLOCK.astype(int).tolist()} for row in rows]
    (record,) = read_hugging_face(write(tmp_path / 'val.parquet', *rows), box_form='xyxy').splits['val']
    np.testing.assert_array_equal(to_bitmap(record['mask'], HEIGHT, WIDTH), BLOCK)


@pytest.mark.parametrize('kind', ['new_stream', 'new_file'])
def test_arrow_files(tmp_path, kind):
    table = pyarrow.Table.from_pylist([LMMS_LAB])
    (tmp_path / 'set/train').mkdir(parents=True)
    with getattr(pyarrow.ipc, kind)(tmp_path / 'set/train/data-00000-of-00001.arrow', table.schema) as writer:
        writer.write_table(table)
    assert len(read_hugging_face(tmp_path / 'set').splits['train']) == 1


def test_images_that_are_only_named(tmp_path):
    row = {'file_name': 'a.jpg', 'bbox': [1.0, 1, 9, 9], 'expression': 'the cup'}
    path = write(tmp_path / 'train.parquet', row)
    with pytest.raises(UserInputError, match='no height and width'):
        read_hugging_face(path)
    (tmp_path / 'images').mkdir()
    (tmp_path / 'images/a.jpg').write_bytes(encoded())
    assert read_hugging_face(path, tmp_path / 'images').splits['train'][0]['width'] == WIDTH


BAD = {
    'no image': ({'image': None, 'file_name': None}, 'no image'),
    'no picture': ({'image': {'bytes': b'abc', 'path': None}}, 'no readable image'),
    'nothing drawn': ({'segmentation': None, 'bbox': None}, 'neither a box nor a mask'),
    'three numbers': ({'bbox': [1.0, 2, 3]}, 'the box'),
    'half json': ({'segmentation': '[[1, 2'}, 'not json'),
    'a mask of another size': (
        {'segmentation': json.dumps({'size': [1, 2], 'counts': [1, 1]})},
        'RLE of size',
    ),
}


@pytest.mark.parametrize('name', BAD)
def test_a_bad_row_is_told_and_can_be_skipped(tmp_path, name):
    bad, found = BAD[name]
    bad = {**LMMS_LAB, **bad}
    files = write(tmp_path / 'x/a.parquet', bad), write(tmp_path / 'x/b.parquet', LMMS_LAB)
    with pytest.raises(UserInputError, match=rf'a\.parquet row 0.*found .*{found}'):
        read_hugging_face(files[0])
    conversion = read_hugging_face(tmp_path / 'x', options=ImportOptions(skip_bad=True))
    assert len(conversion.splits['train']) == 1 and len(conversion.skipped) == 1


def test_a_row_without_a_sentence_and_without_a_label(tmp_path):
    path = write(tmp_path / 'a.parquet', {**LMMS_LAB, 'answer': None})
    with pytest.raises(UserInputError, match=r'row 0 object 0: found neither a sentence nor a label'):
        read_hugging_face(path)


def test_bad_files_and_a_missing_package(tmp_path, monkeypatch):
    with pytest.raises(UserInputError, match='no parquet or arrow files'):
        read_hugging_face(tmp_path)
    for name in ('a.parquet', 'a.arrow'):
        (tmp_path / name).write_bytes(b'PAR1' + bytes(50))
        with pytest.raises(UserInputError, match=f'{name}: found a file that cannot be read'):
            read_hugging_face(tmp_path / name)
    path = write(tmp_path / 'train.parquet', LMMS_LAB)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserInputError, match='cannot be read'):
        read_hugging_face(path)
    with pytest.raises(UserInputError, match='--box-form'):
        read_hugging_face(path, box_form='yolo')
    real = builtins.__import__

    def without_pyarrow(name, *args, **kwargs):
        if name.split('.')[0] == 'pyarrow':
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', without_pyarrow)
    with pytest.raises(
        UserInputError, match=r'pyarrow: found no such package, .*pip install "mmrefseg\[huggingface\]"'
    ):
        read_hugging_face(path)
