"""Labelme's shapes: ReasonSeg's files as people have them."""

import base64
import io
import json
import math

import numpy as np
import pytest
from image_bombs import png_that_claims
from PIL import Image

from mmrefseg.datasets.converters import read_reasonseg
from mmrefseg.structures.masks import to_bitmap
from mmrefseg.utils import UserInputError, dump_json

SQUARE = [[10, 10], [60, 10], [60, 40], [10, 40]]


def shape(points, label='target', **fields) -> dict:
    return {'label': label, 'points': points, **fields}


def label(folder, *shapes, name='a', suffix='.jpg', **fields):
    """An image of 64 x 48 pixels with its json in ``train``; the folder."""
    train = folder / 'train'
    train.mkdir(exist_ok=True)
    if suffix:
        Image.new('RGB', (64, 48)).save(train / f'{name}{suffix}', 'JPEG')
    dump_json({'shapes': list(shapes), 'text': ['what cuts?'], **fields}, train / f'{name}.json')
    return folder


def only(folder, **options) -> dict:
    return read_reasonseg(folder, **options).splits['train'][0]


def bitmap(record, key) -> np.ndarray:
    return to_bitmap(record[key], 48, 64)


@pytest.mark.parametrize('corners', [[[10, 10], [60, 40]], [[60, 10], [10, 40]], SQUARE])
def test_a_rectangle_is_its_corners(corners, tmp_path):
    record = only(label(tmp_path, shape(corners, shape_type='rectangle')))
    np.testing.assert_array_equal(to_bitmap(record['mask'], 48, 64)[10:40, 10:60], True)
    assert to_bitmap(record['mask'], 48, 64).sum() == 30 * 50 and record['bbox'] == [10, 10, 50, 30]


def test_a_circle_has_a_centre_and_a_point_of_its_edge(tmp_path):
    record = only(label(tmp_path, shape([[30, 24], [30, 40]], shape_type='circle')))
    y, x = np.mgrid[:48, :64] + 0.5
    disc = np.hypot(x - 30, y - 24) < 16
    assert np.logical_xor(to_bitmap(record['mask'], 48, 64), disc).sum() < 0.02 * math.pi * 16**2
    assert record['bbox'] == pytest.approx([14, 8, 32, 32])


def pixels(mask, corners, label='target') -> dict:
    """A shape of type mask, as labelme writes it: a PNG in the box from its first to its last pixel."""
    file = io.BytesIO()
    Image.fromarray(np.asarray(mask, np.uint8)).save(file, 'PNG')
    return shape(corners, label, shape_type='mask', mask=base64.b64encode(file.getvalue()).decode())


def test_a_mask_is_an_image_in_its_box(tmp_path):
    drawn = np.random.default_rng(0).random((7, 11)) < 0.5
    drawn[0, 0] = drawn[-1, -1] = True
    record = only(label(tmp_path, pixels(drawn, [[20.0, 30.0], [30.0, 36.0]])))
    expected = np.zeros((48, 64), bool)
    expected[30:37, 20:31] = drawn
    np.testing.assert_array_equal(bitmap(record, 'mask'), expected)
    assert record['bbox'] == [20, 30, 11, 7]


def test_masks_beside_polygons_and_ignored_masks(tmp_path):
    block = np.ones((4, 6), bool)
    record = only(
        label(
            tmp_path,
            shape(SQUARE),
            pixels(block, [[1, 1], [6, 4]]),
            pixels(block, [[12, 12], [17, 15]], 'ignore'),
        )
    )
    assert bitmap(record, 'mask').sum() == 30 * 50 + 24 and bitmap(record, 'mask')[1:5, 1:7].all()
    assert bitmap(record, 'ignore_mask').sum() == 24 and bitmap(record, 'ignore_mask')[12:16, 12:18].all()
    dot = shape([[3, 3]], shape_type='point')
    mended = read_reasonseg(label(tmp_path, pixels(block, [[1, 1], [6, 4]]), dot), mend=True)
    assert mended.mended == 1 and bitmap(mended.splits['train'][0], 'mask').sum() == 24


@pytest.mark.parametrize('kind', ['line', 'linestrip', 'point', 'points'])
def test_what_has_no_area_is_told_or_dropped(kind, tmp_path):
    """A strip of three points must not become a triangle."""
    bare = shape([[10, 10], [60, 10], [30, 40]][: 1 if kind == 'point' else None], shape_type=kind)
    label(tmp_path, shape(SQUARE), bare, {**bare, 'label': 'ignore'})
    with pytest.raises(UserInputError, match=rf'a\.json shape 1: found a {kind}, which has no area'):
        read_reasonseg(tmp_path)
    mended = read_reasonseg(tmp_path, mend=True)
    record = mended.splits['train'][0]
    assert len(record['mask']) == 1 and record['bbox'] == [10, 10, 50, 30] and 'ignore_mask' not in record
    assert mended.mended == 2
    with pytest.raises(UserInputError, match='polygon 0 of'):
        read_reasonseg(label(tmp_path, bare), mend=True)


def test_endings_in_capitals_and_files_without_partners(tmp_path):
    label(tmp_path, shape(SQUARE), suffix='.JPG')
    label(tmp_path, shape(SQUARE), name='b', suffix='.jpeg')
    (tmp_path / 'train/b.json').rename(tmp_path / 'train/b.JSON')
    (tmp_path / 'explanatory').mkdir()
    dump_json([{'query': 'x'}], tmp_path / 'explanatory' / 'train.json')
    names = [record['file_name'] for record in read_reasonseg(tmp_path).splits['train']]
    assert names == ['train/a.JPG', 'train/b.jpeg']
    label(tmp_path, shape(SQUARE), name='c', suffix='')
    with pytest.raises(UserInputError, match=r'c\.json: found no image beside it'):
        read_reasonseg(tmp_path)
    assert len(read_reasonseg(tmp_path, skip_bad=True).skipped) == 1


BAD = {
    'shapes are a number': (dict(shapes=5), 'shapes that are no list'),
    'a shape is a list': (dict(shapes=[[]]), 'shapes that are no list'),
    'points are text': (dict(shapes=[shape('ab')]), 'points that are no list'),
    'points are missing': (dict(shapes=[{'label': 'target'}]), 'points that are no list'),
    'points of three numbers': (dict(shapes=[shape([[1, 2, 3]] * 3)]), 'points that are no list'),
    'a point of NaN': (dict(shapes=[shape([[1, math.nan], [5, 5], [9, 5]])]), 'points that are no list'),
    'a point of 400 digits': (
        dict(shapes=[shape([[1, 10**400], [5, 5], [9, 5]])]),
        'points that are no list',
    ),
    'no points': (dict(shapes=[shape([])]), 'polygon 0 of 0 numbers'),
    'far away': (dict(shapes=[shape([[0, 0], [10**9, 0], [5, 10**9]])]), 'the coordinate 1e'),
    'no label': (dict(shapes=[{'points': SQUARE}]), 'no shape labelled "target"'),
    'mask of four corners': (
        dict(shapes=[shape(SQUARE, shape_type='mask')]),
        "a shape of type 'mask' with 4 points",
    ),
    'mask that is missing': (dict(shapes=[shape([[1, 1], [2, 2]], shape_type='mask')]), 'no base64'),
    'mask of other letters': (
        dict(shapes=[shape([[1, 1], [2, 2]], shape_type='mask', mask='a b?')]),
        'no base64',
    ),
    'mask that is no image': (
        dict(shapes=[shape([[1, 1], [2, 2]], shape_type='mask', mask='aGVsbG8=')]),
        'shape 0 mask: found no readable image',
    ),
    'mask of another size': (
        dict(shapes=[pixels(np.ones((4, 6), bool), [[3, 5], [10, 8]])]),
        'a mask of 6 x 4 pixels, expected 8 x 4 as its box has',
    ),
    'mask outside': (
        dict(shapes=[pixels(np.ones((4, 6), bool), [[60, 5], [65, 8]])]),
        r'at \(60, 5\), expected one within the image of 64 x 48',
    ),
    'mask without pixels': (dict(shapes=[pixels(np.zeros((4, 6)), [[3, 5], [8, 8]])]), 'an empty mask'),
    'mask that claims too much': (
        dict(
            shapes=[
                shape(
                    [[1, 1], [2, 2]],
                    shape_type='mask',
                    mask=base64.b64encode(png_that_claims(65000, 65000)).decode(),
                )
            ]
        ),
        'claims 65000 x 65000 pixels',
    ),
    'polygon without area beside a mask': (
        dict(shapes=[pixels(np.ones((4, 6)), [[3, 5], [8, 8]]), shape([[1, 1], [2, 2]])]),
        'polygon 0 of 4 numbers',
    ),
    'circle of three': (dict(shapes=[shape(SQUARE[:3], shape_type='circle')]), "type 'circle' with 3 points"),
    'text is a number': (dict(shapes=[shape(SQUARE)], text=5), 'expression 0 of type int'),
    'text is missing': (dict(shapes=[shape(SQUARE)], text=None), 'expression 0 of type NoneType'),
    'another size': (
        dict(shapes=[shape(SQUARE)], imageHeight=64, imageWidth=48),
        '48 x 64, expected 64 x 48',
    ),
}


@pytest.mark.parametrize('kind', BAD)
def test_bad_files_are_a_sentence(kind, tmp_path):
    fields, found = BAD[kind]
    label(tmp_path, **fields)
    (tmp_path / 'train/a.json').write_text(json.dumps({'text': ['x'], **fields}))
    with pytest.raises(UserInputError, match=rf'a\.json.*{found}'):
        read_reasonseg(tmp_path)


HOLE = shape([[20, 20], [40, 20], [40, 30], [20, 30]], 'ignore')


def test_the_smaller_shape_counts_where_two_overlap(tmp_path):
    """As LISA paints them: from the largest to the smallest."""
    record = only(label(tmp_path, HOLE, shape(SQUARE)))
    assert record['ignore_mask'] == [[20, 20, 40, 20, 40, 30, 20, 30]]
    around, inside = {**HOLE, 'points': SQUARE}, {**HOLE, 'label': 'target'}
    record = only(label(tmp_path, inside, around))
    assert bitmap(record, 'ignore_mask').sum() == 30 * 50 - 20 * 10
    assert not (bitmap(record, 'ignore_mask') & bitmap(record, 'mask')).any()
