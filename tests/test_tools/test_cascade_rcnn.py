"""Cascade Mask R-CNN + ResNeSt-50: its config and the commands of its README, small, on real images."""

import json
import re
from pathlib import Path

import pytest
import torch

from mmrefseg.structures.rle import area

from .voc_data import link_voc

NAME = 'cascade-mask-rcnn_resnest50_fpn_tiny-voc'
CONFIG = str(Path(__file__).parents[2] / f'configs/cascade_rcnn/{NAME}.py')
LATEST = f'work_dirs/{NAME}/latest.pth'
PARTS = ('train', 'val', 'test')
# Images of 96 pixels, narrow heads, few proposals; the network is otherwise the shipped one.
REDUCED = (
    'model.backbone.init_cfg=None',
    *(f'model.roi_head.bbox_head.{stage}.conv_out_channels=16' for stage in range(3)),
    *(f'model.roi_head.bbox_head.{stage}.fc_out_channels=32' for stage in range(3)),
    *('model.roi_head.mask_head.conv_out_channels=16', 'model.roi_head.mask_head.num_convs=1'),
    *('model.train_cfg.rpn_proposal.nms_pre=100', 'model.train_cfg.rpn_proposal.max_per_img=50'),
    *(f'model.train_cfg.rcnn.{stage}.sampler.num=16' for stage in range(3)),
    *('model.test_cfg.rpn.nms_pre=50', 'model.test_cfg.rpn.max_per_img=10'),
    *('model.test_cfg.rcnn.score_thr=0.0', 'model.test_cfg.rcnn.max_per_img=3'),
    'train_dataloader.dataset.pipeline.2.scales=[(96,64),(96,72)]',
    *(f'{part}_dataloader.dataset.pipeline.1.scale=(96,64)' for part in PARTS[1:]),
    *(f'{part}_dataloader.num_workers=0' for part in PARTS),
    *(f'{part}_dataloader.persistent_workers=False' for part in PARTS),
    *(f'{part}_dataloader.dataset.held_out=0.125' for part in PARTS[:2]),  # 5 of 40 images
    'train_dataloader.dataset.indices=4',
    'default_hooks.logger.interval=2',
)


@pytest.fixture(scope='module')
def voc(tools, test_data):
    """The tools, with data/ as the config expects it."""
    link_voc(test_data, tools.folder / 'data')
    return tools


@pytest.fixture(scope='module')
def two_gpus(voc):
    """The original's two commands with two processes: one step of training, then the submission."""
    log = voc.succeed(
        *('dist_train.sh', CONFIG, '2', '--seed', '0', '--cfg-options', *REDUCED),
        *('train_dataloader.dataset.indices=2', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=2'),
    ).stdout
    assert 'SyncBN -> BN in 5 places' in log
    voc.succeed(
        *('dist_test.sh', CONFIG, LATEST, '2', '--format-only', '--options', 'jsonfile_prefix=./0856610'),
        *('--cfg-options', *REDUCED),
    )
    return voc


def test_submission_of_two_processes(two_gpus):
    """Both files of mmdet 2.x, with nothing wrong in them, on all hundred images."""
    for kind in ('segm', 'bbox'):
        text = two_gpus.succeed(
            'analysis_tools/validate_submission.py', f'0856610.{kind}.json', '--test-json', 'data/test.json'
        ).stdout
        assert re.search(r'\d+ entries on 100 images, nothing is wrong', text), text
    lines = json.loads((two_gpus.folder / '0856610.segm.json').read_text())
    assert 100 < len(lines) <= 300
    assert all(isinstance(line['segmentation']['counts'], str) for line in lines)
    assert list(lines[0]) == ['image_id', 'bbox', 'score', 'category_id', 'segmentation']
    masks = [line['segmentation'] for line in lines]
    assert sum(area(mask['counts'], *mask['size']) > 0 for mask in masks) > 20, 'some masks are not empty'


def test_one_process_writes_the_same_lines(two_gpus):
    """In the four-key form, for the first images; a prefix that looks like a number stays as it is."""
    keys = ('image_id', 'category_id', 'score', 'segmentation')
    two_gpus.succeed(
        *('test.py', CONFIG, LATEST, '--format-only', '--options', 'jsonfile_prefix=0001'),
        *(
            '--submission-keys',
            ','.join(keys),
            '--cfg-options',
            *REDUCED,
            'test_dataloader.dataset.indices=3',
        ),
    )
    one = json.loads((two_gpus.folder / '0001.segm.json').read_text())
    two = json.loads((two_gpus.folder / '0856610.segm.json').read_text())
    images = {line['image_id'] for line in one}
    assert len(images) == 3
    assert one == [{key: line[key] for key in keys} for line in two if line['image_id'] in images]


def test_two_processes_of_which_one_has_no_masks(voc):
    """Objects with only a box: gradients are averaged over one process with masks and one without."""
    content = json.loads((voc.folder / 'data/pascal_train.json').read_text())
    first = content['images'][0]['id']
    for annotation in content['annotations']:
        if annotation['image_id'] != first:
            del annotation['segmentation']
    (voc.folder / 'data/pascal_train_sample_5.json').write_text(json.dumps(content))
    log = voc.succeed(
        *('dist_train.sh', CONFIG.replace('_tiny-voc', '_m05_tiny-voc'), '2', '--seed', '0'),
        *('--work-dir', 'few', '--cfg-options', *REDUCED, 'train_dataloader.dataset.held_out=0'),
        *('train_dataloader.dataset.indices=4', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=2'),
        'default_hooks.logger.interval=1',
    ).stdout
    losses = [float(value) for value in re.findall(r's0.loss_mask: (\S+)', log)]
    assert len(losses) == 2 and losses[0] > 0
    assert losses[1] == pytest.approx(losses[0] / 2, abs=1e-4), 'the mean of both steps: the second is 0'
    assert (voc.folder / 'few/epoch_1.pth').is_file()


def test_train_evaluate_resume(voc):
    """Eight iterations with a stop in the middle, and the table of the model zoos."""
    options = ('--work-dir', 'single', '--cfg-options', *REDUCED)
    first = voc.succeed('train.py', CONFIG, *options, 'train_cfg.max_epochs=1').stdout
    second = voc.succeed('train.py', CONFIG, '--resume', *options, 'train_cfg.max_epochs=2').stdout
    assert 'Epoch(train) [1][4/4]' in first and 'Epoch(train) [2][4/4]' in second
    assert 'Epoch(train) [1]' not in second, 'it goes on behind the first epoch'
    losses = [float(value) for value in re.findall(r' loss: (\S+)', first + second)]
    assert len(losses) == 4 and all(0 < loss < 50 for loss in losses)
    assert 'Epoch(val) [2][5/5]' in second and 'coco/segm_mAP_75' in second
    latest = voc.folder / 'single/latest.pth'
    assert latest.samefile(voc.folder / 'single/epoch_2.pth')
    assert (voc.folder / 'single/best.pth').is_file()
    momentum = torch.load(latest, weights_only=False)['optimizer']['state']
    assert len(momentum) > 100, 'the state of SGD is kept'
    done = voc.succeed(
        *('test.py', CONFIG, latest, '--work-dir', 'single', '--json', 'held_out.json'),
        *('--cfg-options', *REDUCED, *on_held_out()),
    )
    for heading in ('AP', 'AP50', 'AP75', 'APs', 'APm', 'APl'):
        assert heading in done.stdout
    numbers = json.loads((voc.folder / 'held_out.json').read_text())
    assert {'bbox_mAP', 'segm_mAP', 'segm_mAP_50', 'segm_mAP_l'} <= numbers.keys()


def on_held_out():
    """Test on the held-out training images, as docs/instance_segmentation.md says."""
    return (
        *('test_dataloader.dataset.ann_file=pascal_train.json', 'test_dataloader.dataset.part=val'),
        *('test_dataloader.dataset.data_prefix.img=train_images/', 'test_dataloader.dataset.held_out=0.125'),
        'test_evaluator.ann_file=data/pascal_train.json',
    )


def test_mistakes(two_gpus):
    """One sentence each."""
    tools, options = two_gpus, ('--cfg-options', *REDUCED)
    sentence = tools.fail('test.py', CONFIG, LATEST, *options)
    assert "data/test.json: found no 'annotations'" in sentence and 'use --format-only' in sentence
    sentence = tools.fail('test.py', CONFIG, LATEST, '--submission-keys', 'score', *options)
    assert 'add --format-only' in sentence
    keys = ('--format-only', '--submission-keys', 'image_id,mask')
    assert "'mask'" in tools.fail('test.py', CONFIG, LATEST, *keys, *options)
    wrong = 'train_dataloader.dataset.ann_file=pascal_tran.json'
    assert 'pascal_tran.json' in tools.fail('train.py', CONFIG, '--work-dir', 'x', *options, wrong)


class TestEcho:
    """Metrics above zero: a detector that moves the truth, on 31 images of COCO."""

    config = str(Path(__file__).with_name('echo_config.py'))

    @pytest.fixture(scope='class')
    def echo(self, tools, test_data):
        (tools.folder / 'coco').symlink_to(test_data / 'tiny_coco')
        torch.save(dict(state_dict=dict(weight=torch.zeros(1))), tools.folder / 'echo.pth')
        return tools

    def numbers(self, echo, script, name, *options):
        command = (script, self.config, 'echo.pth', *(['2'] if script == 'dist_test.sh' else []))
        done = echo.succeed(*command, '--json', name, '--classwise', *options)
        content = json.loads((echo.folder / name).read_text())
        content.pop('about')
        return content, done.stdout

    def test_two_processes_give_the_numbers_of_one(self, echo):
        """To the last digit, on a dataset whose length is not divisible by two."""
        one, text = self.numbers(echo, 'test.py', 'one.json')
        two, _ = self.numbers(echo, 'dist_test.sh', 'two.json')
        assert one == two
        assert 0 < one['segm_mAP'] < one['segm_mAP_50'] < 1 and one['bbox_mAP'] != one['segm_mAP']
        assert f'{100 * one["segm_mAP"]:.3f}' in text and 'person' in text
        fast, text = self.numbers(echo, 'test.py', 'fast.json', '--options', 'backend=faster-coco-eval')
        assert fast == one
        assert 'InstanceMetric, faster-coco-eval' in text
