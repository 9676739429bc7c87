"""The Mask R-CNN of detectron2's zoo on real COCO images through the tools: train, resume, evaluate, draw.

The shipped config at a quarter of its width, images of 96 pixels: that everything fits together is checked,
not what is learned.
"""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from test_tools.conftest import Tools

from mmrefseg.compat.checkpoint import load_checkpoint_file

STEPS = 20
IMAGES = ('train2017', 'val2017')
SMALL = (
    *(f'{split}_dataloader.num_workers=0' for split in ('train', 'val', 'test')),
    *(f'{split}_dataloader.persistent_workers=False' for split in ('train', 'val', 'test')),
    'train_dataloader.batch_size=1',
    'train_dataloader.dataset.pipeline.2.scales=[64,96]',
    'train_dataloader.dataset.pipeline.2.max_size=128',
    *(f'{split}_dataloader.dataset.pipeline.1.scale=96' for split in ('val', 'test')),
    *(f'{split}_dataloader.dataset.pipeline.1.max_size=128' for split in ('val', 'test')),
    'val_dataloader.dataset.indices=12',
    # a quarter of the width, and fewer regions
    'model.backbone.base_channels=16',
    'model.backbone.stem_channels=16',
    'model.backbone.init_cfg=None',
    'model.backbone.frozen_stages=-1',
    'model.backbone.norm_cfg.requires_grad=True',
    'model.neck.in_channels=[64,128,256,512]',
    'model.neck.out_channels=64',
    *('model.rpn_head.in_channels=64', 'model.rpn_head.feat_channels=64'),
    *(f'model.roi_head.{part}_roi_extractor.out_channels=64' for part in ('bbox', 'mask')),
    *('model.roi_head.bbox_head.in_channels=64', 'model.roi_head.bbox_head.fc_out_channels=128'),
    *('model.roi_head.mask_head.in_channels=64', 'model.roi_head.mask_head.conv_out_channels=64'),
    'model.train_cfg.rcnn.sampler.num=32',
    'model.train_cfg.rpn_proposal.max_per_img=100',
    'model.test_cfg.rpn.max_per_img=50',
    'model.test_cfg.rcnn.score_thr=0.001',
    'model.test_cfg.rcnn.max_per_img=20',
    'optim_wrapper.optimizer.lr=0.0005',  # the recipe's is for 16 images and pretrained weights
    f'train_cfg.max_iters={STEPS}',
    f'train_cfg.val_interval={STEPS}',
    'param_scheduler.0.end=10',
    'default_hooks.checkpoint.interval=10',
    'default_hooks.checkpoint.max_keep_ckpts=-1',
    'default_hooks.logger.interval=1',
)


@pytest.fixture(scope='module')
def coco(tmp_path_factory, test_data, repo_root):
    """20 steps, and the last ten of them again, resumed from the checkpoint of the tenth."""
    folder = tmp_path_factory.mktemp('tiny_coco')
    for part in ('annotations/instances_train2017.json', 'annotations/instances_val2017.json', *IMAGES):
        place = folder / 'data/coco' / part
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(test_data / 'tiny_coco' / part)
    tools = Tools(folder)
    config = str(repo_root / 'configs/mask_rcnn/mask-rcnn_r50-caffe_fpn_1x_coco.py')
    try:
        train = ('train.py', config, '--seed', '0', '--work-dir')
        tools.succeed(*train, 'whole', '--cfg-options', *SMALL)
        (folder / 'again').mkdir()
        shutil.copy(folder / 'whole/iter_10.pth', folder / 'again/iter_10.pth')
        tools.succeed(*train, 'again', '--resume', '--cfg-options', *SMALL)
        yield SimpleNamespace(tools=tools, folder=folder, config=config)
    finally:
        shutil.rmtree(folder)


def scalars(coco, run):
    """What was logged: one record a step, and the scores of the validation."""
    (path,) = coco.folder.glob(f'{run}/*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_twenty_finite_steps(coco):
    lines = scalars(coco, 'whole')
    steps = [line for line in lines if 'loss' in line]
    assert [line['step'] for line in steps] == list(range(1, STEPS + 1))
    parts = ('loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox', 'loss_mask')
    assert all(0 <= line[part] < 100 for line in steps for part in parts)
    assert any(line['loss_mask'] > 0 for line in steps)
    assert 'coco/segm_mAP_50' in lines[-1]


def test_resuming(coco):
    """At the eleventh step with its learning rate; latest.pth is the last checkpoint of both."""
    whole, again = ([line for line in scalars(coco, run) if 'loss' in line] for run in ('whole', 'again'))
    assert [line['step'] for line in again] == list(range(11, STEPS + 1))
    assert [line['lr'] for line in again] == [line['lr'] for line in whole[10:]]
    start = load_checkpoint_file(coco.folder / 'again/iter_10.pth')['state_dict']
    for run in ('whole', 'again'):
        checkpoint = load_checkpoint_file(coco.folder / run / 'latest.pth')
        assert checkpoint['meta']['iter'] == STEPS
        key = 'roi_head.mask_head.conv_logits.weight'
        assert not torch.equal(checkpoint['state_dict'][key], start[key])


def test_objects_with_only_a_box(coco, repo_root):
    """5 % of the masks, as the tool samples them: every step learns boxes, some learn masks."""
    coco.tools.succeed(
        'dataset_converters/sample_masks.py', 'data/coco/annotations/instances_train2017.json', '--ratio', '5'
    )
    config = str(repo_root / 'configs/mask_rcnn/mask-rcnn_r50-caffe_fpn_1x_m05_coco.py')
    options = (
        *SMALL, 'train_cfg.max_iters=12', 'val_dataloader.dataset.indices=1', 'log_processor.window_size=1',
    )  # fmt: skip
    coco.tools.succeed('train.py', config, '--seed', '0', '--work-dir', 'few', '--cfg-options', *options)
    steps = [line for line in scalars(coco, 'few') if 'loss' in line]
    assert [line['step'] for line in steps] == list(range(1, 13))
    assert all(0 < line['loss_cls'] < 100 and 0 < line['loss'] < 100 for line in steps)
    with_masks = [line['loss_mask'] > 0 for line in steps]
    assert any(with_masks) and not all(with_masks)


def test_evaluation(coco):
    """Our metric and mmdet's, which rounds to three digits, give the same numbers."""
    scores = {}
    for metric in ('InstanceMetric', 'CocoMetric'):
        file, options = f'{metric}.json', (*SMALL, f'test_evaluator.type={metric}')
        out = coco.tools.succeed(
            'test.py', coco.config, 'whole/latest.pth', '--json', file, '--cfg-options', *options
        )
        assert 'AP50' in out.stdout
        scores[metric] = json.loads((coco.folder / file).read_text())
    for kind in ('bbox', 'segm'):
        for name in ('mAP', 'mAP_50', 'mAP_75'):
            ours, theirs = (scores[metric][f'{kind}_{name}'] for metric in scores)
            assert 0 <= ours <= 1 and ours == pytest.approx(theirs, abs=0.00051)
    assert set(scores['CocoMetric']) == set(scores['InstanceMetric'])


def test_drawing(coco):
    """A line and a drawing for each image, of which some show something."""
    expected = sorted(path.name for path in (coco.folder / 'data/coco/val2017').glob('*[05].jpg'))
    assert len(expected) >= 3
    done = coco.tools.succeed(
        '../demo/image_demo.py', '--config', coco.config, '--weights', 'whole/latest.pth', '--input',
        'data/coco/val2017/*[05].jpg', '--output', 'out/', '--confidence-threshold', '0.02',
        '--cfg-options', *SMALL,
    )  # fmt: skip
    assert sorted(path.name for path in (coco.folder / 'out').iterdir()) == expected
    assert done.stdout.count(': detected ') == len(expected)
