"""The recipe of Cascade Mask R-CNN + ResNeSt-50 on tiny VOC, and its choices of one line."""

import json

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from shipped import PATHS, load
from torch import nn

NAME = 'cascade-mask-rcnn_resnest50_fpn_tiny-voc'
LENGTH = 607  # iterations of an epoch: 1214 images on two processes


def edited(tmp_path, old, new):
    """The config with one line changed, read from where its bases are found."""
    text = PATHS[NAME].read_text()
    assert text.count(old) == 1 and '\n' not in old + new
    text = text.replace(old, new).replace("'../_base_/", f"'{PATHS[NAME].parents[1]}/_base_/")
    (tmp_path / 'edited.py').write_text(text)
    return Config.fromfile(tmp_path / 'edited.py')


def test_learning_rate_of_every_epoch():
    """0.02 / 8, a tenth after 16 and 22 of 24 epochs; 500 iterations of warm-up from a thousandth."""
    init_default_scope('mmdet')
    config = load(NAME)
    wrapper = build_optim_wrapper(nn.Linear(2, 2), config.optim_wrapper.copy())
    settings = wrapper.optimizer.param_groups[0]
    assert type(wrapper.optimizer).__name__ == 'SGD'
    assert settings['momentum'] == 0.9 and settings['weight_decay'] == 1e-4
    assert config.optim_wrapper.get('clip_grad') is None
    warm_up, steps = (
        PARAM_SCHEDULERS.build(item.copy(), default_args=dict(optimizer=wrapper))
        for item in config.param_scheduler
    )
    assert wrapper.get_lr()['lr'][0] == pytest.approx(0.0025 / 1000)
    rates = []
    for _ in range(config.train_cfg.max_epochs):
        for _ in range(LENGTH):
            wrapper.step()
            warm_up.step()
        rates.append(wrapper.get_lr()['lr'][0])
        steps.step()
    assert rates == pytest.approx([0.0025] * 16 + [0.00025] * 6 + [0.000025] * 2)


def test_data():
    config = load(NAME)
    assert config.train_dataloader.batch_size == 1
    resize = next(
        step for step in config.train_dataloader.dataset.pipeline if step.type == 'RandomChoiceResize'
    )
    assert [tuple(scale) for scale in resize.scales] == [(1333, short) for short in range(640, 801, 32)]
    assert config.test_dataloader.dataset.pipeline[1].scale == (1333, 800)
    assert config.model.data_preprocessor.mean == [123.68, 116.779, 103.939]
    assert config.model.data_preprocessor.std == [58.393, 57.12, 57.375]
    files = {
        part: (dataset.data_root + dataset.ann_file, dataset.data_root + dataset.data_prefix.img)
        for part, dataset in ((p, config[f'{p}_dataloader'].dataset) for p in ('train', 'val', 'test'))
    }
    assert files['train'] == files['val'] == ('data/pascal_train.json', 'data/train_images/')
    assert files['test'] == ('data/test.json', 'data/test_images/')
    assert config.val_evaluator.ann_file == files['val'][0]
    assert config.test_evaluator.ann_file == files['test'][0]


def test_classes(test_data):
    """Those of the test file, in every part and in every head."""
    config = load(NAME)
    content = json.loads((test_data / 'tiny_voc/test.json').read_text())
    names = tuple(category['name'] for category in content['categories'])
    for part in ('train', 'val', 'test'):
        assert tuple(config[f'{part}_dataloader'].dataset.metainfo.classes) == names
    heads = [*config.model.roi_head.bbox_head, config.model.roi_head.mask_head]
    assert [head.num_classes for head in heads] == [len(names)] * 4


def test_held_out_part(tmp_path):
    """A tenth, or by one line the original's way."""
    config = load(NAME)
    train, val = (config[f'{part}_dataloader'].dataset for part in ('train', 'val'))
    assert (train.part, val.part) == ('train', 'val') and train.held_out == val.held_out == 0.1
    config = edited(tmp_path, 'held_out = 0.1', 'held_out = 0')
    assert config.train_dataloader.dataset.held_out == config.val_dataloader.dataset.held_out == 0


def test_start(tmp_path):
    """ImageNet, or COCO by one line, which needs no other download."""
    config = load(NAME)
    assert config.load_from is None
    assert config.model.backbone.init_cfg.checkpoint == 'open-mmlab://resnest50'
    config = edited(tmp_path, "start = 'imagenet'", "start = 'coco'")
    assert 'cascade_mask_rcnn_s50_fpn' in config.load_from and config.load_from.endswith('.pth')
    assert config.model.backbone.init_cfg is None
    config = edited(
        tmp_path, "imagenet = 'open-mmlab://resnest50'", "imagenet = 'data/weights/resnest50.pth'"
    )
    assert config.model.backbone.init_cfg.checkpoint == 'data/weights/resnest50.pth'
