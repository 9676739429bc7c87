"""Predicting without a config, a checkpoint or a data set."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from mmrefseg.apis import RefSegInferencer
from mmrefseg.checkpoints.shipped import Provenance
from mmrefseg.datasets.refshapes import PRESETS, make_image
from mmrefseg.structures.masks import to_bitmap
from mmrefseg.utils import UserInputError
from mmrefseg.utils.places import DEFAULT, shipped
from mmrefseg.visualization.drawing import mask_iou

SCRIPT = """
import json, sys
import cv2
from mmrefseg.apis import RefSegInferencer
found = RefSegInferencer()(sys.argv[1], json.loads(sys.argv[2])).pred_instances
print(json.dumps(found.masks.tolist()))
"""


def described(index):
    """An image of RefShapes (RGB), its first sentences, and the masks that they mean."""
    image, about = make_image(0, 'testA', index, PRESETS['small'])
    said = [item for item in about['objects'] if item['expressions']]
    masks = [to_bitmap(item['segmentation'], *image.shape[:2]) for item in said]
    return image, [item['expressions'][0] for item in said], masks


def test_a_mask_in_an_empty_folder(repo_root, tmp_path):
    import cv2

    image, sentences, masks = described(0)
    cv2.imwrite(str(tmp_path / 'shapes.png'), image[..., ::-1])
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT, 'shapes.png', json.dumps(sentences)],
        cwd=tmp_path,
        env={'PYTHONPATH': str(repo_root), 'PATH': '', 'HOME': str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == len(masks) >= 3
    assert sum(mask_iou(*pair) for pair in zip(found, masks, strict=True)) / len(masks) > 0.5
    assert [path.name for path in tmp_path.iterdir() if path.suffix == '.png'] == ['shapes.png']


def test_shipped_weights_beside_a_config_bring_their_words():
    boxes = Provenance.of_file('mmrefseg://rec_tiny_refshapes')
    infer = RefSegInferencer(shipped(boxes.config), 'mmrefseg://rec_tiny_refshapes', device='cpu')
    assert infer.model.language_model.vocabulary.words == list(boxes.words)
    image, sentences, _ = described(1)
    alone = infer(image[..., ::-1].copy(), sentences).pred_instances
    assert 'masks' not in alone
    both = RefSegInferencer(checkpoint=DEFAULT, device='cpu')(image[..., ::-1].copy(), sentences)
    assert torch.equal(alone.bboxes, both.pred_instances.bboxes), 'masks must not move the boxes'


def test_what_is_left_out_must_be_known(tmp_path):
    with pytest.raises(UserInputError, match='checkpoint: found none beside a config'):
        RefSegInferencer('some.py')
    torch.save({'state_dict': {}}, tmp_path / 'some.pth')
    with pytest.raises(UserInputError, match=r'some\.pth: found no metadata that name a config'):
        RefSegInferencer(checkpoint=tmp_path / 'some.pth')


@pytest.fixture(scope='module')
def infer():
    return RefSegInferencer(device='cpu')


@pytest.fixture
def image():
    """BGR."""
    return np.ascontiguousarray(described(2)[0][..., ::-1])


def test_one_sentence_may_be_a_text(infer, image):
    for sentence in ('star', 'the red star', '红色的星'):
        alone, listed = infer(image, sentence).pred_instances, infer(image, (sentence,)).pred_instances
        assert alone.masks.shape == (1, *image.shape[:2]) and torch.equal(alone.masks, listed.masks)
    assert len(infer(image, np.array(['star', 'circle'])).pred_instances) == 2


def test_images_in_memory(infer, image, tmp_path):
    """As the same pixels in a file."""
    Image.fromarray(image[..., 0]).save(tmp_path / 'grey.png')
    Image.fromarray(image[..., ::-1]).save(tmp_path / 'colour.png')
    for name, images in {
        'grey.png': (image[..., 0], image[..., :1], Image.fromarray(image[..., 0])),
        'colour.png': (image, Image.fromarray(image[..., ::-1]), np.dstack([image, image[..., 0]])),
    }.items():
        expected = infer(tmp_path / name, 'star').pred_instances
        for one in images:
            found = infer(one, 'star').pred_instances
            assert torch.equal(found.bboxes, expected.bboxes) and torch.equal(found.masks, expected.masks)


@pytest.mark.parametrize('shape', [(10, 20000), (20000, 10)])
def test_strips(infer, shape):
    found = infer(np.zeros((*shape, 3), np.uint8), 'the red star').pred_instances
    assert found.masks.shape == (1, *shape)


BAD = {
    'no sentence': ([], 'expressions: found none'),
    'an empty text': ('', 'an empty expression'),
    'an empty sentence': (['star', ' '], 'an empty expression at index 1'),
    'a number': (['star', 3], 'expression 1 of type int'),
    'None': (None, 'a NoneType, expected a sentence or a list of them'),
    'bytes': (b'star', 'a bytes'),
    'a set': ({'star'}, 'a set'),
    'half a character': ('\ud83d', 'half a character'),
}


@pytest.mark.parametrize('kind', BAD)
def test_bad_sentences(infer, image, kind):
    sentences, found = BAD[kind]
    with pytest.raises(UserInputError, match=found):
        infer(image, sentences)


def test_bad_images(infer, image, tmp_path):
    for bad, found in (
        (None, 'image: found a NoneType'),
        (image / 255, 'an array of float64'),
        (image[None], r'an array of shape \(1, '),
        (tmp_path / 'none.png', r'none\.png: found no readable file'),
        (tmp_path, 'found no readable file'),
        ('a\0.png', 'found no readable file'),
    ):
        with pytest.raises(UserInputError, match=found):
            infer(bad, 'star')


def test_calibrated_scores(tmp_path):
    """Masks stay, scores are what the calibration makes of them; a file that is none is refused."""
    image, sentences, _ = described(1)
    plain = RefSegInferencer()(image[..., ::-1], sentences).pred_instances
    path = tmp_path / 'calibration.json'
    path.write_text(json.dumps({'scores': [0, 1], 'ious': [0.2, 0.6]}))
    mended = RefSegInferencer(calibration=path)(image[..., ::-1], sentences).pred_instances
    assert torch.equal(mended.masks, plain.masks)
    assert torch.allclose(mended.scores, 0.2 + 0.4 * plain.scores, atol=1e-5)
    path.write_text('[]')
    with pytest.raises(UserInputError, match='calibrate_scores'):
        RefSegInferencer(calibration=path)
