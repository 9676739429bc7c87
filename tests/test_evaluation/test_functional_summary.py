"""The numbers of the tables against loops over pixels and against the original's golden numbers."""

import json
import math

import numpy as np
import pytest
import torch
from mmdet.structures.bbox import bbox_overlaps

from mmrefseg.evaluation.functional.generalized import summarise_generalized
from mmrefseg.evaluation.functional.protocols import Pair, apply_protocol, score_pairs, unique_pairs
from mmrefseg.evaluation.functional.summary import (
    intersection_and_union,
    iou_of_counts,
    mean,
    mean_of_batch_means,
    summarise_boxes,
    summarise_masks,
)
from mmrefseg.structures.boxes import clip_boxes, paired_box_iou, xywh_to_xyxy, xyxy_to_xywh
from mmrefseg.structures.rle import encode_mask
from mmrefseg.utils import UserInputError


def random_masks(number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and targets (N, 24, 31), from nothing in common to equal, some empty."""
    rng = np.random.default_rng(seed)
    targets = rng.random((number, 24, 31)) < 0.3
    flips = rng.random((number, 24, 31)) < np.linspace(0, 0.6, number)[:, None, None]
    predictions = targets ^ flips
    predictions[number // 2] = False
    return predictions, targets


def table_by_loops(predictions: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """The definitions, pixel by pixel in plain Python."""
    sum_i = sum_u = 0
    ious = []
    for prediction, target in zip(predictions, targets, strict=True):
        i = u = 0
        for p, t in zip(prediction.ravel().tolist(), target.ravel().tolist(), strict=True):
            i += p and t
            u += p or t
        sum_i, sum_u = sum_i + i, sum_u + u
        ious.append((i, u))
    shares = [i / u if u else 0.0 for i, u in ious]
    table = {'oiou': 100 * sum_i / sum_u, 'miou': 100 * sum(shares) / len(shares)}
    for k in (5, 6, 7, 8, 9):
        # In whole numbers: i / u >= k / 10.
        table[f'p{k}0'] = 100 * sum(u > 0 and 10 * i >= k * u for i, u in ious) / len(ious)
    return table


def test_masks_equal_loops_over_pixels():
    predictions, targets = random_masks(30)
    rles = [[encode_mask(mask) for mask in masks] for masks in (predictions, targets)]
    intersections, unions = intersection_and_union(*rles)
    assert (intersections == (predictions & targets).sum(axis=(1, 2))).all()
    assert (unions == (predictions | targets).sum(axis=(1, 2))).all()
    expected = table_by_loops(predictions, targets)
    summary = summarise_masks(intersections, unions)
    assert summary == pytest.approx(expected, rel=1e-14)
    assert 0 < summary['p90'] < summary['p50'] < 100
    pairs = [Pair(i, 0, p, t) for i, (p, t) in enumerate(zip(*rles, strict=True))]
    assert score_pairs(pairs).summary == summary


def test_precision_is_exact_on_the_threshold():
    # 7 / 10 and 3 / 5 sit on thresholds that floats do not hold; one pixel less falls below.
    intersections = np.array([7, 60, 600_000, 599_999])
    unions = np.array([10, 100, 1_000_000, 1_000_000])
    summary = summarise_masks(intersections, unions)
    assert [summary[key] for key in ('p50', 'p60', 'p70', 'p80')] == [100.0, 75.0, 25.0, 0.0]


@pytest.mark.parametrize('empty_union,expected', [('zero', 0.0), ('one', 1.0)])
def test_empty_unions(empty_union, expected):
    ious = iou_of_counts([0, 0, 2], [0, 4, 4], empty_union)
    assert ious.tolist() == [expected, 0.0, 0.5]
    both_empty = summarise_masks(np.array([0]), np.array([0]), empty_union)
    assert both_empty['miou'] == both_empty['oiou'] == 100 * expected


def test_no_pairs_and_wrong_counts():
    assert all(math.isnan(value) for value in summarise_masks(np.zeros(0, int), np.zeros(0, int)).values())
    with pytest.raises(ValueError, match='above its union'):
        summarise_masks(np.array([3]), np.array([2]))
    with pytest.raises(ValueError, match='one size'):
        intersection_and_union([encode_mask(np.ones((2, 3)))], [encode_mask(np.ones((3, 2)))])


def test_mean_does_not_depend_on_the_order():
    values = np.random.default_rng(0).random(10_001)
    means = {mean(np.random.default_rng(seed).permutation(values)) for seed in range(5)}
    assert len(means) == 1 and means.pop() == pytest.approx(values.mean())


def test_boxes_equal_mmdet_and_come_back():
    rng = np.random.default_rng(1)
    boxes = np.sort(rng.uniform(0, 50, (2, 40, 2, 2)), axis=2).reshape(2, 40, 4)
    boxes[1, :20] = boxes[0, :20] + rng.uniform(-1, 1, (20, 4))
    expected = bbox_overlaps(*torch.from_numpy(boxes), is_aligned=True).numpy()
    ious = paired_box_iou(*boxes)
    assert ious == pytest.approx(expected, abs=1e-12) and 0 < summarise_boxes(ious)['acc50'] < 100
    assert xywh_to_xyxy(xyxy_to_xywh(boxes)) == pytest.approx(boxes)
    assert clip_boxes(np.array([-3.0, 2.0, 70.0, 40.0]), 30, 60).tolist() == [0.0, 2.0, 59.0, 29.0]


def test_degenerate_boxes_score_zero():
    inside_out = [10.0, 10.0, 5.0, 5.0]
    nan = [math.nan] * 4
    ious = paired_box_iou([inside_out, nan, [1, 1, 1, 1]], [[0, 0, 20, 20], [0, 0, 20, 20], [1, 1, 1, 1]])
    assert ious.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize('source', ['seqtr', 'partial'])
def test_golden_metrics(golden_dir, source):
    """SeqTR's and Partial-RES's ``accuracy`` and ``evaluate_model``, beside the true numbers."""
    facts = json.loads((golden_dir / 'seqtr' / f'G_metrics_{source}.json').read_text())
    arrays = np.load(golden_dir / 'seqtr' / f'G_metrics_{source}.npz')
    batches = np.repeat(np.arange(4), facts['batches'])
    pairs = [
        Pair(i, 0, *rows)
        for i, rows in enumerate(
            zip(
                facts['pred_rle'],
                facts['gt_rle'],
                arrays['pred_bbox_f64'],
                arrays['gt_bbox'],
                facts['is_crowd'],
                batches,
                strict=True,
            )
        )
    ]
    assert len(pairs) == 30
    ours = score_pairs(pairs)
    assert [row['intersection'] for row in ours.rows] == arrays['intersection'].tolist()
    assert [row['union'] for row in ours.rows] == arrays['union'].tolist()
    assert [row['iou'] for row in ours.rows] == pytest.approx(arrays['pixel_iou_f64'].tolist(), abs=1e-12)
    assert [row['box_iou'] for row in ours.rows] == pytest.approx(arrays['bbox_iou_f64'].tolist(), abs=1e-6)
    thresholds = [ours.summary[f'p{k}0'] for k in (5, 6, 7, 8, 9)]
    assert thresholds == pytest.approx(facts['honest_mask_thr_0p5_0p9'], abs=1e-9)
    assert ours.summary['oiou'] == pytest.approx(facts['honest_oIoU'], abs=1e-9)
    assert ours.summary['miou'] == pytest.approx(facts['honest_mean_mask_iou'], abs=1e-9)
    assert ours.summary['acc50'] == pytest.approx(facts['accuracy_det'], abs=1e-5)

    legacy = score_pairs(pairs, legacy=True)
    of_original = arrays['legacy_mask_iou_f64'].tolist()
    assert [row['iou'] for row in legacy.rows] == pytest.approx(of_original, abs=1e-12)
    assert legacy.summary['miou'] == pytest.approx(facts['legacy_mean_mask_iou'], abs=1e-9)
    assert legacy.summary['acc50'] == pytest.approx(facts['evaluate_model_return'][0], abs=1e-4)
    logged = facts['evaluate_model_last_log'].split('MaskACC@0.5-0.9: [')[1].split(']')[0]
    rounded = [f'{legacy.summary[f"p{k}0"]:.2f}' for k in (5, 6, 7, 8, 9)]
    assert rounded == [value.strip() for value in logged.split(',')]
    assert legacy.summary['miou'] > ours.summary['miou'] + 10


def test_mean_of_batch_means_weighs_batches_alike():
    assert mean_of_batch_means([1, 1, 1, 0], ['a', 'a', 'a', 'b']) == 0.5


def pairs_of_objects() -> tuple[list[Pair], np.ndarray, np.ndarray]:
    """Three objects with 1, 2 and 3 sentences."""
    predictions, targets = random_masks(6, seed=4)
    owner = np.array([0, 1, 1, 2, 2, 2])
    targets = targets[owner]
    pairs = [
        Pair(int(ref), sent, encode_mask(p), encode_mask(t), [sent, 0, 10 + sent, 10], [0, 0, 10, 10])
        for sent, (ref, p, t) in enumerate(zip(owner, predictions, targets, strict=True))
    ]
    return pairs, predictions, targets


def test_avg_is_the_vote_of_an_objects_sentences():
    pairs, predictions, targets = pairs_of_objects()
    voted = [predictions[0], predictions[1:3].mean(axis=0) >= 0.5, predictions[3:].mean(axis=0) >= 0.5]
    expected = table_by_loops(np.array(voted), targets[[0, 1, 3]])
    scores = score_pairs(pairs, 'avg')
    assert len(scores.rows) == 3
    assert {key: scores.summary[key] for key in expected} == pytest.approx(expected)
    averaged = apply_protocol(pairs, 'avg')[2].box
    assert averaged.tolist() == [4.0, 0.0, 14.0, 10.0]


def test_cat_wants_one_prediction_per_object():
    pairs, _, _ = pairs_of_objects()
    with pytest.raises(UserInputError, match='several predictions for 2 objects'):
        score_pairs(pairs, 'cat')
    one_each = [pairs[0], pairs[1], pairs[3]]
    assert score_pairs(one_each, 'cat').summary == score_pairs(one_each).summary
    with pytest.raises(ValueError, match='protocol'):
        score_pairs(pairs, 'object')


def test_repeated_pairs_count_once():
    pairs, _, _ = pairs_of_objects()
    assert unique_pairs([*pairs, *pairs[:2]]) == pairs


def test_generalized_metrics_by_hand():
    # target & predicted; no target & empty; no target & predicted; target & empty; target & "no target" said.
    intersections = [30, 0, 0, 0, 20]
    predicted = [50, 0, 10, 0, 20]
    targets = [40, 0, 0, 25, 20]
    said_empty = [False, True, False, True, True]
    summary = summarise_generalized(intersections, predicted, targets, said_empty)
    assert summary['giou'] == pytest.approx(100 * (0.5 + 1 + 0 + 0 + 0) / 5)
    assert summary['ciou'] == pytest.approx(100 * 30 / (60 + 0 + 10 + 25 + 20))
    assert summary['n_acc'] == 50.0
    assert summary['t_acc'] == pytest.approx(100 / 3)
    by_pixels = summarise_generalized(intersections, predicted, targets)
    assert by_pixels['giou'] == pytest.approx(100 * (0.5 + 1 + 0 + 0 + 1) / 5)
    assert by_pixels['t_acc'] == pytest.approx(200 / 3)
