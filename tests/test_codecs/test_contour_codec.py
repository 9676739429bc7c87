"""ContourCodec against the original's numbers, by round trip, and on shapes with known geometry."""

import json

import cv2
import numpy as np
import pycocotools.mask as mask_utils
import pytest
from mmdet.registry import TASK_UTILS

import mmrefseg.registration  # noqa: F401
from mmrefseg.codecs.contour_codec import ContourCodec
from mmrefseg.codecs.contours import boundary_polygon, largest_contour, mass_center
from mmrefseg.structures.polygons import polygon_area, vertices_to_mask, vertices_to_rle

ORIGINALS = ('seqtr', 'partial')


def disk(height=96, width=128, center=(60, 40), axes=(30, 20)):
    return cv2.ellipse(np.zeros((height, width), np.uint8), center, axes, 20, 0, 360, 1, -1)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize('original', ORIGINALS)
def test_vertices_equal_the_originals(golden_dir, original):
    golden = np.load(golden_dir / f'seqtr/F_sample_vertices_{original}.npz')
    cases = json.loads((golden_dir / f'seqtr/F_sample_vertices_{original}.json').read_text())['cases']
    compared = 0
    for case in cases:
        index, (height, width) = case['index'], case['size']
        bits = np.unpackbits(golden[f'mask{index:02d}_packed'])
        mask = bits[: height * width].reshape(height, width)
        contour = largest_contour(mask)
        center = mass_center(contour)
        for num_points in (12, 18):
            for center_sampling, sampling in enumerate(('uniform', 'angle')):
                key = f'case{index:02d}_ray{num_points}_center{center_sampling}'
                vertices = ContourCodec(num_points, sampling=sampling).sample_vertices(mask)
                filled = np.full((num_points, 2), -1, np.float32)
                filled[: len(vertices)] = vertices
                np.testing.assert_array_equal(filled.T, golden[f'{key}_vertices'], err_msg=key)
                expected_center = [-1, -1] if center is None else center
                np.testing.assert_array_equal(golden[f'{key}_mass_center_f64'], expected_center)
                compared += 1
    assert compared == 14 * 2 * 2


def test_holes_and_smaller_parts_change_nothing():
    rng = np.random.default_rng(0)
    for _ in range(200):
        noise = rng.random(rng.integers(3, 40, 2)).astype(np.float32)
        mask = (cv2.GaussianBlur(noise, (0, 0), 1.5) > 0.5).astype(np.uint8)
        if not mask.any():
            continue
        everything, _ = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_NONE)
        original = sorted(everything, key=cv2.contourArea, reverse=True)[0][:, 0]
        np.testing.assert_array_equal(largest_contour(mask), original)


@pytest.mark.parametrize('original', ORIGINALS)
def test_legacy_quantises_as_the_originals(golden_dir, original):
    golden = np.load(golden_dir / f'seqtr/I_facts_{original}.npz')
    facts = json.loads((golden_dir / f'seqtr/I_facts_{original}.json').read_text())
    codec = ContourCodec(num_points=4, legacy=True)
    for row, shape in enumerate(facts['quantize']['pad_shapes']):
        values = golden['quantize_in_f64'][row]
        as_boxes = codec.encode_box(values.reshape(2, 4), shape).reshape(-1)
        np.testing.assert_array_equal(as_boxes, golden['quantize_float64'][row])
        vertices = values.astype(np.float32).reshape(4, 2)
        expected = np.where(
            golden['quantize_float32'][row] < 0, codec.end_token, golden['quantize_float32'][row]
        )
        np.testing.assert_array_equal(codec.encode_vertices(vertices, shape), expected)
    assert (golden['quantize_float64'] == codec.end_token).any(), 'the case that a coordinate equals the side'


@pytest.mark.parametrize('original', ORIGINALS)
def test_decodes_as_the_originals(golden_dir, original):
    golden = np.load(golden_dir / f'seqtr/I_facts_{original}.npz')
    facts = json.loads((golden_dir / f'seqtr/I_facts_{original}.json').read_text())
    for row, (name, meta) in enumerate(zip(facts['getpred_names'], facts['getpred_metas'], strict=True)):
        height, width = meta['pad_shape'][:2]
        for legacy in (True, False):
            codec = ContourCodec(12, legacy=legacy)
            vertices = codec.decode_mask(golden['getpred_tokens'][row], meta['img_shape'])
            rle = vertices_to_rle(vertices, height, width)
            if legacy or not name.endswith('as_box'):
                assert rle['counts'] == facts['getpred_rle_padscale'][row]['counts'], name
            else:
                assert mask_utils.area(rle) == 0, 'two points are no mask'
            boxes = codec.decode_box(golden['getpred_bbox_tokens'][row], meta['img_shape'])
            np.testing.assert_allclose(boxes, golden['getpred_bbox_padscale_f64'][row], atol=1e-4)


@pytest.mark.parametrize('original', ORIGINALS)
def test_permutes_as_the_originals(golden_dir, original):
    golden = np.load(golden_dir / f'seqtr/I_facts_{original}.npz')
    codec = ContourCodec(num_points=12)
    for row in golden['shuffle_rows']:
        shuffled = codec.permute_points(golden['shuffle_in'][row], golden['shuffle_perm'])
        np.testing.assert_array_equal(shuffled, golden['shuffle_out'][row])


@pytest.mark.parametrize('bin_center', [False, True])
@pytest.mark.parametrize('num_bins', [64, 1000])
def test_box_round_trip_is_within_one_bin(num_bins, bin_center):
    rng = np.random.default_rng(1)
    codec = ContourCodec(num_bins=num_bins, bin_center=bin_center)
    for shape in ((480, 640), (427, 640, 3), (33, 31), (1000, 1200)):
        boxes = rng.random((50, 4)) * np.tile(shape[1::-1], 2)
        decoded = codec.decode_box(codec.encode_box(boxes, shape), shape)
        bins = np.tile(np.ceil(np.array(shape[1::-1]) / 32) * 32 / num_bins, 2)
        error = boxes - decoded
        if bin_center:
            assert (np.abs(error) <= bins / 2 + 1e-9).all()
        else:
            assert (error >= -1e-9).all() and (error < bins + 1e-9).all()


@pytest.mark.parametrize('sampling', ['uniform', 'angle', 'even', 'even_above'])
def test_vertices_round_trip_is_within_one_bin(sampling):
    codec = ContourCodec(18, sampling=sampling)
    mask = disk()
    vertices = codec.sample_vertices(mask)
    decoded = codec.decode_mask(codec.encode_mask(mask, mask.shape), mask.shape)
    assert decoded.shape == vertices.shape and len(vertices) > 9
    assert (np.abs(vertices - decoded) <= np.array([128, 96]) / 1000 + 1e-4).all()


def test_coordinates_are_relative_to_the_padded_size():
    codec = ContourCodec(num_points=3, num_bins=100)
    assert codec.padded_size((33, 64, 3)) == (64, 64)
    np.testing.assert_array_equal(codec.encode_box([16, 16, 32, 32], (33, 64)), [25, 25, 50, 50])


@pytest.mark.parametrize('height', [96, 100])
def test_what_reaches_the_border_is_clamped(height):
    full = np.ones((height, 64), np.uint8)
    codec = ContourCodec(num_points=18, sampling='even')
    tokens = codec.encode_mask(full, full.shape)
    assert tokens.max() == 999 and tokens.min() == 0, 'no end token inside'
    # 640 > 600 and the padded width is the width: the right edge is the padded size itself.
    legacy = ContourCodec(num_points=18, sampling='even', legacy=True).encode_mask(full, full.shape)
    assert legacy.max() == codec.end_token
    boxes = codec.encode_box([[-3, 5, 64, 2000]], full.shape)
    assert boxes[0, 0] == 0 and boxes[0, 2] == 999 and boxes[0, 3] == 999


def test_legacy_fills_with_valid_tokens_beyond_a_thousand_pixels():
    vertices, shape = np.full((3, 2), 500, np.float32), (1024, 1056)
    legacy = ContourCodec(num_points=5, legacy=True).encode_vertices(vertices, shape)
    ours = ContourCodec(num_points=5).encode_vertices(vertices, shape)
    assert (legacy[6:] == 0).all() and (ours[6:] == 1000).all()
    np.testing.assert_array_equal(legacy[:6], ours[:6])


@pytest.mark.parametrize(('sampling', 'least'), [('uniform', 0.89), ('angle', 0.89), ('even', 0.97)])
def test_eighteen_points_carry_a_convex_mask(sampling, least):
    codec = ContourCodec(18, sampling=sampling, bin_center=sampling == 'even')
    scores = []
    for size in (20, 30, 60):
        shapes = [
            disk(160, 160, (80, 80), (size, size)),
            disk(160, 160, (70, 90), (size, size // 2)),
            cv2.fillPoly(
                np.zeros((160, 160), np.uint8),
                [np.array([[80 - size, 80], [80, 80 - size], [80 + size, 80], [80, 80 + size]])],
                1,
            ),
        ]
        for mask in shapes:
            vertices = codec.decode_mask(codec.encode_mask(mask, mask.shape), mask.shape)
            scores.append(iou(vertices_to_mask(vertices, *mask.shape), mask.astype(bool)))
    assert len(scores) == 9 and min(scores) > least, scores


def test_even_sampling_gives_exactly_the_points_asked_for():
    mask = disk()
    for num_points in (3, 12, 17, 18, 36):
        vertices = ContourCodec(num_points, sampling='even').sample_vertices(mask)
        assert vertices.shape == (num_points, 2)
        top = vertices[0]
        rows, columns = np.nonzero(mask)
        assert top[1] == rows.min() and top[0] == columns[rows == rows.min()].min()
    steps = np.linalg.norm(np.diff(np.vstack([vertices, vertices[:1]]), axis=0), axis=1)
    assert steps.max() < 1.5 * steps.mean() and steps.min() > 0.5 * steps.mean()


def turned_square(degrees):
    corners = cv2.boxPoints(((60.0, 60.0), (40.0, 40.0), degrees)).round().astype(np.int32)
    return cv2.fillPoly(np.zeros((120, 120), np.uint8), [corners], 1)


def test_even_sampling_from_above_turns_with_the_object():
    squares = [turned_square(degrees) for degrees in (-3, 0, 3)]
    codec = ContourCodec(18, sampling='even_above', bin_center=True)
    firsts = np.array([codec.sample_vertices(square)[0] for square in squares])
    for first, square in zip(firsts, squares, strict=True):
        outline = boundary_polygon(square)
        assert first[0] == pytest.approx((outline[:, 0].min() + outline[:, 0].max()) / 2, abs=1)
        assert first[1] < 45
        restored = codec.decode_mask(codec.encode_mask(square, square.shape), square.shape)
        assert iou(vertices_to_mask(restored, *square.shape), square.astype(bool)) > 0.95
    assert np.ptp(firsts, axis=0).max() <= 2
    topmost = np.array([ContourCodec(18, sampling='even').sample_vertices(square)[0] for square in squares])
    assert np.ptp(topmost, axis=0).max() > 20  # from corner to corner


def test_boundary_polygon_has_the_area_of_the_mask():
    square = np.zeros((30, 40), np.uint8)
    square[5:15, 10:30] = 1
    line = np.zeros((30, 40), np.uint8)
    line[7, 3:20] = 1
    dot = np.zeros((30, 40), np.uint8)
    dot[29, 39] = 1
    for mask in (square, line, dot):
        polygon = boundary_polygon(mask)
        assert polygon_area(polygon) == mask.sum()
        assert (vertices_to_mask(polygon, 30, 40) == mask.astype(bool)).all()


@pytest.mark.parametrize('sampling', ['uniform', 'angle', 'even', 'even_above'])
def test_empty_mask_is_only_end_tokens(sampling):
    codec = ContourCodec(18, sampling=sampling)
    tokens = codec.encode_mask(np.zeros((64, 64), np.uint8), (64, 64))
    assert tokens.shape == (36,) and (tokens == codec.end_token).all()
    assert codec.decode_mask(tokens, (64, 64)).shape == (0, 2)
    assert not vertices_to_mask(np.zeros((0, 2)), 64, 64).any()


def test_tokens_out_of_range_are_clamped():
    codec = ContourCodec(num_points=3, num_bins=100)
    vertices = codec.decode_mask([-5, 150, 10, 20, 30, 40, 100, 7], (100, 100))
    np.testing.assert_allclose(vertices, np.array([[0, 99], [10, 20], [30, 40]]) * 1.28)


def test_vertices_go_back_to_the_original_frame():
    mask = disk(60, 80, (40, 30), (20, 15))
    large = cv2.resize(mask, (160, 180), interpolation=cv2.INTER_NEAREST)
    vertices = ContourCodec(40, sampling='even').sample_vertices(large)
    back = vertices_to_mask(vertices, 60, 80, scale_factor=(2.0, 3.0))
    assert back.shape == (60, 80) and iou(back, mask.astype(bool)) > 0.95


def test_a_config_builds_it_and_wrong_arguments_say_so():
    codec = TASK_UTILS.build({'type': 'ContourCodec', 'num_points': 12})
    assert (codec.end_token, codec.vocab_size) == (1000, 1001)
    with pytest.raises(ValueError, match="sampling: found 'evenly', expected one of"):
        ContourCodec(sampling='evenly')
    with pytest.raises(ValueError, match='at least 3 points'):
        ContourCodec(num_points=2)
    with pytest.raises(ValueError, match='at most 3'):
        ContourCodec(num_points=3).encode_vertices(np.zeros((4, 2)), (32, 32))
