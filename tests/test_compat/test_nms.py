"""mmcv's nms, soft_nms and batched_nms on our stand-ins, against loops over plain floats."""

import math

import numpy as np
import pytest
import torch
from mmcv.ops import batched_nms, nms, soft_nms


def random_boxes(count, seed=0, size=100.0, dtype=torch.float32):
    generator = np.random.default_rng(seed)
    corner = generator.uniform(0, size, (count, 2))
    boxes = np.concatenate([corner, corner + generator.uniform(1, size / 2, (count, 2))], axis=1)
    return torch.tensor(boxes, dtype=dtype), torch.tensor(
        generator.permutation(count) / max(count, 1), dtype=dtype
    )


def iou(a, b, offset):
    width = min(a[2], b[2]) - max(a[0], b[0]) + offset
    height = min(a[3], b[3]) - max(a[1], b[1]) + offset
    inter = max(width, 0.0) * max(height, 0.0)
    area_a, area_b = ((c[2] - c[0] + offset) * (c[3] - c[1] + offset) for c in (a, b))
    union = area_a + area_b - inter
    return inter / union if union else 0.0


def naive_nms(boxes, scores, threshold, offset):
    boxes, scores = boxes.tolist(), scores.tolist()
    kept = []
    for candidate in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if all(iou(boxes[candidate], boxes[other], offset) <= threshold for other in kept):
            kept.append(candidate)
    return kept


def naive_soft_nms(boxes, scores, threshold, sigma, min_score, method, offset):
    boxes, scores = boxes.tolist(), scores.tolist()
    left, order, out = list(range(len(boxes))), [], []
    while left:
        best = max(left, key=lambda i: (scores[i], -i))
        left.remove(best)
        order.append(best)
        out.append(scores[best])
        for i in list(left):
            overlap = iou(boxes[best], boxes[i], offset)
            if method == 'gaussian':
                scores[i] *= math.exp(-(overlap**2) / sigma)
            elif overlap >= threshold:
                scores[i] *= 0.0 if method == 'naive' else 1 - overlap
            if scores[i] < min_score:
                left.remove(i)
    return order, out


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('count', [1, 2, 40, 700])
@pytest.mark.parametrize('threshold', [0.2, 0.7])
def test_nms_equals_the_greedy_loop(dtype, offset, count, threshold):
    boxes, scores = random_boxes(count, seed=count, dtype=dtype)
    dets, kept = nms(boxes, scores, iou_threshold=threshold, offset=offset)
    assert kept.tolist() == naive_nms(boxes, scores, threshold, offset)
    assert kept.dtype == torch.long and dets.dtype == dtype
    torch.testing.assert_close(dets, torch.cat([boxes[kept], scores[kept, None]], dim=1), rtol=0, atol=0)


def test_nms_of_nothing():
    dets, kept = nms(torch.zeros(0, 4), torch.zeros(0), iou_threshold=0.5)
    assert dets.shape == (0, 5) and kept.shape == (0,) and kept.dtype == torch.long


def test_nms_keeps_the_first_of_equal_scores():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [50, 50, 60, 60], [0, 0, 10, 10]])
    _, kept = nms(boxes, torch.full((4,), 0.5), iou_threshold=0.5)
    assert kept.tolist() == [0, 2]


def test_nms_removes_only_above_the_threshold():
    # IoU is exactly 1/2
    boxes, scores = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5]]), torch.tensor([0.9, 0.8])
    assert nms(boxes, scores, iou_threshold=0.5)[1].tolist() == [0, 1]
    assert nms(boxes, scores, iou_threshold=0.4999)[1].tolist() == [0]


def test_nms_offset_counts_the_last_pixel():
    # x2 inside the box: 2 of 4 columns are shared, IoU 2/6 instead of 1/5
    boxes, scores = torch.tensor([[0.0, 0, 3, 9], [2, 0, 5, 9]]), torch.tensor([0.9, 0.8])
    assert nms(boxes, scores, iou_threshold=0.3, offset=0)[1].tolist() == [0, 1]
    assert nms(boxes, scores, iou_threshold=0.3, offset=1)[1].tolist() == [0]


def test_nms_of_boxes_without_area():
    boxes = torch.tensor([[5.0, 5, 5, 5], [5, 5, 5, 5], [0, 0, 10, 10]])
    _, kept = nms(boxes, torch.tensor([0.9, 0.8, 0.7]), iou_threshold=0.5)
    assert kept.tolist() == [0, 1, 2]


def test_nms_of_half_precision():
    boxes, scores = random_boxes(60)
    rounded = boxes.half()
    _, kept = nms(rounded, scores.half(), iou_threshold=0.5)
    assert set(kept.tolist()) == set(naive_nms(rounded.double(), scores.half().double(), 0.5, 0))


def test_nms_score_threshold_and_max_num():
    boxes, scores = random_boxes(80, seed=3)
    expected = [i for i in naive_nms(boxes, scores, 0.5, 0) if scores[i] > 0.3]
    assert len(expected) > 5
    _, kept = nms(boxes, scores, iou_threshold=0.5, score_threshold=0.3)
    assert kept.tolist() == expected
    _, kept = nms(boxes, scores, iou_threshold=0.5, score_threshold=0.3, max_num=5)
    assert kept.tolist() == expected[:5]


def test_nms_of_arrays():
    boxes, scores = random_boxes(30)
    dets, kept = nms(boxes.numpy(), scores.numpy(), iou_threshold=0.4)
    assert isinstance(dets, np.ndarray) and kept.tolist() == naive_nms(boxes, scores, 0.4, 0)


@pytest.mark.parametrize('split_thr', [10000, 10])
def test_batched_nms_separates_classes(split_thr):
    boxes, scores = random_boxes(60, seed=5, dtype=torch.float64)
    classes = torch.arange(60) % 3
    expected = []
    for label in range(3):
        index = (classes == label).nonzero()[:, 0]
        expected += index[naive_nms(boxes[index], scores[index], 0.3, 0)].tolist()
    expected.sort(key=lambda i: -scores[i])
    dets, kept = batched_nms(
        boxes, scores, classes, {'type': 'nms', 'iou_threshold': 0.3, 'split_thr': split_thr}
    )
    assert kept.tolist() == expected and len(expected) < 60
    assert dets[:, 4].tolist() == scores[kept].tolist()


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('count', [1, 50])
def test_soft_nms_equals_the_loop(dtype, method, offset, count):
    boxes, scores = random_boxes(count, seed=7, dtype=dtype)
    scores = scores * 0.9 + 0.1
    dets, kept = soft_nms(
        boxes, scores, iou_threshold=0.3, sigma=0.4, min_score=0.05, method=method, offset=offset
    )
    order, lowered = naive_soft_nms(boxes, scores, 0.3, 0.4, 0.05, method, offset)
    assert kept.tolist() == order
    assert count == 1 or len(order) < count, 'no box fell below min_score'
    torch.testing.assert_close(dets[:, :4], boxes[order], rtol=0, atol=0)
    torch.testing.assert_close(dets[:, 4], torch.tensor(lowered, dtype=dtype), rtol=1e-5, atol=1e-6)


def test_soft_nms_of_nothing_and_of_ties():
    dets, kept = soft_nms(torch.zeros(0, 4), torch.zeros(0))
    assert dets.shape == (0, 5) and kept.tolist() == []
    boxes = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60], [0, 0, 10, 10]])
    dets, kept = soft_nms(boxes, torch.full((3,), 0.5), method='linear', iou_threshold=0.3)
    assert kept.tolist() == [0, 1]  # the third is the first again: its score becomes 0


def test_the_callers_tensors_stay_as_they_are():
    boxes, scores = random_boxes(40)
    before = boxes.clone(), scores.clone()
    nms(boxes, scores, iou_threshold=0.5)
    soft_nms(boxes, scores)
    assert torch.equal(boxes, before[0]) and torch.equal(scores, before[1])
