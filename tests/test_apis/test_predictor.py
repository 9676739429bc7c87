"""``mmrefseg.load(weights).predict(image, sentences)`` and what its results can be written as."""

import base64
import doctest
import io
import sys
import types

import cv2
import numpy as np
import pytest
from PIL import Image

import mmrefseg
from mmrefseg.apis import prediction, predictor
from mmrefseg.apis.prediction import Prediction, has_hole
from mmrefseg.datasets.refshapes import PRESETS, make_image
from mmrefseg.structures.masks import to_bitmap
from mmrefseg.structures.rle import decode_mask
from mmrefseg.utils import UserInputError

SENTENCES = ['the star', 'left circle', 'the small thing']


@pytest.fixture(scope='module')
def model():
    return mmrefseg.load(device='cpu')


@pytest.fixture(scope='module')
def pictures():
    """RGB; the last has another size."""
    made = [make_image(0, 'testA', index, PRESETS['small'])[0] for index in range(3)]
    return [*made, cv2.resize(made[0], (300, 150))]


@pytest.mark.parametrize('module', [prediction, predictor])
def test_the_examples_in_the_docstrings(module):
    result = doctest.testmod(module)
    assert result.attempted >= 5 and result.failed == 0


def test_one_image_in_many_forms(model, pictures, tmp_path):
    """A file, a PIL image, RGB and RGBA arrays are the same picture; grey is its own."""
    image = pictures[0]
    Image.fromarray(image).save(tmp_path / 'a.png')
    expected = model.predict(tmp_path / 'a.png', SENTENCES)
    assert expected.masks.shape == (3, *image.shape[:2]) and expected.file_name == str(tmp_path / 'a.png')
    forms = [str(tmp_path / 'a.png'), Image.fromarray(image), image, np.dstack([image, image[..., 0]])]
    for form in forms:
        found = model.predict(form, SENTENCES)
        assert np.array_equal(found.masks, expected.masks) and np.array_equal(found.boxes, expected.boxes)
    grey = image[..., 0]
    assert np.array_equal(
        model.predict(grey, SENTENCES).masks, model.predict(np.dstack([grey] * 3), SENTENCES).masks
    )


def test_many_images_are_as_each_alone(model, pictures):
    """Whatever the batch: for all, for each its own sentences, and more of them than one pass takes."""
    alone = [model.predict(picture, SENTENCES) for picture in pictures]
    for size in (1, 3, 8):
        for one, other in zip(alone, model.predict(pictures, SENTENCES, batch_size=size), strict=True):
            assert np.array_equal(one.masks, other.masks) and one.labels == other.labels
            assert np.allclose(one.scores, other.scores, atol=1e-5)
    own = model.predict(pictures[:2], [['the star'], ['left circle', 'the small thing']])
    assert [len(each) for each in own] == [1, 2]
    assert np.array_equal(own[1].masks, alone[1].masks[1:])
    many = model.predict(pictures[0], SENTENCES * 20)
    assert len(many) == 60 and np.array_equal(many.masks[57:], alone[0].masks)
    assert len(model.predict(pictures[0], 'the star')) == 1


def test_unknown_words_are_told_once(pictures, caplog):
    model = mmrefseg.load(device='cpu')
    for _ in range(2):
        model.predict(pictures, ['the zebra', 'the star'])
    assert [record.getMessage() for record in caplog.records] == [
        'words that the network does not know: zebra'
    ]
    assert model.unknown_words() == '75 % of 32 words are known to the model; unknown: zebra (8 times)'


def test_sentences_that_are_too_long_are_told_once(pictures, caplog):
    model = mmrefseg.load(device='cpu')
    long = 'the star left of the circle ' * 4
    for _ in range(2):
        model.predict(pictures[0], ['the star', long])
    said = '1 of 2 sentences was cut to 16 words; the longest has 24'
    assert [record.getMessage() for record in caplog.records] == [said]
    assert model.cut_sentences().startswith('2 of 4 sentences were cut')
    model.forget_words()
    assert model.cut_sentences() == ''


@pytest.mark.parametrize(
    ('arguments', 'found'),
    [
        ((['a.png'], [['a'], ['b']]), '2 lists for 1 images'),
        ((np.zeros((8, 8, 3)), 'a'), 'an array of float64'),
        ((np.zeros((8, 8, 2), np.uint8), 'a'), 'an array of shape'),
        ((np.zeros((8, 8), np.uint8), ''), 'an empty expression'),
        ((np.zeros((8, 8), np.uint8), []), 'expressions: found none'),
        ((np.zeros((8, 8), np.uint8), None), 'sentences: found none'),
        (('none.png', 'a'), 'none.png: found no readable file'),
        ((np.zeros((8, 8), np.uint8), 'a', 1.5), 'threshold: found 1.5'),
    ],
)
def test_what_is_wrong(model, arguments, found):
    with pytest.raises(UserInputError, match=found):
        model.predict(*arguments)


@pytest.fixture
def found():
    """A mask of two parts, one with a hole, and one below the threshold."""
    masks = np.zeros((4, 40, 60), bool)
    masks[0, 5:15, 5:25] = masks[0, 20:30, 30:50] = True
    masks[1, 5:35, 5:35] = True
    masks[1, 10:20, 10:20] = False
    masks[2, 3:9, 3:9] = True
    boxes = np.array([[5.0, 5, 50, 30], [5, 5, 35, 35], [3, 3, 9, 9], [0, 0, 1, 1]])
    scores = np.array([0.9, 0.8, 0.2, 0.9])
    return Prediction(
        'in/a.png', (40, 60), ('two', 'ring', 'weak', 'empty'), masks, boxes, scores, 0.5, 'IoU'
    )


def test_coco_and_what_was_not_found(found):
    content = found.to_coco()
    assert found.found.tolist() == [True, True, False, False]
    assert content['images'] == [{'id': 1, 'file_name': 'in/a.png', 'height': 40, 'width': 60}]
    assert [each['name'] for each in content['categories']] == ['two', 'ring']
    for row, annotation in enumerate(content['annotations']):
        assert np.array_equal(decode_mask(annotation['segmentation']), found.masks[row])
        assert annotation['area'] == found.masks[row].sum() and annotation['image_id'] == 1
    assert content['info']['score'] == 'IoU'


def drawn(shape, size):
    """What labelme makes of a shape: (H, W) bool."""
    if shape['shape_type'] == 'polygon':
        return to_bitmap([[value for point in shape['points'] for value in point]], *size)
    (x1, y1), (x2, y2) = shape['points']
    part = np.asarray(Image.open(io.BytesIO(base64.b64decode(shape['mask']))))
    mask = np.zeros(size, bool)
    mask[y1 : y2 + 1, x1 : x2 + 1] = part
    return mask


def test_labelme(found):
    content = found.to_labelme()
    assert (content['imagePath'], content['imageHeight'], content['imageWidth']) == ('a.png', 40, 60)
    shapes = content['shapes']
    assert [(shape['label'], shape['shape_type']) for shape in shapes] == [
        ('two', 'polygon'), ('two', 'polygon'), ('ring', 'mask'),
    ]  # fmt: skip
    assert {shape['group_id'] for shape in shapes[:2]} == {0}
    both = drawn(shapes[0], found.size) | drawn(shapes[1], found.size)
    assert np.array_equal(both, found.masks[0])
    assert np.array_equal(drawn(shapes[2], found.size), found.masks[1])
    boxes = Prediction('', (9, 9), ('a',), None, np.array([[1.0, 2, 3, 4]]), np.array([0.5]))
    (shape,) = boxes.to_labelme()['shapes']
    assert shape['shape_type'] == 'rectangle' and shape['points'] == [[1, 2], [3, 4]]


def test_a_hole_is_one_even_where_only_a_corner_closes_it():
    ring = np.ones((5, 5), bool)
    ring[2, 2] = False
    assert has_hole(ring)
    ring[1, 1] = ring[0, 0] = False
    assert not has_hole(ring), 'the background leads out over corners'


def test_supervision(found, monkeypatch):
    """Its arguments, by what its documentation says of Detections; without it one sentence."""
    fake = types.ModuleType('supervision')
    fake.__spec__ = types.SimpleNamespace()
    fake.Detections = dict
    monkeypatch.setitem(sys.modules, 'supervision', fake)
    given = found.to_supervision()
    assert (
        given['xyxy'].shape == (2, 4) and given['mask'].dtype == bool and given['mask'].shape == (2, 40, 60)
    )
    assert given['class_id'].tolist() == [1, 0] and given['data']['class_name'].tolist() == ['two', 'ring']
    assert np.allclose(given['confidence'], [0.9, 0.8])
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(UserInputError, match='no supervision, expected the package; pip install'):
        found.to_supervision()
