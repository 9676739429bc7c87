"""mmdet's detectors, shrunken, run on the stand-ins: prediction and one training step."""

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config, ConfigDict

MASK_RCNN = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
CASCADE_RESNEST = 'mmdet::resnest/cascade-mask-rcnn_s50_fpn_syncbn-backbone+head_ms-1x_coco.py'


def shrink(node, widths):
    """Replace every width that appears in the config, and what needs several processes."""
    if isinstance(node, dict):
        return {key: shrink(value, widths) for key, value in node.items() if key != 'init_cfg'}
    if isinstance(node, (list, tuple)):
        return type(node)(shrink(item, widths) for item in node)
    if node == 'SyncBN':
        return 'BN'
    return widths.get(node, node) if isinstance(node, int) and not isinstance(node, bool) else node


def build(base, tmp_path, seed=0):
    path = tmp_path / 'model.py'
    path.write_text(f"_base_ = '{base}'\n")
    widths = {256: 8, 1024: 32, 80: 3, 1000: 40, 2000: 50, 512: 16}
    config = shrink(Config.fromfile(path).model.to_dict(), widths)
    config['backbone'] |= {'base_channels': 4, 'depth': 50, 'stem_channels': 4}
    config['neck']['in_channels'] = [16, 32, 64, 128]
    torch.manual_seed(seed)
    return MODELS.build(ConfigDict(config))


@pytest.mark.parametrize('base', [MASK_RCNN, CASCADE_RESNEST])
def test_detector_predicts_and_learns(base, tmp_path):
    model = build(base, tmp_path)
    assert sum(p.numel() for p in model.parameters()) < 2e6
    inputs = demo_mm_inputs(2, [[3, 64, 96], [3, 96, 64]], num_classes=3, num_items=[2, 1], with_mask=True)
    batch = model.data_preprocessor(inputs, training=True)
    model.train()
    losses, _ = model.parse_losses(model(**batch, mode='loss'))
    losses.backward()
    assert torch.isfinite(losses)
    # what lies before RoIAlign gets a gradient through it
    gradient = model.neck.lateral_convs[0].conv.weight.grad
    assert torch.isfinite(gradient).all() and gradient.abs().sum() > 0

    model.eval()
    with torch.no_grad():
        model.test_cfg.rcnn.score_thr = 0.0
        samples = model(**model.data_preprocessor(inputs, training=False), mode='predict')
    assert len(samples) == 2
    for sample in samples:
        found = sample.pred_instances
        assert 0 < len(found) <= 100
        assert found.masks.shape == (len(found), *sample.ori_shape) and found.masks.dtype == torch.bool
        assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
