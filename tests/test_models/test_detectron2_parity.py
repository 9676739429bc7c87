"""Mask R-CNN against numbers computed by detectron2, stage by stage.

Images of the shipped test pipeline, weights through the converter. Boxes within 0.05 pixels, probabilities
within 1e-4, masks equal but where a probability is that near to 0.5. Detections are matched by IoU, since
scores differ by as little as 3e-6 between neighbours.
"""

import numpy as np
import pytest
import torch
from golden_detectron2 import NAMES, load_golden
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
from mmdet.structures.bbox import bbox_overlaps
from pycocotools import mask as coco_mask

PIXELS, PROBABILITY = 0.05, 1e-4


@pytest.fixture(scope='module', params=NAMES)
def golden(request, golden_dir, tmp_path_factory):
    return load_golden(golden_dir, request.param, tmp_path_factory.mktemp('detectron2'))


def assert_near(ours, theirs, tolerance=1e-4):
    """Within a share of the largest value."""
    ours = ours.detach().numpy()
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def match(ours, theirs):
    """For each of their boxes the one of ours with the highest IoU, all different."""
    overlaps = bbox_overlaps(torch.from_numpy(theirs), ours)
    best = overlaps.argmax(1)
    assert len(set(best.tolist())) == len(theirs) == len(ours)
    return best


def test_every_key_has_a_place(golden):
    report = golden.report
    assert report.left_over == report.missing == [] and not report.mismatched and not report.dropped
    made = [key for key in report.notes if not key.endswith('num_batches_tracked')]
    assert not made
    assert len({report.origin[key] for key in report.state}) >= 307


def test_preprocessing(golden):
    """Pillow's bilinear resize to a short side of 800, mean, padding to 32; the very same pixels."""
    arrays, packed = golden.arrays, golden.data['packed']['inputs']
    assert packed.shape[1:] == tuple(arrays['resized_hw'])
    assert (packed[:, :40, :40].permute(1, 2, 0).numpy() == arrays['resized_crop']).all()
    assert packed.double().sum().item() == arrays['resized_sum_f64']
    inputs = golden.data['inputs']
    assert inputs.shape[2:] == tuple(arrays['padded_hw'])
    assert np.abs(inputs[0, :, :24, :24].numpy() - arrays['preprocessed_crop']).max() <= 1e-5


def test_feature_maps(golden):
    named = [*zip(('res2', 'res3', 'res4', 'res5'), golden.features, strict=True)]
    named += zip(('p2', 'p3', 'p4', 'p5', 'p6'), golden.levels, strict=True)
    for name, value in named:
        assert_near(value[0, :16, :10, :10], golden.arrays[f'{name}_crop'])
        value = value.double()
        stats = [value.mean(), value.std(), value.min(), value.max(), value.abs().mean()]
        np.testing.assert_allclose(stats, golden.arrays[f'{name}_stats_f64'], rtol=1e-4, atol=1e-5)


def test_anchors_and_proposal_network(golden):
    sizes = [level.shape[2:] for level in golden.levels]
    anchors = golden.model.rpn_head.prior_generator.grid_priors(sizes, device='cpu')
    theirs = golden.arrays
    assert np.abs(anchors[0][:12].numpy() - theirs['anchors_p2_head']).max() <= 1e-4
    count = len(theirs['anchors_p6'])
    assert np.abs(anchors[4][:count].numpy() - theirs['anchors_p6']).max() <= 1e-4
    for index, level in enumerate(('p2', 'p3', 'p4', 'p5', 'p6')):
        for kind, output in zip(('obj', 'delta'), golden.rpn, strict=True):
            assert_near(output[index][0, :, :10, :10], theirs[f'rpn_{kind}_{level}_crop'])


def test_proposals(golden):
    theirs = golden.arrays
    best = match(golden.proposals.bboxes, theirs['proposals_all_xyxy'])
    assert np.abs(golden.proposals.bboxes[best].numpy() - theirs['proposals_all_xyxy']).max() <= PIXELS
    scores = golden.proposals.scores[best].numpy()
    assert np.abs(scores - sigmoid(theirs['proposals_all_logit'])).max() <= PROBABILITY
    # their order too, but for the ties of rounding
    assert (np.diff(theirs['proposals_all_logit'][best.argsort()]) <= 1e-4).all()


def test_box_head(golden):
    """Class scores with the background last, deltas of 80 classes one behind the other."""
    rows = match(golden.proposals.bboxes, golden.arrays['proposals_all_xyxy'])[:50]
    assert (rows.sort().values == torch.arange(50)).all()
    assert_near(golden.box_results['cls_score'][rows], golden.arrays['cls_logits_top50'])
    assert_near(golden.box_results['bbox_pred'][rows], golden.arrays['box_deltas_top50'])


def test_detections(golden):
    theirs = golden.arrays
    for ours, boxes, scores, classes in (
        (golden.network, 'det_boxes_network_xyxy', 'det_scores', 'det_classes'),
        (golden.detections, 'det_boxes_image_xyxy', 'final_scores', 'final_classes'),
    ):
        best = match(ours.bboxes, theirs[boxes])
        assert np.abs(ours.bboxes[best].numpy() - theirs[boxes]).max() <= PIXELS
        assert np.abs(ours.scores[best].numpy() - theirs[scores]).max() <= PROBABILITY
        assert (ours.labels[best].numpy() == theirs[classes]).all()
        assert len(best) == 100


def test_masks(golden):
    theirs = golden.arrays
    best = match(golden.network.bboxes, theirs['det_boxes_network_xyxy'])[:10]
    difference = golden.mask_probabilities[best].numpy() - theirs['det_mask_prob28_top10']
    assert np.abs(difference).max() <= PROBABILITY
    rows = match(golden.network.bboxes, theirs['det_boxes_network_xyxy'])
    best = match(golden.detections.bboxes, theirs['det_boxes_image_xyxy'])
    masks = golden.detections.masks[best].numpy()
    height, width = masks.shape[1:]
    pasted = _do_paste_mask(
        golden.mask_probabilities[rows][:, None],
        golden.detections.bboxes[best],
        height,
        width,
        skip_empty=False,
    )[0].numpy()
    assert ((pasted >= 0.5) == masks).all()
    # pixels that fall as the processor rounds; all others are the same
    edge = np.abs(pasted - 0.5) <= PROBABILITY
    packed = np.unpackbits(theirs['final_masks_top10_packed'], axis=-1)[..., :width].astype(bool)
    decoded = np.stack([coco_mask.decode(rle) for rle in golden.rle]).astype(bool)
    assert (decoded[: len(packed)] == packed).all() and len(decoded) == 20
    assert not ((masks[:20] != decoded) & ~edge[:20]).any()
    areas = masks.reshape(len(masks), -1).sum(1)
    assert (np.abs(areas - theirs['final_mask_area_px']) <= edge.reshape(len(edge), -1).sum(1)).all()
    assert edge.mean() < 1e-5  # else nothing would be compared
