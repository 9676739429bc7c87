"""Masks of the working format: to run lengths and bitmaps, joined, bounded, and one sentence for each bad
one."""

import math

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmrefseg.structures.boxes import box_union
from mmrefseg.structures.masks import bounds, form_problem, mask_problem, to_bitmap, to_rle, union
from mmrefseg.structures.polygons import polygon_area, polygon_bounds, vertices_to_mask
from mmrefseg.structures.rle import areas, encode_mask, run_lengths
from mmrefseg.utils import UserInputError

SQUARE = [[10, 10, 30, 10, 30, 30, 10, 30]]
POLYGONS = [[2.0, 2.0, 12.0, 2.5, 11.0, 9.0], [14.0, 1.0, 18.0, 1.0, 18.0, 8.0, 14.0, 8.0]]


def test_to_rle_takes_polygons_compressed_plain_and_empty():
    parts = coco_mask.decode(coco_mask.frPyObjects(POLYGONS, 12, 20))
    filled = parts.any(axis=2)
    rle = to_rle(POLYGONS, 12, 20)
    assert isinstance(rle['counts'], str)
    plain = {'size': [12, 20], 'counts': run_lengths(rle['counts']).tolist()}
    in_bytes = {'size': [12, 20], 'counts': rle['counts'].encode()}
    for mask in (POLYGONS, tuple(map(tuple, POLYGONS)), rle, in_bytes, plain):
        assert to_rle(mask, 12, 20) == rle
        assert (to_bitmap(mask, 12, 20) == filled).all()
    assert not to_bitmap([], 12, 20).any()


def test_more_polygons_than_a_byte_can_count():
    corners = [(x, y) for x in range(0, 60, 2) for y in range(0, 40, 4)]
    dots = [[x, y, x + 1.0, y, x + 1.0, y + 1.0, x, y + 1.0] for x, y in corners]
    slivers = [[3, 3, 40, 3.2, 40, 3.4]] * 300
    assert len(dots) == 300 and to_bitmap(dots, 40, 60).sum() == 300
    assert mask_problem(dots, 40, 60) is None
    assert mask_problem(slivers, 48, 64).found == 'an empty mask'


BAD = {
    'size': ({'size': [12, 21], 'counts': 'o7'}, r'size \[12, 21\].*expected .*\[12, 20\]'),
    'no size': ({'counts': 'o7'}, 'size None'),
    'runs too short': ({'size': [12, 20], 'counts': [10, 5]}, 'runs that cover 15 pixels.*20 x 12'),
    'negative run': ({'size': [12, 20], 'counts': [250, -10]}, 'runs that cover 240 pixels'),
    'garbage': ({'size': [12, 20], 'counts': 'héé'}, 'no.* COCO run-length string|not a COCO run-length'),
    'cut off': ({'size': [12, 20], 'counts': 'X'}, 'run'),
    'counts of floats': ({'size': [12, 20], 'counts': [120.5, 119.5]}, 'whole numbers'),
    'no counts': ({'size': [12, 20]}, 'NoneType'),
    'two points': ([[1.0, 1.0, 5.0, 5.0]], 'polygon 0 of 4 numbers.*3 points'),
    'odd': ([*POLYGONS, [1.0, 1.0, 5.0, 5.0, 3.0, 2.0, 1.0]], 'polygon 2 of 7 numbers'),
    'nan': ([[1.0, math.nan, 5.0, 5.0, 3.0, 2.0]], 'NaN or infinite'),
    'text': ([[1.0, 'a', 5.0, 5.0, 3.0, 2.0]], 'no numbers'),
    'far away': ([[1.0, 1e12, 5.0, 5.0, 3.0, 2.0]], r'coordinate 1e\+12, expected pixels .* 20 x 12'),
    'far away by a number of 400 digits': ([[1, 10**400, -(10**400), 5, 3, 2]], 'more than 300 digits'),
    'a long way': ([[0, 0, 20, 12] * 600_000], r'outline of 2.4e\+07 pixels, expected'),
    'runs beyond 64 bits': ({'size': [12, 20], 'counts': [2**62] * 4 + [240]}, 'runs that cover 18446'),
    'runs of lists': ({'size': [12, 20], 'counts': [[1], [2, 3]]}, 'whole numbers'),
    'far away on the other side': ([[1.0, -1e12, 5.0, 5.0, 3.0, 2.0]], r'coordinate -1e\+12'),
    'a number of 400 digits': ([[1.0, 10**400, 5.5, 5.0, 3.0, 2.0]], 'infinite'),
    'flat list': ([1.0, 1.0, 5.0, 5.0, 3.0, 2.0], 'polygon 0 of type float'),
    'a number': (7, 'mask of type int'),
    'nothing': (None, 'mask of type NoneType'),
}


@pytest.mark.parametrize('name', BAD)
def test_bad_masks_are_one_sentence(name):
    mask, pattern = BAD[name]
    for convert in (to_rle, to_bitmap):
        with pytest.raises(UserInputError, match=pattern) as error:
            convert(mask, 12, 20, 'sentence 7')
        assert str(error.value).startswith('sentence 7: found')
    assert form_problem(mask, 12, 20) == mask_problem(mask, 12, 20) is not None


EMPTY = {
    'no polygons': ([], 'a mask without polygons'),
    'outside': ([*SQUARE, [70, 1, 90, 1, 90, 9]], 'polygon 1 outside the image'),
    'sliver': ([[3, 3, 40, 3.2, 40, 3.4]], 'an empty mask'),
    'only its box meets': ([[-30, 40, 20, 90, -30, 90]], 'an empty mask'),
    'run lengths': ({'size': [48, 64], 'counts': [48 * 64]}, 'an empty mask'),
}


@pytest.mark.parametrize('name', EMPTY)
def test_an_annotated_mask_covers_a_pixel(name):
    mask, found = EMPTY[name]
    assert mask_problem(mask, 48, 64).found == found and form_problem(mask, 48, 64) is None
    to_rle(mask, 48, 64)
    for overlap in ('union', 'background'):
        with pytest.raises(UserInputError, match=f'ref_id 3: found {found}'):
            to_bitmap(mask, 48, 64, 'ref_id 3', mask_problem, overlap)


def test_vertices_far_outside_are_cut_off_and_no_polygon_ends_the_process():
    assert to_bitmap([[-90_000, -90_000, 90_000, -90_000, 90_000, 90_000, -90_000, 90_000]], 12, 20).all()
    zigzag = [[-99_000, 0, 99_000, 12] * 1000]
    for check in (form_problem, mask_problem):
        assert 'an outline of 3.96e+08 pixels' in check(zigzag, 12, 20).found
    # What nobody has checked reaches the rasteriser neither.
    for polygon in (zigzag[0], [0, 0, math.nan, 5, 5, 5], [0, 0, math.inf, 5, 5, 5]):
        with pytest.raises(ValueError, match='not finite, or an outline'):
            to_bitmap([polygon], 12, 20, check=None)
    assert to_rle([[-1e6, -1e6, 1e6, -1e6, 1e6, 1e6, -1e6, 1e6]], 12, 20, check=None) == encode_mask(
        np.ones((12, 20))
    )


def test_overlaps_of_many_polygons_are_background():
    square, corner = [2, 2, 8, 2, 8, 8, 2, 8], [5, 5, 11, 5, 11, 11, 5, 11]
    both = to_bitmap([square], 12, 20) & to_bitmap([corner], 12, 20)
    either = to_bitmap([square], 12, 20) | to_bitmap([corner], 12, 20)
    assert (
        to_bitmap([square, corner], 12, 20, overlap='background') == (either & ~both)
    ).all() and both.any()
    # Beyond what a byte can count.
    assert not to_bitmap([square] * 257, 12, 20, overlap='background').any()
    assert not to_bitmap([], 12, 20, overlap='background').any()


def test_a_self_crossing_polygon_is_filled_where_coco_fills_it():
    filled = to_bitmap([[10, 10, 30, 30, 30, 10, 10, 30]], 48, 64)
    assert filled[20, 12] and filled[20, 28]
    assert not filled[12, 20] and not filled[28, 20]


def test_joined_and_bounded():
    rng = np.random.default_rng(0)
    array, other = rng.random((12, 9)) < 0.4, rng.random((12, 9)) < 0.1
    rle = encode_mask(array)
    assert (to_bitmap(rle, 12, 9) == array).all() and areas([rle]).tolist() == [array.sum()]
    ys, xs = np.nonzero(array)
    assert bounds(rle, 12, 9) == [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
    assert (to_bitmap(union([rle, encode_mask(other)], 12, 9), 12, 9) == (array | other)).all()
    joined = union([POLYGONS, encode_mask(np.eye(12, 20))], 12, 20)
    assert (to_bitmap(joined, 12, 20) == to_bitmap(POLYGONS, 12, 20) | np.eye(12, 20, dtype=bool)).all()
    assert union([SQUARE, SQUARE], 48, 64) == SQUARE * 2
    assert bounds(SQUARE, 48, 64) == polygon_bounds(SQUARE) == [10, 10, 20, 20]
    assert box_union([[1, 2, 3, 4], [0.1, 5, 0.2, 9.9]]) == [0.1, 2, 3.9, 12.9]


def test_vertices_may_be_padded_or_lie_outside():
    square = np.array([[10, 10], [30, 10], [30, 30], [10, 30]], float)
    padded = np.vstack([square, np.full((5, 2), np.nan)])
    assert vertices_to_mask(padded, 40, 40).sum() == 400 == polygon_area(square)
    assert vertices_to_mask(square * 1e6, 40, 40).sum() == 0
    outside = np.array([[-1e7, -1e7], [1e7, -1e7], [1e7, 1e7], [-1e7, 1e7]])
    assert vertices_to_mask(outside, 40, 40).all()
    assert not vertices_to_mask(np.zeros((0, 2)), 64, 64).any()
