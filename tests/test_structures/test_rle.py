"""Run-length codes against a loop over the pixels, pycocotools' own decoder, PIL and torch."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from mmrefseg.structures import rle as rle_module
from mmrefseg.structures.rle import (
    area,
    areas,
    box_of,
    decode_mask,
    decode_runs,
    encode_mask,
    intersection_areas,
    ious,
    merge,
    resize_mask,
    resize_rle,
    run_lengths,
    to_json_rle,
    vote,
)


def runs_by_hand(mask: np.ndarray) -> list[int]:
    """Run lengths by walking over the pixels, column by column, background first."""
    runs, value = [0], 0
    for pixel in mask.flatten(order='F'):
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return runs


def random_masks(count: int, shape: tuple[int, int] | None = None) -> list[np.ndarray]:
    """Noise of many densities, all and nothing among them; of many sizes where no shape is given."""
    rng = np.random.default_rng(count)
    shapes = [shape or tuple(rng.integers(1, 60, 2)) for _ in range(count)]
    return [rng.random(size) < (0, 0.02, 0.5, 0.98, 1)[i % 5] for i, size in enumerate(shapes)]


@pytest.mark.parametrize('density', [0.0, 0.02, 0.5, 0.98, 1.0])
@pytest.mark.parametrize('shape', [(1, 1), (7, 5), (64, 3), (40, 60)])
def test_runs_are_those_of_the_pixels(shape, density):
    mask = np.random.default_rng(3).random(shape) < density
    rle = encode_mask(mask)
    expected = runs_by_hand(mask)
    for counts in (rle['counts'], rle['counts'].encode(), expected):
        assert run_lengths(counts).tolist() == expected
        assert area(counts, *shape) == mask.sum()
    assert (decode_mask(rle) == mask).all()
    assert rle == to_json_rle(coco_mask.encode(np.asfortranarray(mask.astype(np.uint8))))
    assert rle == to_json_rle(coco_mask.frPyObjects({'size': list(shape), 'counts': expected}, *shape))


def test_runs_longer_than_a_group_of_five_bits():
    mask = np.zeros((480, 640), bool)
    mask[100:400, 50:600] = True
    assert run_lengths(encode_mask(mask)['counts']).tolist() == runs_by_hand(mask)


@pytest.mark.parametrize(
    'counts',
    [
        '',
        '0',
        b'PPYo1',
        '\x00\x01',
        'é',
        '\ud800',
        'oooooooooooo0',
        [10, 3],
        [-5, 105],
        [1.5, 98.5],
        None,
        7,
        'o',
    ],
)
def test_counts_that_do_not_fill_the_image(counts):
    with pytest.raises(ValueError):
        area(counts, 10, 10)


def test_runs_of_many_masks_are_those_of_each():
    masks = random_masks(80)
    rles = [encode_mask(mask) for mask in masks]
    runs = decode_runs([rle['counts'] for rle in rles], np.array([mask.size for mask in masks]))
    for index, rle in enumerate(rles):
        of_mask = runs.mask == index
        assert runs.lengths[of_mask].tolist() == run_lengths(rle['counts']).tolist()
        assert runs.position[of_mask].tolist() == list(range(of_mask.sum()))
    assert runs.areas(len(masks)).tolist() == [mask.sum() for mask in masks]


@pytest.mark.parametrize('counts', ['X', 'a b', 'o', 'é', '\ud800', 'zzzzzzzzzzzz1', '', '0' * 3])
def test_broken_runs_are_found_among_sound_ones(counts):
    mask = np.zeros((60, 80), bool)
    mask[2:9, 1:9] = True
    sound = encode_mask(mask)['counts']
    assert decode_runs([sound] * 3, np.full(3, 60 * 80)) is not None
    for position in range(3):
        texts = [sound] * 3
        texts[position] = counts
        assert decode_runs(texts, np.full(3, 60 * 80)) is None


def test_numbers_of_many_masks_at_once():
    """More masks than pycocotools 2.0.11 can count in a call for areas."""
    masks = random_masks(600, (9, 7))
    rles = [encode_mask(mask) for mask in masks]
    assert areas(rles).tolist() == [mask.sum() for mask in masks]
    shared = intersection_areas(rles[:-1], rles[1:])
    assert shared.tolist() == [(a & b).sum() for a, b in itertools.pairwise(masks)]
    unions = areas(rles[:-1]) + areas(rles[1:]) - shared
    of_pairs = ious(rles[:300], rles[300:])
    assert of_pairs.shape == (300, 300)
    filled = unions > 0
    paired = np.diagonal(ious(rles[:-1], rles[1:]))
    assert paired[filled] == pytest.approx(shared[filled] / unions[filled])
    assert (decode_mask(merge(rles[:5])) == np.any(masks[:5], axis=0)).all()
    assert areas([]).shape == (0,) and rle_module._MOST_AREAS < 256


def test_boxes_are_tight():
    mask = np.zeros((30, 40), bool)
    mask[5:9, 11:31] = True
    assert box_of(encode_mask(mask)) == [11, 5, 20, 4]


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
