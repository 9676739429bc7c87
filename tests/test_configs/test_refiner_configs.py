"""The refiner behind LAVT and behind Mask R-CNN: full-size configs, made small, take a step and predict."""

import json

import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from shipped import PATHS, load

from mmrefseg.experiments import encoder_trials

SIDE = encoder_trials.SIDE
REFINER = dict(size=16, channels=4, depth=2)


@pytest.fixture(scope='module')
def trial(tmp_path_factory):
    with DefaultScope.overwrite_default_scope('mmdet'):
        return encoder_trials.Trial(tmp_path_factory.mktemp('trial'))


def small_lavt(model: dict, shared_dir) -> dict:
    """Two channels for 128, and a BERT of a layer."""
    words = shared_dir / 'vocab' / 'bert-base-uncased-vocab.txt'
    bert = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    model['backbone'] |= dict(
        embed_dims=16, depths=(1,) * 4, num_heads=(1, 2, 4, 8), window_size=4, language_channels=16
    )
    model['language_model'] |= dict(path=None, config=dict(bert, vocab_size=30522), vocab_file=str(words))
    model['decode_head'] |= dict(in_channels=(16, 32, 64, 128), channels=16)
    return model


def small_detector(model: dict) -> dict:
    """A sixteenth of ResNet's channels, and few proposals."""
    model['backbone'] |= dict(base_channels=4)
    model['neck'] |= dict(in_channels=[16, 32, 64, 128], out_channels=16)
    model['rpn_head'] |= dict(in_channels=16, feat_channels=16)
    roi = model['roi_head']
    for key in ('bbox_roi_extractor', 'mask_roi_extractor'):
        roi[key]['out_channels'] = 16
    roi['bbox_head'] |= dict(in_channels=16, fc_out_channels=32)
    roi['mask_head'] |= dict(in_channels=16, conv_out_channels=16)
    model['test_cfg']['rpn']['max_per_img'] = 20
    model['test_cfg']['rcnn']['score_thr'] = 0.0
    return model


def learn_and_predict(config, segmentor: dict, data: dict) -> list:
    """A step, which teaches the refiner alone; then predictions of images of the same batch."""
    model = dict(config.model.to_dict(), segmentor=segmentor)
    model['refiner'] |= REFINER
    torch.manual_seed(0)
    built = MODELS.build(ConfigDict(model))
    # a checkpoint of the stage before, which has the network alone
    state = dict(built.segmentor.state_dict())
    built.adapt_state_dict(state)
    assert not built.load_state_dict(state, strict=False).unexpected_keys
    batch = built.data_preprocessor(data, training=True)
    losses = built.train()(**batch, mode='loss')
    loss, _ = built.parse_losses(losses)
    loss.backward()
    assert torch.isfinite(loss) and 'loss_mask' in losses
    assert all(parameter.grad is not None for parameter in built.refiner.parameters())
    assert all(parameter.grad is None for parameter in built.segmentor.parameters())
    with torch.no_grad():
        return built.eval()(**built.data_preprocessor(data, training=True), mode='predict')


def test_how_many():
    lavt = {
        f'box-refiner_lavt-swin-b_{share}_{data}'
        for share in ('m05', 'm100')
        for data in ('refcoco-unc', 'refcocoplus-unc', 'refcocog-umd')
    }
    detectors = {f'box-refiner_mask-rcnn-r50{few}_coco' for few in ('', '_m05')}
    assert lavt | detectors == {n for n in PATHS if n.startswith(('box-refiner_lavt', 'box-refiner_mask'))}


@pytest.mark.parametrize(('share', 'stage'), [('m100', ''), ('m05', '_m05')])
def test_the_network_is_the_stage_before(share, stage):
    """Its weights come from its own training; the model is not another one."""
    ours = load(f'box-refiner_lavt-swin-b_{share}_refcocog-umd')
    theirs = load(f'lavt_swin-b-w12_480{stage}_refcocog-umd')
    model = ours.model.segmentor.to_dict()
    assert model['backbone'].pop('init_cfg') is None
    expected = theirs.model.to_dict()
    expected['backbone'].pop('init_cfg')
    assert model == expected and ours.model.refiner.coarse
    assert ours.load_from == f'work_dirs/lavt_swin-b-w12_480{stage}_refcocog-umd/best.pth'
    assert ours.val_dataloader == theirs.val_dataloader
    ours = load(f'box-refiner_mask-rcnn-r50{stage}_coco')
    theirs = load(f'mask-rcnn_r50-caffe_fpn_1x{stage}_coco')
    model, expected = ours.model.segmentor.to_dict(), theirs.model.to_dict()
    assert model['backbone'].pop('init_cfg') is None and expected['backbone'].pop('init_cfg')
    assert model == expected
    assert ours.load_from == f'work_dirs/mask-rcnn_r50-caffe_fpn_1x{stage}_coco/latest.pth'
    dataset = ours.train_dataloader.dataset
    dataset = dataset.get('dataset', dataset)
    assert dataset.ann_file == theirs.train_dataloader.dataset.ann_file
    assert dataset.get('require_masks', False) == (stage != '')  # masks alone teach


def test_behind_lavt(trial, shared_dir):
    """Through the config's own pipeline."""
    config = load('box-refiner_lavt-swin-b_m05_refcoco-unc')
    dataset = config.train_dataloader.dataset.dataset.to_dict()
    step = next(step for step in dataset['pipeline'] if step['type'] == 'RefResize')
    step['scale'] = (SIDE, SIDE)
    images = trial.ann_file.parents[2] / 'images' / trial.ann_file.parent.name
    dataset |= dict(ann_file=str(trial.ann_file), data_root='', data_prefix=dict(img_path=str(images)))
    built = DATASETS.build(dataset)
    segmentor = small_lavt(config.model.segmentor.to_dict(), shared_dir)
    results = learn_and_predict(config, segmentor, pseudo_collate([built[i] for i in range(2)]))
    for item in results:
        assert item.pred_instances.masks.shape == (len(item.expressions), *item.ori_shape[:2])


def test_behind_mask_rcnn(trial):
    """A COCO file of whose objects the first has no mask: it is left out."""
    config = load('box-refiner_mask-rcnn-r50_m05_coco')
    folder = trial.ann_file.parent
    content = json.loads((folder / 'coco/instances_train.json').read_text())
    del content['annotations'][0]['segmentation']
    (folder / 'some.json').write_text(json.dumps(content))
    dataset = config.train_dataloader.dataset.dataset.to_dict()
    for step in dataset['pipeline']:
        if 'scales' in step:
            step |= dict(scales=[SIDE], max_size=SIDE)
    dataset |= dict(
        data_root='',
        ann_file=str(folder / 'some.json'),
        data_prefix=dict(img=str(folder.parents[1] / 'images' / folder.name)),
        metainfo=dict(classes=tuple(category['name'] for category in content['categories'])),
    )
    built = DATASETS.build(dataset)
    data = pseudo_collate([built[i] for i in range(2)])
    masks = [sample.gt_instances.masks.masks for sample in data['data_samples']]
    assert sum(map(len, masks)) == len(content['annotations']) - 1 > 2
    assert all(rows.any((1, 2)).all() for rows in masks)
    for item in data['data_samples']:
        item.set_metainfo(dict(scale_factor=(1.0, 1.0)))  # training images do not say it, those of tests do
    results = learn_and_predict(config, small_detector(config.model.segmentor.to_dict()), data)
    for item in results:
        assert len(item.pred_instances) and item.pred_instances.masks.shape[1:] == item.ori_shape[:2]
        assert item.pred_instances.masks.any()
