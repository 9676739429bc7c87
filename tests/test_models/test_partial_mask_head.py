"""Objects with only a box among objects with masks: what the mask head learns, and what it leaves alone."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from mmrefseg.datasets.coco_instance_dataset import NO_MASK
from mmrefseg.models.heads.partial_mask_head import has_mask
from mmrefseg.runs.batch_norm import replace_sync_batch_norm
from mmrefseg.runs.config import load_config

LEFT = [0.0, 0, 2, 0, 2, 4, 0, 4]  # of the box (0, 0, 4, 4)
RIGHT = [10.0, 8, 12, 8, 12, 12, 10, 12]  # of the box (8, 8, 12, 12)
CONFIGS = (
    'mask_rcnn/mask-rcnn_r50-caffe_fpn_1x_m05_coco.py',
    'cascade_rcnn/cascade-mask-rcnn_resnest50_fpn_m05_tiny-voc.py',
)


def masks_of(*objects, bitmaps, size=16):
    """One mask an object; None for an object that has only its box."""
    polygons = [[np.array(part) for part in (NO_MASK if part is None else [part])] for part in objects]
    masks = PolygonMasks(polygons, size, size)
    return BitmapMasks(masks.to_ndarray(), size, size) if bitmaps else masks


def image(masks, *positives):
    """An image and its positive RoIs: (box, number of its object, class)."""
    boxes, objects, labels = zip(*positives, strict=True)
    sampled = SimpleNamespace(
        pos_priors=torch.tensor(boxes, dtype=torch.float32),
        pos_assigned_gt_inds=torch.tensor(objects),
        pos_gt_labels=torch.tensor(labels),
    )
    return sampled, InstanceData(masks=masks)


def mask_head(type='PartialMaskHead'):
    torch.manual_seed(0)
    head = MODELS.build(dict(type=type, num_convs=1, in_channels=3, conv_out_channels=4, num_classes=2))
    head.init_weights()
    return head


def loss_of(head, logits, images):
    settings = ConfigDict(mask_size=logits.shape[-1])
    found = head.loss_and_target(logits, *map(list, zip(*images, strict=True)), settings)
    return found['loss_mask']['loss_mask'], found['mask_targets']


@pytest.mark.parametrize('bitmaps', [True, False])
def test_loss_and_gradient_by_hand(bitmaps):
    """Five RoIs of two images; the first and the last one's object has a mask."""
    first = image(
        masks_of(LEFT, None, bitmaps=bitmaps),
        ([0, 0, 4, 4], 0, 1),
        ([0, 0, 4, 4], 1, 1),
        ([8, 8, 12, 12], 1, 0),
    )
    second = image(masks_of(None, RIGHT, bitmaps=bitmaps), ([0, 0, 4, 4], 0, 0), ([8, 8, 12, 12], 1, 0))
    logits = torch.linspace(-2, 2, 5 * 2 * 2 * 2).view(5, 2, 2, 2).requires_grad_()
    loss, targets = loss_of(mask_head(), logits, [first, second])
    assert targets.tolist() == [[[1, 0], [1, 0]], [[0, 1], [0, 1]]]

    expected, gradient = 0.0, np.zeros(logits.shape)
    for row, label, target in ((0, 1, targets[0]), (4, 0, targets[1])):
        for y, x in np.ndindex(2, 2):
            value, wanted = logits[row, label, y, x].item(), target[y, x].item()
            expected += (math.log1p(math.exp(value)) - value * wanted) / 8  # two RoIs of four pixels
            gradient[row, label, y, x] = (1 / (1 + math.exp(-value)) - wanted) / 8
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    np.testing.assert_allclose(logits.grad.numpy(), gradient, atol=1e-7)


@pytest.mark.parametrize('bitmaps', [True, False])
def test_with_all_masks_it_is_mmdets(bitmaps):
    """To the last bit: loss, targets and gradients."""
    results = []
    for type in ('PartialMaskHead', 'FCNMaskHead'):
        head, generator = mask_head(type), torch.Generator().manual_seed(1)
        feats = torch.randn(2, 3, 4, 4, generator=generator)
        masks = masks_of(LEFT, RIGHT, bitmaps=bitmaps)
        loss, targets = loss_of(
            head, head(feats), [image(masks, ([1, 0, 5, 4], 0, 1), ([7, 8, 12, 12], 1, 0))]
        )
        loss.backward()
        results.append([loss, targets, *(parameter.grad for parameter in head.parameters())])
    assert len(results[0]) == 8 and results[0][0] > 0
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*results, strict=True))


@pytest.mark.parametrize('bitmaps', [True, False])
def test_no_mask_at_all(bitmaps):
    """Zero, and a zero gradient for every parameter, whatever the network says."""
    head = mask_head()
    feats = torch.randn(2, 3, 4, 4, requires_grad=True)
    masks = masks_of(None, bitmaps=bitmaps)
    images = [
        image(masks, ([0, 0, 4, 4], 0, 1), ([1, 1, 5, 5], 0, 1)),
    ]
    loss, targets = loss_of(head, head(feats), images)
    loss.backward()
    assert loss.item() == 0 and targets.shape == (0, 8, 8)
    gradients = [parameter.grad for parameter in head.parameters()]
    assert len(gradients) == 6 and all(not gradient.any() for gradient in (*gradients, feats.grad))


def test_what_counts_as_a_mask():
    for bitmaps in (True, False):
        masks = masks_of(LEFT, None, RIGHT, bitmaps=bitmaps)
        for changed in (masks, masks.flip(), masks.resize((32, 8)), masks.pad((40, 40)), masks[[0, 1, 2]]):
            assert has_mask(changed).tolist() == [True, False, True]
        assert has_mask(masks[[1, 1, 0]]).tolist() == [False, False, True]
        assert has_mask(masks[[]]).shape == (0,) and has_mask(masks[[]]).dtype == torch.bool
    parts = PolygonMasks([[np.zeros(6), np.array(LEFT)]], 16, 16)
    assert has_mask(parts).tolist() == [True]
    bow = np.array([0.0, 0, 4, 4, 4, 0, 0, 4])  # its two halves cancel out in the signed area
    assert has_mask(PolygonMasks([[bow]], 16, 16)).tolist() == [True]


def roi_losses(repo_root, name, known):
    """Losses of a shipped config's RoI head on made-up features: three objects, ``known`` have masks."""
    config = load_config(str(repo_root / 'configs' / name))
    replace_sync_batch_norm(config)
    model = config.model
    model.roi_head.update(train_cfg=model.train_cfg.rcnn, test_cfg=model.test_cfg.rcnn)
    boxes = model.roi_head.bbox_head
    for narrowed in boxes if isinstance(boxes, list) else [boxes]:
        narrowed.update(fc_out_channels=32, conv_out_channels=16)
    model.roi_head.mask_head.update(conv_out_channels=16)
    torch.manual_seed(0)
    head = MODELS.build(model.roi_head)
    head.init_weights()
    feats = [torch.randn(1, 256, size, size) for size in (16, 8, 4, 2, 1)]
    boxes = torch.tensor([[4.0, 4, 30, 28], [30, 32, 60, 60], [2, 34, 28, 62]])
    corners = [[x1, y1, x2, y1, x2, y2, x1, y2] for x1, y1, x2, y2 in boxes.tolist()]
    masks = masks_of(
        *(c if each else None for c, each in zip(corners, known, strict=True)), bitmaps=False, size=64
    )
    sample = DetDataSample(metainfo=dict(img_shape=(64, 64)))
    sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([0, 1, 2]), masks=masks)
    proposals = InstanceData(bboxes=boxes + torch.tensor([2.0, -1, 2, 1]), scores=torch.ones(3))
    losses = head.loss(feats, [proposals], [sample])
    total = sum(value for key, value in losses.items() if 'loss' in key)
    total.backward()
    return head, {key: value.item() for key, value in losses.items()}


@pytest.mark.parametrize('name', CONFIGS)
def test_roi_heads_of_the_shipped_configs(repo_root, name):
    """Boxes and classes are learned as with all masks, masks from those there are; all gradients exist."""
    runs = {known: roi_losses(repo_root, name, known) for known in ((1, 1, 1), (0, 1, 0), (0, 0, 0))}
    full, some, none = (losses for _, losses in runs.values())
    of_masks = [key for key in full if 'loss_mask' in key]
    assert len(of_masks) == (3 if 'cascade' in name else 1) and len(full) > 2 * len(of_masks)
    for key in full:
        if key in of_masks:
            assert none[key] == 0 < some[key] != full[key]
        else:
            assert full[key] == some[key] == none[key]
    for known, (head, _) in runs.items():
        for key, parameter in head.named_parameters():
            assert parameter.grad is not None, key
            if key.startswith('mask_head'):
                assert any(known) or not parameter.grad.any(), key
        learned = {key.split('.')[0] for key, each in head.named_parameters() if each.grad.any()}
        assert learned == {'bbox_head', 'mask_head'} if any(known) else learned == {'bbox_head'}
