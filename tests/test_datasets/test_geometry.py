"""Mirrored images (everything moves together, sentences stay true), and a pseudo mask's own points."""

import random

import numpy as np
import pytest
from mmdet.structures.mask import BitmapMasks
from test_transforms import CODEC, loaded, record

from mmrefseg.codecs.contour_codec import ContourCodec
from mmrefseg.datasets.transforms import EncodeContour, LargeScaleJitter, RefFlip, RefResize
from mmrefseg.structures.polygons import vertices_to_mask
from mmrefseg.utils import UserInputError

POINTS = [21.5, 30.0, 45.0, 31.25, 44.0, 54.0, 20.25, 52.0]


def test_everything_is_mirrored_together():
    before = loaded(record(1, mask_points=POINTS), record(2, mask=None))
    img, boxes, masks = before['img'].copy(), before['gt_bboxes'].copy(), before['gt_masks'].masks.copy()
    width = img.shape[1]
    after = RefFlip(prob=1.0)(before)
    assert after['flip'] is True and after['flip_direction'] == 'horizontal'
    assert (after['img'] == img[:, ::-1]).all()
    assert (after['gt_masks'].masks == masks[:, :, ::-1]).all()
    np.testing.assert_allclose(after['gt_bboxes'][:, [0, 2]], width - boxes[:, [2, 0]])
    np.testing.assert_allclose(after['gt_bboxes'][:, [1, 3]], boxes[:, [1, 3]])
    columns = np.nonzero(after['gt_masks'].masks[0].any(0))[0]
    assert abs(columns.min() - after['gt_bboxes'][0, 0]) <= 1
    points = after['gt_points'][0]
    np.testing.assert_allclose(points[0], [width - 21.5, 30.0])
    np.testing.assert_allclose(points[1], [width - 20.25, 52.0])  # the other way round
    assert after['gt_points'][1] is None


def test_a_mirrored_contour_is_the_contour_of_the_mirrored_mask():
    mask = np.zeros((60, 80), np.uint8)
    mask[10:40, 20:50] = 1
    mask[40:50, 20:30] = 1
    codec = ContourCodec(18, sampling='even_above')
    results = loaded(record(1))
    results.update(
        img=np.zeros((60, 80, 3), np.uint8), gt_points=[codec.sample_vertices(mask)], expressions=['it']
    )
    results['gt_masks'] = results['gt_masks'].resize((60, 80))
    mirrored = RefFlip(prob=1.0)(results)['gt_points'][0]
    expected = codec.sample_vertices(mask[:, ::-1])
    assert np.abs(mirrored - expected).max() < 1.5
    filled = vertices_to_mask(mirrored, 60, 80).astype(bool)
    target = mask[:, ::-1].astype(bool)
    assert (filled & target).sum() / (filled | target).sum() > 0.9


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('the left star', 'the right star'),
        (
            'second from the right, left of the leftmost ring',
            'second from the left, right of the rightmost ring',
        ),
        ('Left one on the RIGHT', 'Right one on the LEFT'),
        ('the bright cleft above', 'the bright cleft above'),
    ],
)
def test_sentences_stay_true(text, expected):
    flip = RefFlip()
    assert flip.swap(text) == expected
    assert flip.swap(expected) == text


def test_share_and_seed():
    draws = [
        [RefFlip(prob=0.3)(loaded(record(1), seed=seed))['flip'] for seed in range(300)] for _ in range(2)
    ]
    assert draws[0] == draws[1]
    assert 60 < sum(draws[0]) < 120
    untouched = loaded(record(1))
    img = untouched['img'].copy()
    assert (RefFlip(prob=0.0)(untouched)['img'] == img).all()


def tokens_of(points) -> np.ndarray:
    codec = ContourCodec(**{key: value for key, value in CODEC.items() if key != 'type'})
    return codec.encode_vertices(np.asarray(points, np.float32).reshape(-1, 2), (180, 240))


def test_points_are_resized_and_encoded_as_they_are():
    results = RefResize((240, 240))(loaded(record(1, mask_points=POINTS), record(2)))
    assert results['gt_points'][1] is None
    tokens = EncodeContour(CODEC)(results)['gt_mask_tokens']
    assert (tokens[0] == tokens_of(2 * np.array(POINTS))).all()
    assert (tokens[1] != tokens[0]).any() and (tokens[1] < 1000).all()  # sampled: six points


def test_a_codec_with_fewer_points_samples_the_mask():
    results = loaded(record(1, mask_points=POINTS * 2), record(2))
    tokens = EncodeContour(CODEC)(results)['gt_mask_tokens']
    assert (tokens[0] == tokens[1]).all()


def test_without_a_mask_points_count_for_nothing():
    results = EncodeContour(CODEC)(loaded(record(1, mask=None, mask_points=POINTS)))
    assert not results['gt_has_mask'].any() and (results['gt_mask_tokens'] == 1000).all()


def test_a_window_samples_the_mask_anew():
    results = LargeScaleJitter(out_max_size=96, jitter_min=1.0, jitter_max=1.4)(
        loaded(record(1, mask_points=POINTS))
    )
    assert 'gt_points' not in results


@pytest.mark.parametrize('points', [[1.0, 2.0, 3.0], [1.0, float('nan')], 'points', [[1, 2], [3]]])
def test_broken_points_are_one_sentence(points):
    with pytest.raises(UserInputError, match=r'mask_points .* expected finite numbers'):
        loaded(record(1, mask_points=points))


@pytest.mark.parametrize('shape', [(10, 20000), (20000, 10), (1, 30000), (1, 1)])
def test_a_strip_keeps_a_pixel_of_its_shorter_side(shape):
    """20000 x 10 fitted into 128 x 128 would be 128 x 0.06."""
    height, width = shape
    fields = {'bbox': [0, 0, width, height], 'mask': [[0, 0, width, 0, width, height, 0, height]]}
    mask = np.ones((1, height, width), np.uint8)

    def sample() -> dict:
        return {
            'img': np.zeros((height, width, 3), np.uint8),
            'gt_bboxes': np.array([[0.0, 0, width - 1, height - 1]]),
            'gt_masks': BitmapMasks(mask, height, width),
            'gt_has_mask': np.array([True]),
            'instances': [record(1, **fields)],
            'rng': random.Random(0),
        }

    resized = RefResize((128, 128))(sample())
    expected = max(1, round(height * 128 / max(shape))), max(1, round(width * 128 / max(shape)))
    assert resized['img'].shape[:2] == resized['img_shape'] == expected
    assert resized['gt_masks'].masks.shape == (1, *expected) and resized['gt_has_mask'].all()
    assert resized['scale_factor'] == (expected[1] / width, expected[0] / height) and resized['keep_ratio']
    for jitter in (0.3, 1.4):
        step = LargeScaleJitter(out_max_size=128, jitter_min=jitter, jitter_max=jitter)
        jittered = step(sample())
        assert min(jittered['img'].shape[:2]) >= 1 and jittered['gt_masks'].masks.any()
