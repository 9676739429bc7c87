"""Run-length codes against pycocotools' own decoder, PIL and torch."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from mmrefseg.structures.rle import (
    decode_mask,
    encode_mask,
    resize_mask,
    resize_rle,
    rle_runs,
    to_json_rle,
    to_rle,
    vote,
)
from mmrefseg.utils import UserInputError


def runs_by_hand(mask: np.ndarray) -> list[int]:
    """Run lengths by walking over the pixels, column by column."""
    runs, value = [0], 0
    for pixel in mask.flatten(order='F'):
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return runs


@pytest.mark.parametrize('density', [0.0, 0.02, 0.5, 0.98, 1.0])
@pytest.mark.parametrize('shape', [(1, 1), (7, 5), (64, 3), (40, 60)])
def test_runs_are_those_of_the_pixels(shape, density):
    mask = np.random.default_rng(3).random(shape) < density
    rle = encode_mask(mask)
    assert rle_runs(rle['counts']).tolist() == runs_by_hand(mask)
    assert (decode_mask(rle) == mask).all()


def test_to_rle_takes_polygons_compressed_plain_and_empty():
    polygons = [[2.0, 2.0, 12.0, 2.5, 11.0, 9.0], [14.0, 1.0, 18.0, 1.0, 18.0, 8.0, 14.0, 8.0]]
    parts = coco_mask.decode(coco_mask.frPyObjects(polygons, 12, 20))
    union = parts.any(axis=2)
    from_polygons = to_rle(polygons, 12, 20)
    plain = {'size': [12, 20], 'counts': runs_by_hand(union)}
    for segmentation in (polygons, from_polygons, to_json_rle(from_polygons), plain):
        assert (decode_mask(to_rle(segmentation, 12, 20)) == union).all()
    assert not decode_mask(to_rle([], 12, 20)).any()


BAD = {
    'size': ({'size': [12, 21], 'counts': 'o7'}, r'size \[12, 21\].*expected \[12, 20\]'),
    'no size': ({'counts': 'o7'}, 'size None'),
    'runs too short': ({'size': [12, 20], 'counts': [10, 5]}, 'runs of 15 pixels.*240'),
    'negative run': ({'size': [12, 20], 'counts': [250, -10]}, 'runs of 240|found'),
    'garbage': ({'size': [12, 20], 'counts': 'héé'}, 'run'),
    'cut off': ({'size': [12, 20], 'counts': 'X'}, 'run'),
    'counts of floats': ({'size': [12, 20], 'counts': [120.5, 119.5]}, 'whole numbers'),
    'no counts': ({'size': [12, 20]}, 'NoneType'),
    'two points': ([[1.0, 1.0, 5.0, 5.0]], 'polygon of 4 numbers.*3 points'),
    'odd': ([[1.0, 1.0, 5.0, 5.0, 3.0, 2.0, 1.0]], 'polygon of 7 numbers'),
    'nan': ([[1.0, math.nan, 5.0, 5.0, 3.0, 2.0]], 'nan.*finite'),
    'text': ([[1.0, 'a', 5.0, 5.0, 3.0, 2.0]], 'finite'),
    'far away': ([[1.0, 1e12, 5.0, 5.0, 3.0, 2.0]], 'pixels of the image'),
    'flat list': ([1.0, 1.0, 5.0, 5.0, 3.0, 2.0], 'polygon of float'),
    'a number': (7, 'mask of type int'),
}


@pytest.mark.parametrize('name', BAD)
def test_bad_masks_are_one_sentence(name):
    segmentation, pattern = BAD[name]
    with pytest.raises(UserInputError, match=pattern) as error:
        to_rle(segmentation, 12, 20, 'sentence 7')
    assert str(error.value).startswith('sentence 7: found')


@pytest.mark.parametrize('size', [(19, 31), (41, 7), (48, 48), (33, 33)])
def test_resize_is_nearest_with_matched_centres(size):
    mask = np.random.default_rng(0).random((20, 30)) < 0.4
    ours = resize_mask(mask, *size)
    of_torch = torch.nn.functional.interpolate(
        torch.from_numpy(mask)[None, None].float(), size=size, mode='nearest-exact'
    )
    of_pil = Image.fromarray(mask.astype(np.uint8)).resize(size[::-1], Image.NEAREST)
    assert (ours == of_torch[0, 0].numpy().astype(bool)).all()
    # Where a centre falls on a border between two pixels, PIL's sums of floats choose either.
    rows, columns = (
        np.flatnonzero((2 * np.arange(new) + 1) * old % (2 * new))
        for new, old in zip(size, (20, 30), strict=True)
    )
    clear = np.ix_(rows, columns)
    assert (ours[clear] == np.asarray(of_pil).astype(bool)[clear]).all() and len(rows) * len(columns) > 0
    assert (decode_mask(resize_rle(encode_mask(mask), *size)) == ours).all()


@pytest.mark.parametrize('number', [1, 2, 3, 4])
def test_vote_is_the_mean_at_one_half(number):
    masks = np.random.default_rng(number).random((number, 9, 11)) < 0.5
    voted = decode_mask(vote([encode_mask(mask) for mask in masks]))
    assert (voted == (masks.mean(axis=0) >= 0.5)).all()
