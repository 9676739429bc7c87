"""What the transforms do with several objects, withheld masks, vanished objects and bad input."""

import copy
import itertools
import random

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmdet.registry import TRANSFORMS
from mmdet.structures.mask import BitmapMasks

import mmrefseg.registration  # noqa: F401
from mmrefseg.datasets.transforms import (
    DrawExpression,
    EncodeContour,
    LargeScaleJitter,
    LoadRefAnnotations,
    LoadRefImage,
    PackRefInputs,
    RefResize,
)
from mmrefseg.utils import UserInputError

HEIGHT, WIDTH = 90, 120
CODEC = {'type': 'ContourCodec', 'num_points': 6, 'sampling': 'even'}


def square(x, y, side):
    return [[x, y, x + side, y, x + side, y + side, x, y + side]]


def record(ref_id=7, x=20, y=30, side=25, **changes):
    fields = {
        'image_id': 1,
        'height': HEIGHT,
        'width': WIDTH,
        'bbox': [x, y, side, side],
        'mask': square(x, y, side),
        'expressions': ['the left square', 'a square', 'it'],
        'sent_ids': [10 * ref_id, 10 * ref_id + 1, 10 * ref_id + 2],
        'category_id': 3,
        'ref_id': ref_id,
    }
    fields.update(changes)
    return {key: value for key, value in fields.items() if value is not None}


def image():
    return np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)


def loaded(*records, seed=0, **kwargs):
    """Results behind DrawExpression and LoadRefAnnotations."""
    results = {
        'img': image(),
        'img_path': 'image.png',
        'img_shape': (HEIGHT, WIDTH),
        'ori_shape': (HEIGHT, WIDTH),
        'height': HEIGHT,
        'width': WIDTH,
        'split': 'train',
        'img_id': 1,
        'instances': [copy.deepcopy(each) for each in records],
        'rng': random.Random(seed),
    }
    return LoadRefAnnotations(**kwargs)(DrawExpression()(results))


@pytest.fixture
def png(tmp_path):
    path = tmp_path / 'image.png'
    cv2.imwrite(str(path), image())
    return path


def to_load(path, **changes):
    results = {'img_path': str(path), 'height': HEIGHT, 'width': WIDTH, 'instances': [record()]}
    return {**results, **changes}


# --- LoadRefImage


def test_image_is_loaded_as_it_is(png):
    results = LoadRefImage()(to_load(png))
    np.testing.assert_array_equal(results['img'], image())
    assert results['img_shape'] == results['ori_shape'] == (HEIGHT, WIDTH)
    assert results['scale_factor'] == (1.0, 1.0)


def test_sizes_are_optional(png):
    results = LoadRefImage()({'img_path': str(png)})
    assert results['img'].shape == (HEIGHT, WIDTH, 3)


def write_truncated_jpeg(path, share):
    content = cv2.imencode('.jpg', cv2.resize(image(), (640, 480)))[1].tobytes()
    # A thumbnail in the header, as cameras write it, has an end marker of its own.
    thumbnail = cv2.imencode('.jpg', np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    segment = b'\xff\xe1' + (len(thumbnail) + 2).to_bytes(2, 'big') + thumbnail
    content = content[:2] + segment + content[2:]
    path.write_bytes(content[: int(share * len(content))])


def write_truncated_png(path, share):
    content = cv2.imencode('.png', image())[1].tobytes()
    path.write_bytes(content[: int(share * len(content))])


PNG_WITH_IEND_IN_A_TEXT = b'\x89PNG\r\n\x1a\n' + b'\0\0\0\x08tEXtIEND....1234'


@pytest.mark.parametrize(
    ('name', 'write', 'expected'),
    [
        ('missing.jpg', lambda path: None, 'found no readable file'),
        ('folder.jpg', lambda path: path.mkdir(), 'found no readable file'),
        ('empty.jpg', lambda path: path.write_bytes(b''), 'found an empty file'),
        ('text.jpg', lambda path: path.write_text('no image'), 'found a file that cannot be decoded'),
        ('cut.jpg', lambda path: write_truncated_jpeg(path, 0.7), 'found a truncated image'),
        ('last_bytes.jpg', lambda path: write_truncated_jpeg(path, 0.9999), 'found a truncated image'),
        ('cut.png', lambda path: write_truncated_png(path, 0.7), 'found a truncated image'),
        ('no_end.png', lambda path: write_truncated_png(path, 0.999), 'found a truncated image'),
        ('name.png', lambda path: path.write_bytes(PNG_WITH_IEND_IN_A_TEXT), 'found a truncated image'),
    ],
)
def test_unusable_image_is_one_sentence(tmp_path, name, write, expected):
    path = tmp_path / name
    write(path)
    with pytest.raises(UserInputError) as error:
        LoadRefImage()(to_load(path))
    message = str(error.value)
    assert str(path) in message and 'ref_id 7' in message and expected in message
    assert 'expected' in message and '\n' not in message


@pytest.mark.parametrize('more', [b'\0' * 100, b'PK and a zip file' * 1000])
def test_a_png_with_bytes_behind_its_end_is_a_png(tmp_path, more):
    (tmp_path / 'a.png').write_bytes(cv2.imencode('.png', image())[1].tobytes() + more)
    np.testing.assert_array_equal(LoadRefImage()(to_load(tmp_path / 'a.png'))['img'], image())


def test_complete_jpeg_with_a_thumbnail_is_no_error(tmp_path):
    path = tmp_path / 'whole.jpg'
    write_truncated_jpeg(path, 1)
    assert LoadRefImage()(to_load(path, height=480, width=640))['img'].shape == (480, 640, 3)


def test_image_of_another_size_is_one_sentence(png):
    with pytest.raises(UserInputError, match=r'120 x 90 pixels, expected 90 x 120 as its record says'):
        LoadRefImage()(to_load(png, height=WIDTH, width=HEIGHT))


# --- DrawExpression


def test_one_expression_of_each_object_is_drawn():
    seen = set()
    for seed in range(40):
        results = loaded(record(1), record(2, expressions=['only'], sent_ids=[99]), seed=seed)
        assert results['ref_ids'] == [1, 2] and results['expressions'][1] == 'only'
        sent_id = results['sent_ids'][0]
        assert results['expressions'][0] == record(1)['expressions'][sent_id - 10]
        assert results['sent_ids'][1] == 99
        seen.add(sent_id)
    assert seen == {10, 11, 12}


def test_drawing_depends_on_the_rng_alone():
    draws = [loaded(record(1), record(2), seed=5)['expressions'] for _ in range(3)]
    assert draws[0] == draws[1] == draws[2]


def test_a_single_expression_uses_no_random_number():
    rng = random.Random(3)
    DrawExpression()({'instances': [record(expressions=['it'])], 'rng': rng})
    assert rng.random() == random.Random(3).random()


@pytest.mark.parametrize('expressions', [[], [''], ['  \t'], [None], [5]])
def test_missing_or_empty_expression_is_one_sentence(expressions):
    with pytest.raises(UserInputError, match=r'ref_id 7: found .*expected a sentence'):
        loaded(record(expressions=expressions))


# --- LoadRefAnnotations


def test_boxes_masks_and_withheld_masks():
    results = loaded(record(1), record(2, x=60, mask=None), record(3, category_id=None))
    np.testing.assert_array_equal(results['gt_bboxes'][1], [60, 30, 85, 55])
    assert results['gt_bboxes'].dtype == np.float64
    assert results['gt_has_mask'].tolist() == [True, False, True]
    assert results['gt_bboxes_labels'].tolist() == [3, 3, 0]
    assert results['gt_masks'].masks.sum(axis=(1, 2)).tolist() == [625, 0, 625]
    assert results['gt_masks'].masks[0, 30:55, 20:45].all()


def test_scores_of_pseudo_masks():
    """A pseudo mask's score reaches the model; what is no number from 0 to 1 counts as none."""
    records = [record(place, mask_score=score) for place, score in enumerate((0.75, None, 'good', 7, True))]
    packed = PackRefInputs()(loaded(record(9), *records))['data_samples']
    assert packed.gt_instances.mask_scores.tolist() == [1, 0.75, 1, 1, 1, 1]


def test_rle_and_polygons_agree():
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[30:55, 20:45] = 1
    counts = [len(list(run)) for _, run in itertools.groupby(mask.T.ravel())]
    uncompressed = {'size': [HEIGHT, WIDTH], 'counts': counts}
    results = loaded(record(1), record(2, mask=uncompressed))
    np.testing.assert_array_equal(results['gt_masks'].masks[0], results['gt_masks'].masks[1])


def test_boxes_alone():
    results = loaded(record(), with_mask=False)
    assert 'gt_masks' not in results and 'gt_has_mask' not in results
    packed = PackRefInputs()(EncodeContour(CODEC)(results))['data_samples']
    assert 'mask_tokens' not in packed.gt_instances and len(packed.gt_instances.bbox_tokens) == 1


def test_box_is_clipped_as_the_originals_do():
    results = loaded(record(bbox=[-5, 80, 20, 30]))
    np.testing.assert_array_equal(results['gt_bboxes'][0], [0, 80, 15, 89])


@pytest.mark.parametrize(
    'changes',
    [
        {'bbox': None},
        {'bbox': [1, 2, 3]},
        {'bbox': [1, 2, float('nan'), 4]},
        {'bbox': [10, 10, 0, 5]},
        {'bbox': [200, 10, 5, 5]},
        {'mask': [[1, 1, 20, 20]]},
        {'mask': [[1, 1, 20, 1, float('nan'), 20]]},
        {'mask': [[200, 200, 250, 200, 250, 250]]},
        {'mask': []},
        {'mask': 'polygon'},
        {'mask': {'size': [10, 10], 'counts': [100]}},
        {'mask': {'size': [HEIGHT, WIDTH], 'counts': [HEIGHT * WIDTH]}},
        {'mask': {'size': [HEIGHT, WIDTH], 'counts': 'no run lengths'}},
    ],
    ids=str,
)
def test_bad_annotation_is_one_sentence(changes):
    with pytest.raises(UserInputError) as error:
        loaded(record(1), {**record(8), **changes})
    message = str(error.value)
    assert 'image.png, ref_id 8' in message and 'found' in message and 'expected' in message


def test_annotations_behind_the_resize_stay_in_the_original_frame(png):
    test_pipeline = Compose(
        [
            TRANSFORMS.build(step)
            for step in (
                {'type': 'LoadRefImage'},
                {'type': 'RefResize', 'scale': (240, 240)},
                {'type': 'DrawExpression'},
                {'type': 'LoadRefAnnotations'},
                {'type': 'PackRefInputs'},
            )
        ]
    )
    packed = test_pipeline(to_load(png))
    sample = packed['data_samples']
    assert packed['inputs'].shape == (3, 180, 240)
    assert sample.scale_factor == (2.0, 2.0) and sample.img_shape == (180, 240)
    assert sample.ori_shape == (HEIGHT, WIDTH) and sample.gt_instances.masks.masks.shape == (1, HEIGHT, WIDTH)
    assert sample.gt_instances.bboxes.tolist() == [[20, 30, 45, 55]]


# --- RefResize


@pytest.mark.parametrize('keep_ratio', [True, False])
def test_resize_moves_everything_together(keep_ratio):
    results = RefResize((240, 240), keep_ratio=keep_ratio)(loaded(record(1), record(2, mask=None)))
    height = 180 if keep_ratio else 240
    assert results['img'].shape[:2] == results['img_shape'] == (height, 240)
    assert results['scale_factor'] == (2.0, height / HEIGHT)
    ratio = height / HEIGHT
    np.testing.assert_allclose(results['gt_bboxes'][0], [40, 30 * ratio, 90, 55 * ratio])
    assert results['gt_masks'].masks.shape == (2, height, 240)
    assert results['gt_has_mask'].tolist() == [True, False]
    rows, columns = np.nonzero(results['gt_masks'].masks[0])
    box = results['gt_bboxes'][0]
    assert abs(columns.min() - box[0]) <= 2 and abs(rows.max() + 1 - box[3]) <= 3


def test_a_mask_that_vanishes_counts_as_withheld():
    tiny = record(2, x=101, y=51, side=1)
    results = RefResize((12, 12))(loaded(record(1), tiny))
    assert results['gt_masks'].masks[1].sum() == 0
    assert results['gt_has_mask'].tolist() == [True, False]


# --- LargeScaleJitter


def jitter(*records, seed=0, low=1.39, high=1.4, **kwargs):
    return LargeScaleJitter(out_max_size=160, jitter_min=low, jitter_max=high, **kwargs)(
        loaded(*records, seed=seed)
    )


@pytest.mark.parametrize('seed', range(8))
def test_boxes_and_masks_follow_the_image(seed):
    """The image shows its objects; after jitter the annotations must still lie on them."""
    results = loaded(record(1), record(2, x=80, y=10, side=30), seed=seed)
    results['img'][:] = 0
    for row in range(2):
        results['img'][results['gt_masks'].masks[row] > 0] = 120 * (row + 1)
    results = LargeScaleJitter(160, 0.3, 1.4)(results)
    assert results['img_shape'] == results['img'].shape[:2] == results['gt_masks'].masks.shape[1:]
    assert max(results['img_shape']) <= 160
    for row, ref_id in enumerate(results['ref_ids']):
        seen = np.abs(results['img'][..., 0].astype(int) - 120 * ref_id) < 60
        mask = results['gt_masks'].masks[row] > 0
        assert (seen & mask).sum() / (seen | mask).sum() > 0.8
        rows, columns = np.nonzero(mask)
        inside = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(results['gt_bboxes'][row] - inside).max() < 2.1


def test_scale_factor_is_that_of_the_resize():
    results = jitter(record())
    assert results['img_shape'] == (120, 160)
    np.testing.assert_allclose(results['scale_factor'], [1.395 * 160 / WIDTH] * 2, atol=0.02)


def corners(side=12):
    """Objects in opposite corners: no window of a strong jitter keeps both."""
    return record(1, x=0, y=0, side=side), record(2, x=WIDTH - side, y=HEIGHT - side, side=side)


def test_objects_that_the_window_loses_are_dropped_with_their_expressions():
    dropped = 0
    for seed in range(20):
        results = jitter(*corners(), seed=seed, low=2.0, high=2.2)
        count = len(results['ref_ids'])
        dropped += count == 1
        for key in ('gt_bboxes', 'gt_masks', 'gt_has_mask', 'expressions', 'sent_ids', 'instances'):
            assert len(results[key]) == count, key
        assert results['instances'][0]['ref_id'] == results['ref_ids'][0]
        assert results['sent_ids'][0] // 10 == results['ref_ids'][0]
        assert results['gt_masks'].masks.any(axis=(1, 2)).all() and results['gt_has_mask'].all()
        sides = results['gt_bboxes'][:, 2:] - results['gt_bboxes'][:, :2]
        assert (sides > 1).all()
    assert dropped >= 10


def test_legacy_keeps_rows():
    results = jitter(*corners(), low=2.0, high=2.2, legacy=True)
    assert results['ref_ids'] == [1, 2]


def test_giving_up_is_the_plain_resize():
    whole = {
        'x': 0,
        'y': 0,
        'bbox': [0, 0, WIDTH, HEIGHT],
        'mask': [[0, 0, WIDTH, 0, WIDTH, HEIGHT, 0, HEIGHT]],
    }
    results = jitter(record(**whole), low=3.0, high=3.1)
    assert results['img'].shape[:2] == results['img_shape'] == (120, 160)
    np.testing.assert_allclose(results['scale_factor'], (160 / WIDTH, 120 / HEIGHT))
    np.testing.assert_allclose(results['gt_bboxes'][0], [0, 0, 119 * 4 / 3, 89 * 4 / 3])
    assert results['gt_masks'].masks.shape == (1, 120, 160) and results['gt_masks'].masks.all()
    legacy = jitter(record(**whole), low=3.0, high=3.1, legacy=True)
    assert legacy['img'].shape[:2] == (HEIGHT, WIDTH) != legacy['img_shape']


@pytest.mark.parametrize('crop_by', ['bbox', 'mask'])
def test_the_window_keeps_what_it_is_told_to_keep(crop_by):
    # The box lies at the right end of the image, the mask (for the test's sake) at the left end.
    half = record(bbox=[60, 40, 60, 20], mask=square(2, 40, 8))
    kept = []
    for seed in range(30):
        results = jitter(half, seed=seed, crop_by=crop_by)
        whole = 64 * np.prod(results['scale_factor'])
        kept.append(results['gt_masks'].masks[0].sum() / whole)
    assert len(kept) == 30
    assert min(kept) > 0.8 if crop_by == 'mask' else min(kept) < 0.5


def test_a_withheld_mask_is_measured_by_its_box():
    for seed in range(10):
        results = jitter(record(1, mask=None), seed=seed, crop_by='mask')
        sides = results['gt_bboxes'][0, 2:] - results['gt_bboxes'][0, :2]
        whole = 25 * 25 * np.prod(results['scale_factor'])
        assert sides.prod() / whole > 0.85
        assert results['gt_has_mask'].tolist() == [False]


def test_jitter_is_a_function_of_the_seed():
    first, second = (jitter(record(), seed=3, low=0.3) for _ in range(2))
    np.testing.assert_array_equal(first['img'], second['img'])
    assert not np.array_equal(first['img'], jitter(record(), seed=4, low=0.3)['img'])


def test_wrong_crop_by_says_so():
    with pytest.raises(ValueError, match="found 'box', expected 'bbox' or 'mask'"):
        LargeScaleJitter(crop_by='box')


# --- EncodeContour and PackRefInputs


def test_tokens_of_masks_and_of_none():
    results = EncodeContour(CODEC)(loaded(record(1), record(2, mask=None)))
    assert results['gt_bbox_tokens'].shape == (2, 4) and results['gt_mask_tokens'].shape == (2, 12)
    assert (results['gt_mask_tokens'][1] == 1000).all() and (results['gt_mask_tokens'][0] < 1000).all()
    side = np.array([128, 96] * 2)
    np.testing.assert_array_equal(results['gt_bbox_tokens'][0], np.array([20, 30, 45, 55]) * 1000 // side)


@pytest.mark.parametrize('legacy', [True, False])
def test_a_mask_without_a_contour_counts_as_withheld(legacy):
    line = record(1, bbox=[10, 40, 60, 1], mask=[[10, 40, 70, 40, 70, 41, 10, 41]])
    codec = {'type': 'ContourCodec', 'num_points': 6, 'legacy': legacy}
    results = EncodeContour(codec)(loaded(line))
    assert (results['gt_mask_tokens'] == 1000).all()
    assert results['gt_has_mask'].tolist() == [legacy]


@pytest.mark.parametrize('legacy', [True, False])
def test_shuffling_permutes_points_and_not_the_end(legacy):
    # Four boundary pixels only: two of six points are missing.
    dot = record(1, mask=square(50, 50, 2), bbox=[50, 50, 2, 2])
    codec = {'type': 'ContourCodec', 'num_points': 6, 'legacy': legacy}
    plain = EncodeContour(codec)(loaded(dot))['gt_mask_tokens'][0].reshape(-1, 2)
    assert (plain[4:] == 1000).all() and (plain[:4] < 1000).all()
    orders, moved_end = set(), False
    for seed in range(20):
        points = EncodeContour(codec, shuffle_prob=1.0)(loaded(dot, seed=seed))['gt_mask_tokens'][0].reshape(
            -1, 2
        )
        assert sorted(map(tuple, points)) == sorted(map(tuple, plain))
        moved_end |= bool((points[:4] == 1000).any())
        orders.add(tuple(map(tuple, points)))
    assert len(orders) > 5 and moved_end == legacy


def test_the_share_of_shuffled_sequences():
    results = loaded(*(record(index) for index in range(200)), seed=1)
    plain = EncodeContour(CODEC)(copy.deepcopy(results))['gt_mask_tokens']
    shuffled = EncodeContour(CODEC, shuffle_prob=0.2)(results)['gt_mask_tokens']
    assert 20 < (plain != shuffled).any(axis=1).sum() < 60


def test_packed_sample(png):
    train = [
        {'type': 'LoadRefImage'},
        {'type': 'DrawExpression'},
        {'type': 'LoadRefAnnotations'},
        {'type': 'LargeScaleJitter', 'out_max_size': 160},
        {'type': 'EncodeContour', 'codec': CODEC},
        {'type': 'PackRefInputs'},
    ]
    pipeline = Compose([TRANSFORMS.build(step) for step in train])
    results = to_load(png, instances=[record(1), record(2, mask=None)], split='train', img_id=1)
    packed = pipeline({**results, 'rng': random.Random(0)})
    sample, height, width = packed['data_samples'], *packed['inputs'].shape[1:]
    assert packed['inputs'].dtype == torch.uint8 and sample.img_shape == (height, width)
    assert sample.ref_ids == [1, 2] and len(sample.expressions) == len(sample.sent_ids) == 2
    assert sample.split == 'train' and sample.img_path == str(png) and sample.img_id == 1
    instances = sample.gt_instances
    assert instances.bboxes.shape == (2, 4) and instances.bboxes.dtype == torch.float32
    assert instances.has_mask.dtype == torch.bool and instances.has_mask.tolist() == [True, False]
    assert instances.labels.tolist() == [3, 3]
    assert isinstance(instances.masks, BitmapMasks) and instances.masks.masks.shape == (2, height, width)
    assert instances.bbox_tokens.dtype == instances.mask_tokens.dtype == torch.int64
    assert instances.mask_tokens.shape == (2, 12)


def test_every_transform_can_be_named_in_a_config_and_prints_itself():
    names = [
        'DrawExpression',
        'EncodeContour',
        'LargeScaleJitter',
        'LoadRefAnnotations',
        'LoadRefImage',
        'PackRefInputs',
        'RefResize',
    ]
    for name in names:
        built = TRANSFORMS.build({'type': name, **({'codec': CODEC} if name == 'EncodeContour' else {})})
        assert name in repr(built)
