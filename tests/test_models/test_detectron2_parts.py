"""The parts that make mmdet's Mask R-CNN detectron2's, one by one, on made-up numbers."""

import math

import numpy as np
import pytest
import torch
from mmdet.models.task_modules.assigners import MaxIoUAssigner
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmdet.registry import MODELS, TASK_UTILS
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from mmrefseg.models.detectron2.proposals import to_original_frame
from mmrefseg.models.detectron2.rois import _suppress


def test_box_coder_inverts_encoding():
    coder = TASK_UTILS.build(dict(type='Detectron2BoxCoder', weights=(10, 10, 5, 5)))
    mmdet = DeltaXYWHBBoxCoder(target_stds=(0.1, 0.1, 0.2, 0.2))
    torch.manual_seed(0)
    corner, size = torch.rand(50, 2) * 90, 1 + torch.rand(2, 50, 2) * 30
    boxes = torch.cat([corner, corner + size[0]], 1)
    wanted = torch.cat([corner + 3, corner + 3 + size[1]], 1)
    deltas = coder.encode(boxes, wanted)
    torch.testing.assert_close(coder.decode(boxes, deltas), wanted, rtol=0, atol=1e-4)
    # two classes, one behind the other, and clipped to height 60, width 80
    both = coder.decode(boxes, torch.cat([deltas, 0 * deltas], 1), max_shape=(60, 80))
    limits = torch.tensor([80.0, 60, 80, 60])
    torch.testing.assert_close(both[:, 4:], boxes.minimum(limits), rtol=0, atol=1e-4)
    torch.testing.assert_close(both, mmdet.decode(boxes, torch.cat([deltas, 0 * deltas], 1), (60, 80)))


def test_box_coder_limits_growing_only():
    coder = TASK_UTILS.build(dict(type='Detectron2BoxCoder'))
    boxes = torch.tensor([[0.0, 0.0, 16.0, 16.0]])
    grown, shrunk = coder.decode(boxes.repeat(2, 1), torch.tensor([[0, 0, 9.0, 9.0], [0, 0, -9.0, -9.0]]))
    assert (grown[2] - grown[0]).item() == pytest.approx(1000, rel=1e-4)
    assert (shrunk[2] - shrunk[0]).item() == pytest.approx(16 * math.exp(-9), rel=1e-2)
    kept = DeltaXYWHBBoxCoder().decode(boxes, torch.tensor([[0, 0, -9.0, -9.0]]))[0]
    assert (kept[2] - kept[0]).item() == pytest.approx(0.256, rel=1e-2)  # mmdet's limit


def test_levels_of_regions():
    extractor = MODELS.build(
        dict(
            type='Detectron2RoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=7),
            out_channels=1,
            featmap_strides=[4, 8, 16, 32],
        )
    )
    sides = [10, 111, 112, 223, 224, 447, 448, 2000]
    rois = torch.tensor([[0.0, 0.0, 0.0, side, side] for side in sides])
    assert extractor.map_roi_levels(rois, 4).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_assigner_leaves_each_anchor_its_object():
    """Anchor 1 is the best of object 1, but fits object 0 better."""
    overlaps = torch.tensor([[0.8, 0.6, 0.1, 0.0], [0.1, 0.2, 0.0, 0.0], [0.0, 0.0, 0.0, 0.25]])
    labels = torch.tensor([5, 6, 7])
    ours = TASK_UTILS.build(dict(type='Detectron2Assigner', pos_iou_thr=0.7, neg_iou_thr=0.3))
    found = ours.assign_wrt_overlaps(overlaps, labels)
    assert found.gt_inds.tolist() == [1, 1, 0, 3]
    assert found.labels[found.gt_inds > 0].tolist() == [5, 5, 7]
    theirs = MaxIoUAssigner(0.7, 0.3, min_pos_iou=0.0).assign_wrt_overlaps(overlaps, labels)
    assert theirs.gt_inds.tolist() == [1, 2, 0, 3]
    strict = TASK_UTILS.build(
        dict(type='Detectron2Assigner', pos_iou_thr=0.5, neg_iou_thr=0.5, match_low_quality=False)
    )
    assert strict.assign_wrt_overlaps(overlaps, labels).gt_inds.tolist() == [1, 1, 0, 0]
    empty = ours.assign_wrt_overlaps(torch.zeros(0, 4), labels[:0])
    assert empty.gt_inds.tolist() == [0, 0, 0, 0]


def rpn_head(**settings):
    return MODELS.build(
        dict(
            type='Detectron2RPNHead',
            in_channels=1,
            feat_channels=1,
            anchor_generator=dict(type='AnchorGenerator', scales=[8], ratios=[1.0], strides=[4, 8]),
            bbox_coder=dict(type='Detectron2BoxCoder'),
            test_cfg=dict(nms_pre=4, max_per_img=5, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
        )
        | settings
    )


def test_proposals_rank_by_logit_and_suppress_by_level():
    """Logits of 30 and 31 are both of probability 1 in 32 bits; equal boxes survive on different levels."""
    head = rpn_head()
    boxes = torch.tensor([[0.0, 0, 20, 20], [0, 0, 20, 21], [40, 40, 60, 60], [0, 60, 9, 70], [90, 0, 90, 9]])
    logits = torch.tensor([30.0, 31.0, 1.0, -1.0, 40.0])
    flat = [value.t().reshape(-1, 5, 1) for value in (logits[:, None], torch.zeros(5, 4))]
    found = head._predict_by_feat_single(
        [flat[0]] * 2,
        [flat[1]] * 2,
        [None] * 2,
        [boxes] * 2,
        dict(img_shape=(100, 100)),
        ConfigDict(head.test_cfg),
    )
    # of each level the best four: the empty box (dropped), 31, 30 (suppressed by 31), 1
    assert found.bboxes.tolist() == [boxes[1].tolist()] * 2 + [boxes[2].tolist()] * 2
    assert found.scores.tolist() == pytest.approx([1, 1, 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-1))])
    assert found.labels.tolist() == [0] * 4
    with pytest.raises(NotImplementedError):
        head._predict_by_feat_single([], [], [], [], {}, None, rescale=True)


def greedy(boxes, scores, labels, threshold):
    """Suppression written down once more, box by box, in 64 bits."""
    kept = []
    for index in np.argsort(-scores, kind='stable'):
        x1, y1, x2, y2 = boxes[index]
        for other in kept:
            if labels[other] != labels[index]:
                continue
            a1, b1, a2, b2 = boxes[other]
            w, h = min(x2, a2) - max(x1, a1), min(y2, b2) - max(y1, b1)
            inside = max(w, 0) * max(h, 0)
            if inside / ((x2 - x1) * (y2 - y1) + (a2 - a1) * (b2 - b1) - inside) > threshold:
                break
        else:
            kept.append(int(index))
    return kept


@pytest.mark.parametrize('count', [300, 1200])
def test_detections_are_suppressed_class_by_class(count):
    """Few boxes go through mmcv's way, many class by class: both are the greedy rule."""
    torch.manual_seed(count)
    corner = torch.rand(count, 2) * 60
    boxes = torch.cat([corner, corner + 20 + torch.rand(count, 2) * 10], 1)
    scores, labels = torch.rand(count), torch.randint(3, (count,))
    kept = _suppress(boxes, scores, labels, ConfigDict(type='nms', iou_threshold=0.5))
    expected = greedy(boxes.double().numpy(), scores.numpy(), labels.numpy(), 0.5)
    assert kept.tolist() == expected and 3 < len(expected) < count


def test_boxes_without_area_are_dropped():
    found = InstanceData(
        bboxes=torch.tensor([[10.0, 20, 30, 40], [200, 5, 260, 9], [50, 50, 50, 60]]),
        scores=torch.tensor([0.9, 0.8, 0.7]),
    )
    scaled, kept = to_original_frame(found, dict(ori_shape=(50, 100), img_shape=(100, 200)))
    assert kept.tolist() == [True, False, False]
    assert scaled.bboxes.tolist() == [[5, 10, 15, 20]] and scaled.scores.tolist() == pytest.approx([0.9])
