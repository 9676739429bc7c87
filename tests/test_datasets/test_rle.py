"""Run lengths against a loop over the pixels and against pycocotools."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmrefseg.structures import rle


def runs_by_loop(array):
    """Column by column, background first."""
    runs, current, length = [], 0, 0
    for value in array.flatten(order='F'):
        if value != current:
            runs.append(length)
            current, length = value, 0
        length += 1
    return [*runs, length]


@pytest.mark.parametrize('share', [0.0, 0.02, 0.5, 0.98, 1.0])
def test_runs_and_area_of_random_masks(share):
    rng = np.random.default_rng(int(share * 100))
    for _ in range(20):
        height, width = rng.integers(1, 60, 2)
        array = (rng.random((height, width)) < share).astype(np.uint8)
        counts = coco_mask.encode(np.asfortranarray(array))['counts']
        expected = runs_by_loop(array)
        assert rle.run_lengths(counts).tolist() == expected
        assert rle.run_lengths(counts.decode()).tolist() == expected
        assert rle.area(counts, height, width) == rle.area(expected, height, width) == array.sum()


def test_runs_longer_than_a_group_of_five_bits():
    array = np.zeros((480, 640), np.uint8)
    array[100:400, 50:600] = 1
    counts = coco_mask.encode(np.asfortranarray(array))['counts']
    assert rle.run_lengths(counts).tolist() == runs_by_loop(array)


@pytest.mark.parametrize(
    'counts',
    ['', '0', b'PPYo1', '\x00\x01', 'é', 'oooooooooooo0', [10, 3], [-5, 105], [1.5, 98.5], None, 7, 'o'],
)
def test_counts_that_do_not_fill_the_picture(counts):
    with pytest.raises(ValueError):
        rle.area(counts, 10, 10)
