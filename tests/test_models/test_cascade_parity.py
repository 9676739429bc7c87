"""Cascade Mask R-CNN + ResNeSt-50 of the shipped config against mmdet 2.28 with the same weights.

The weights go the way of a user's: a checkpoint file of mmdet 2.7, the converter, the config.
"""

import importlib.util
import json
import runpy
import sys
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmcv.cnn import build_norm_layer
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.registry import init_default_scope
from torch import nn
from without_init import WithoutInit

from mmrefseg.checkpoints.from_mmdet2 import read_mmdet2
from mmrefseg.models.layers.small_batch_norm import SmallBatchBN
from mmrefseg.runs.batch_norm import replace_sync_batch_norm
from mmrefseg.runs.config import load_config
from mmrefseg.utils import UserInputError

CONFIG = 'configs/cascade_rcnn/cascade-mask-rcnn_resnest50_fpn_tiny-voc.py'
NAME = 'cascade_resnest50_voc20'


def original_weights(golden_dir):
    """The original's state dict, as torch.save of a module's state_dict has it."""
    path = golden_dir / 'reference_weights.py'
    spec = importlib.util.spec_from_file_location('reference_weights', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    arrays = module.make_state_dict(str(golden_dir / f'cascade/spec_{NAME}.json'))
    state = OrderedDict((key, torch.as_tensor(value)) for key, value in arrays.items())
    state._metadata = OrderedDict([('', {'version': 1})])
    return state


def save_mmdet2(state, path, version='2.7.0+d1f9c2f'):
    """What mmcv 1.x writes as latest.pth."""
    meta = dict(mmdet_version=version, CLASSES=('aeroplane', 'bicycle'), epoch=24, iter=16188, config='...')
    optimizer = dict(state={}, param_groups=[dict(lr=2.5e-5, params=[0, 1])])
    torch.save(dict(meta=meta, state_dict=state, optimizer=optimizer), path)


def convert(repo_root, *args):
    """Run the converter in this process; returns its exit code."""
    script = str(repo_root / 'tools/model_converters/mmdet2.py')
    argv, sys.argv = sys.argv, [script, *map(str, args)]
    try:
        runpy.run_path(script, run_name='__main__')
    except SystemExit as stop:
        return stop.code
    finally:
        sys.argv = argv


def shipped_model(repo_root):
    """The shipped config's model for one process, as the golden tests it: no threshold, 20 instances."""
    init_default_scope('mmdet')
    config = load_config(str(repo_root / CONFIG))
    assert replace_sync_batch_norm(config) == 5
    config.model.backbone.init_cfg = None
    config.model.test_cfg.rcnn.update(score_thr=0.0, max_per_img=20)
    with WithoutInit():
        return MODELS.build(config.model).eval()


@pytest.fixture(scope='module')
def ran(repo_root, golden_dir, tmp_path_factory):
    """One run of our model: what each stage gave, and the golden arrays."""
    folder = tmp_path_factory.mktemp('cascade')
    save_mmdet2(original_weights(golden_dir), folder / 'latest.pth')
    assert convert(repo_root, folder / 'latest.pth', folder / 'ours.pth') == 0
    checkpoint = torch.load(folder / 'ours.pth', weights_only=True)
    for file in folder.iterdir():
        file.unlink()  # a third of a gigabyte each
    model = shipped_model(repo_root)
    model.load_state_dict(checkpoint['state_dict'], strict=True)
    golden = dict(np.load(golden_dir / f'cascade/{NAME}.npz'))
    height, width = golden['image_bgr'].shape[:2]
    sample = DetDataSample(
        metainfo=dict(img_id=0, ori_shape=(height, width), img_shape=(height, width), scale_factor=(1.0, 1.0))
    )
    image = torch.from_numpy(golden['image_bgr'].transpose(2, 0, 1).copy())
    data = model.data_preprocessor(dict(inputs=[image], data_samples=[sample]), False)
    with torch.no_grad():
        backbone = model.backbone(data['inputs'])
        fpn = model.neck(backbone)
        (proposals,) = model.rpn_head.predict(fpn, data['data_samples'], rescale=False)
        (found,) = model.roi_head.predict(fpn, [proposals], data['data_samples'], rescale=True)
    return SimpleNamespace(
        golden=golden,
        meta=checkpoint['meta'],
        inputs=data['inputs'],
        backbone=backbone,
        fpn=fpn,
        proposals=proposals,
        found=found,
    )


def assert_near(ours, golden, relative):
    """Within ``relative`` of the largest value of the stage."""
    np.testing.assert_allclose(ours, golden, rtol=0, atol=relative * np.abs(golden).max())


def test_preprocessing(ran):
    assert_near(ran.inputs[:, :, ::8, ::8].numpy(), ran.golden['input'], 1e-6)


def test_backbone_and_fpn(ran):
    for stage in range(4):
        crop = ran.golden[f'backbone{stage}_crop']
        assert_near(ran.backbone[stage][0, :16, :8, :8].numpy(), crop, 1e-5)
    assert len(ran.fpn) == 5
    for level, map_ in enumerate(ran.fpn):
        crop = ran.golden[f'fpn{level}_crop']
        assert_near(map_[0, :16, : crop.shape[1], : crop.shape[2]].numpy(), crop, 1e-5)
        mean_std = [map_.mean().item(), map_.std().item()]
        np.testing.assert_allclose(mean_std, ran.golden[f'fpn{level}_meanstd'], rtol=0, atol=1e-5)


def test_proposals(ran):
    """The fifty best, in order: boxes in pixels, and scores."""
    golden = ran.golden['proposals']
    np.testing.assert_allclose(ran.proposals.bboxes[:50].numpy(), golden[:, :4], rtol=0, atol=1e-3)
    np.testing.assert_allclose(ran.proposals.scores[:50].numpy(), golden[:, 4], rtol=0, atol=1e-5)


def test_instances(ran):
    """Matched by overlap, for scores are nearly equal: boxes, scores, classes and mask areas."""
    golden = ran.golden['boxes']
    ours = np.c_[ran.found.bboxes.numpy(), ran.found.scores.numpy()]
    assert len(ours) == len(golden) == 20
    distance = np.abs(ours[:, None, :4] - golden[None, :, :4]).max(-1)
    match = distance.argmin(1)
    assert sorted(match) == list(range(20)), 'each has one partner'
    np.testing.assert_allclose(ours[:, :4], golden[match, :4], rtol=0, atol=1e-2)
    np.testing.assert_allclose(ours[:, 4], golden[match, 4], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(ran.found.labels.numpy(), ran.golden['labels'][match])
    areas = ran.found.masks.sum((1, 2)).numpy()
    np.testing.assert_allclose(areas, ran.golden['mask_areas'][match], rtol=0, atol=2)


def test_class_names_move(ran):
    assert ran.meta['dataset_meta'] == dict(classes=['aeroplane', 'bicycle'])
    assert ran.meta['mmdet_version'].startswith('2.7') and ran.meta['epoch'] == 24


def test_converter_accounts_for_every_key(repo_root, golden_dir, tmp_path, capsys):
    """A left-over and a missing one are found; the moving average and ``module.`` are known."""
    spec = json.loads((golden_dir / f'cascade/spec_{NAME}.json').read_text())
    state = {f'module.{key}': torch.zeros(()).expand(shape) for key, (shape, _) in spec.items()}
    state['ema_neck_lateral_convs_0_conv_weight'] = torch.zeros(1)
    del state['module.neck.fpn_convs.0.conv.bias']
    state['module.roi_head.extra'] = torch.zeros(1)
    save_mmdet2(state, tmp_path / 'latest.pth')
    assert convert(repo_root, tmp_path / 'latest.pth', tmp_path / 'ours.pth') == 2
    text = capsys.readouterr()
    assert '669 converted, 1 dropped, 1 missing, 0 mismatched, 1 left over' in text.out
    assert 'neck.fpn_convs.0.conv.bias' in text.err and 'roi_head.extra' in text.err
    assert not (tmp_path / 'ours.pth').exists()


def test_mmdet_1_is_refused(tmp_path):
    save_mmdet2({'neck.weight': torch.zeros(1)}, tmp_path / 'x.pth', version='1.2.0')
    with pytest.raises(UserInputError, match=r'mmdet 1\.2\.0, where background is the first class'):
        read_mmdet2(str(tmp_path / 'x.pth'))


def test_one_image_on_one_process_trains():
    """ResNeSt's attention normalises a vector: PyTorch's BN raises, the one in SyncBN's position does not."""
    torch.manual_seed(0)
    name, norm = build_norm_layer(dict(type='SmallBatchBN', requires_grad=True), 3)
    assert name == 'bn' and isinstance(norm, SmallBatchBN)
    plain = nn.BatchNorm2d(3)
    assert norm.state_dict().keys() == plain.state_dict().keys() == nn.SyncBatchNorm(3).state_dict().keys()
    norm.running_mean.copy_(torch.tensor([0.5, -1.0, 2.0]))
    plain.load_state_dict(norm.state_dict())
    one, several = torch.randn(1, 3, 1, 1, requires_grad=True), torch.randn(2, 3, 4, 5)
    with pytest.raises(ValueError, match='more than 1 value per channel'):
        plain(one)
    torch.testing.assert_close(norm(one), plain.eval()(one))
    norm(one).sum().backward()
    assert one.grad.abs().sum() > 0
    assert norm.running_mean.tolist() == [0.5, -1.0, 2.0], 'nothing to learn from one value'
    torch.testing.assert_close(norm(several), plain.train()(several))
    torch.testing.assert_close(norm.running_var, plain.running_var)


def test_sync_batch_norm_stays_on_several_gpus(repo_root, monkeypatch):
    config = load_config(str(repo_root / CONFIG))
    config.launcher = 'pytorch'
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    assert replace_sync_batch_norm(config) == 0
    assert config.model.backbone.norm_cfg.type == 'SyncBN'
    config.launcher = 'none'
    assert replace_sync_batch_norm(config) == 5
    assert config.model.backbone.norm_cfg.type == 'SmallBatchBN'
