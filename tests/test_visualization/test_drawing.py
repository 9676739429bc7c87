"""Drawing of referring expressions: what is on the panel, where, and what it says."""

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

from mmrefseg.visualization.drawing import (
    MARGIN,
    PREDICTION,
    TRUTH,
    _font,
    crop_around,
    draw_case,
    make_grid,
    mask_iou,
    save_grid,
    trace_outlines,
    wrap,
)
from mmrefseg.visualization.local_visualizer import RefVisualizer, cases_of

WIDTH = 216  # the image is 200 wide: twice the image below
TITLE = 34  # one line


@pytest.fixture
def image():
    return np.full((80, 100, 3), 90, np.uint8)


def square(x1, y1, x2, y2):
    mask = np.zeros((80, 100), bool)
    mask[y1:y2, x1:x2] = True
    return mask


def where(panel, color, tolerance=12):
    """Bounding box [x1, y1, x2, y2] of a colour on the drawn image, in the image's pixels."""
    image = panel[TITLE:-30, MARGIN:-MARGIN].astype(int)
    y, x = np.nonzero((np.abs(image - color) <= tolerance).all(axis=2))
    assert len(x), 'the colour is not there'
    return np.array([x.min(), y.min(), x.max(), y.max()]) / 2


def test_size(image):
    assert draw_case(image, 'a box', width=WIDTH).shape == (TITLE + 160 + 30, WIDTH, 3)


def test_masks_are_where_they_are(image):
    panel = draw_case(
        image, 'box', truth_mask=square(10, 20, 40, 60), mask=square(50, 30, 90, 70), width=WIDTH
    )
    assert where(panel, TRUTH) == pytest.approx([10, 20, 40, 60], abs=2)
    assert where(panel, PREDICTION) == pytest.approx([50, 30, 90, 70], abs=2)


def test_boxes_are_where_they_are(image):
    panel = draw_case(image, 'box', truth_box=(10, 20, 40, 60), box=(50, 30, 90, 70), width=WIDTH)
    assert where(panel, TRUTH) == pytest.approx([10, 20, 40, 60], abs=2)
    assert where(panel, PREDICTION) == pytest.approx([50, 30, 90, 70], abs=2)


def test_points_beyond_the_end_are_left_out(image):
    points = np.array([[20, 20], [60, 20], [60, 60], [20, 60]], float)
    ended = np.concatenate([points, np.full((5, 2), np.nan)])
    drawn = draw_case(image, 'box', points=points, width=WIDTH)
    assert np.array_equal(draw_case(image, 'box', points=ended, width=WIDTH), drawn)
    assert not np.array_equal(draw_case(image, 'box', points=points[::-1], width=WIDTH), drawn), (
        'the order shows'
    )
    draw_case(image, 'box', points=np.full((3, 2), np.nan), width=WIDTH)


@pytest.mark.parametrize('box', [(-50, -50, 500, 500), (99, 79, 99, 79), (5, 5, 5, 5)])
def test_boxes_at_and_beyond_the_edge(image, box):
    draw_case(image, 'box', box=box, width=WIDTH)


def test_draws_on_a_copy(image):
    before = image.copy()
    draw_case(
        image, 'box', mask=square(1, 1, 50, 50), points=np.array([[1.0, 1], [50, 50], [1, 50]]), width=WIDTH
    )
    assert np.array_equal(image, before)


def test_mask_iou():
    assert mask_iou(square(0, 0, 20, 10), square(10, 0, 30, 10)) == pytest.approx(100 / 300)
    assert mask_iou(square(0, 0, 0, 0), square(0, 0, 0, 0)) == 0


@pytest.mark.parametrize('text', ['the large red ring ' * 40, 'x' * 400, 'short', '', 'größer als 🙂 左'])
def test_wrap_stays_inside(text):
    font = _font(16)
    lines = wrap(text, font, 200)
    assert 1 <= len(lines) <= 4
    assert all(font.getlength(line) <= 200 for line in lines)
    kept = ''.join(lines).removesuffix('...').replace(' ', '')
    assert text.replace(' ', '').startswith(kept)


def test_save_grid(tmp_path, image):
    cases = [dict(image=image, expression='a', width=WIDTH) for _ in range(3)]
    cases.append(draw_case(image[:40], 'b', width=WIDTH))
    save_grid(cases, tmp_path / 'deep' / 'grid.png', columns=2)
    grid = cv2.imread(str(tmp_path / 'deep' / 'grid.png'))
    assert grid.shape == (2 * (TITLE + 160 + 30), 2 * WIDTH, 3)
    with pytest.raises(ValueError, match='at least one'):
        make_grid([])


def sample_of_two():
    sample = DetDataSample(
        metainfo=dict(img_path='x.png', expressions=['first', 'second'], ori_shape=(80, 100))
    )
    masks = np.stack([square(10, 20, 40, 60), square(0, 0, 0, 0)]).astype(np.uint8)
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[10.0, 20, 40, 60], [1, 1, 5, 5]]),
        masks=BitmapMasks(masks, 80, 100),
        has_mask=torch.tensor([True, False]),
        labels=torch.tensor([3, 900]),
    )
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([[12.0, 20, 40, 60], [1, 1, 9, 9]]),
        masks=torch.from_numpy(np.stack([square(10, 20, 40, 50), square(1, 1, 9, 9)])),
        points=torch.full((2, 6, 2), float('nan')),
        scores=torch.tensor([0.25, 0.75]),
        labels=torch.tensor([0, 0]),
    )
    return sample


def test_cases_of_a_sample(image):
    first, second = cases_of(sample_of_two(), image)
    assert (first['expression'], first['score']) == ('first', 0.25)
    assert mask_iou(first['mask'], first['truth_mask']) == pytest.approx(0.75)
    assert second['truth_mask'] is None, 'a withheld mask is not an empty one'
    assert second['box'] == pytest.approx([1, 1, 9, 9])
    assert 'mask' not in cases_of(sample_of_two(), image, draw_pred=False)[0]


def test_visualizer_draws_one_panel_a_pair(tmp_path, image):
    visualizer = RefVisualizer('test_panels', panel_width=WIDTH, columns=2)
    visualizer.add_datasample('x', image, sample_of_two(), out_file=str(tmp_path / 'x.png'))
    assert cv2.imread(str(tmp_path / 'x.png')).shape == (TITLE + 160 + 30, 2 * WIDTH, 3)
    visualizer.add_datasample('x', image, sample_of_two(), out_file=str(tmp_path / 'x.jpg'))
    assert (tmp_path / 'x.jpg').read_bytes()[:2] == b'\xff\xd8'


def test_visualizer_leaves_detections_to_mmdet(tmp_path, image):
    sample = DetDataSample()
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([[10.0, 20, 40, 60]]), labels=torch.tensor([0]), scores=torch.tensor([0.9])
    )
    visualizer = RefVisualizer('test_detections')
    visualizer.add_datasample('x', image, sample, draw_gt=False, out_file=str(tmp_path / 'x.png'))
    assert not np.array_equal(cv2.imread(str(tmp_path / 'x.png')), image)


@pytest.mark.parametrize(
    ('boxes', 'expected'),
    [
        ([[40, 30, 60, 50]], (28, 24, 71, 56)),  # 20 x 20 and 0.3 on each side is 32 high, 43 wide
        ([[0, 0, 10, 10]], (0, 0, 22, 16)),  # moved to where the image begins
        ([[95, 75, 130, 99]], (89, 72, 100, 80)),
        ([[0, 0, 100, 80]], (0, 0, 100, 80)),
        ([[2, 40, 98, 41]], (0, 0, 100, 80)),  # a flat box, in the wanted shape
        ([[40, 30, 45, 35], [50, 45, 60, 50]], (28, 24, 71, 56)),
    ],
)
def test_crop_around(boxes, expected):
    assert crop_around(boxes, 80, 100) == expected


def test_a_crop_has_a_pixel_at_least():
    for height, width in ((1, 1), (1, 50), (50, 1)):
        x1, y1, x2, y2 = crop_around([[0, 0, 0, 0]], height, width)
        assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
    # Whatever a box outside of the image says.
    assert crop_around([[500, 500, 600, 600]], 80, 100) == (97, 78, 100, 80)


def test_outlines_go_along_the_edges_of_pixels():
    mask = square(10, 20, 30, 45)
    mask[30:35, 15:20] = False
    outer, hole = sorted(trace_outlines(mask), key=lambda border: border.min())
    assert outer.min(axis=0) == pytest.approx([10, 20], abs=0.13)
    assert outer.max(axis=0) == pytest.approx([30, 45], abs=0.13)
    assert hole.min(axis=0) == pytest.approx([15, 30], abs=0.13) and len(outer) == 4
    assert trace_outlines(np.zeros((5, 5), bool)) == []
    assert len(trace_outlines(square(3, 3, 4, 4))) == 1  # a single pixel
    apart = square(0, 0, 5, 5) | square(50, 50, 60, 60)
    assert len(trace_outlines(apart)) == 2
