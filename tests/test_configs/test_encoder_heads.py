"""LAVT, Mask R-CNN and the cascade on Hugging Face's encoders: stages, recipes, a step and a prediction."""

import json
import re

import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from shipped import DATASETS as DATA
from shipped import PATHS, load
from small_encoders import in_small

from mmrefseg.experiments import encoder_trials

ENCODERS = ('dinov3-b', 'siglip2-b', 'convnext-b', 'swin-b')
LATE = ('dinov3-b', 'siglip2-b')


@pytest.fixture(scope='module')
def trial(tmp_path_factory):
    MMLogger.get_current_instance().setLevel('ERROR')
    with DefaultScope.overwrite_default_scope('mmdet'):
        return encoder_trials.Trial(tmp_path_factory.mktemp('trial'))


def test_the_matrix():
    stages = ('m01', 'm05', 'm100', 'm05-pseudo', 'm05-retrain')
    names = {f'encoder-lavt_{e}_{m}_{d}' for e in ENCODERS for m in stages for d in DATA}
    assert {name for name in PATHS if name.startswith('encoder-lavt_')} == names
    detectors = ('encoder-mask-rcnn', 'encoder-cascade-mask-rcnn')
    names = {f'{kind}_{e}{few}_coco' for kind in detectors for e in ENCODERS for few in ('', '_m05')}
    assert {name for name in PATHS if re.match(r'encoder-.*rcnn', name)} == names


@pytest.mark.parametrize('head', ['res', 'lavt'])
@pytest.mark.parametrize('encoder', ENCODERS)
def test_pseudo_labels(head, encoder):
    """What is loaded is what the stage before keeps; retraining is the full stage on another file."""
    name = f'encoder-{head}_{encoder}_m05'
    pseudo, retrain = (load(f'{name}-{stage}_refcoco-unc') for stage in ('pseudo', 'retrain'))
    full = load(name.replace('m05', 'm100') + '_refcoco-unc')
    assert pseudo.load_from == f'work_dirs/{name}_refcoco-unc/best.pth'
    prefix = f'work_dirs/{name}-pseudo_refcoco-unc/pseudo'
    assert pseudo.test_evaluator == dict(type='PseudoLabelDump', outfile_prefix=prefix)
    loader = pseudo.test_dataloader.dataset
    assert loader.skip_predicted == prefix + '.rank*.jsonl' and loader.split == 'train'
    assert loader.pipeline == pseudo.box_test_pipeline
    assert pseudo.model == {
        **full.model,
        'test_cfg': {**full.model.get('test_cfg', {}), 'confine_to_box': True},
    }
    assert retrain.model == full.model and not retrain.get('load_from')
    ours, theirs = (config.train_dataloader.to_dict() for config in (retrain, full))
    assert ours['dataset'].pop('ann_file').endswith('refcoco-unc/instances_sample_5_box_pick.json')
    assert theirs['dataset'].pop('ann_file').endswith('refcoco-unc/instances.json') and ours == theirs


@pytest.mark.parametrize('encoder', ENCODERS)
def test_boxes_only(encoder):
    """No masks are read, and the network has the places of a box alone."""
    rec, full = (load(f'encoder-res_{encoder}_{stage}_refcocog-umd') for stage in ('rec', 'm100'))
    assert rec.model == {**full.model, 'head': {**full.model.head, 'with_mask': False}}
    for config in (rec.train_dataloader, rec.val_dataloader, rec.test_dataloader):
        step = next(step for step in config.dataset.pipeline if step.type == 'LoadRefAnnotations')
        assert step.with_mask is False and config.dataset.ann_file.endswith('refcocog-umd/instances.json')
    assert rec.val_evaluator == rec.test_evaluator == dict(type='RECMetric')
    assert rec.default_hooks.checkpoint.save_best == 'rec/acc50'


def built_lavt(encoder, trial):
    config = load(f'encoder-lavt_{encoder}_m100_refcoco-unc')
    model = in_small(config.model.to_dict(), str(trial.tokenizer))
    model['backbone']['language_channels'] = 32
    model['decode_head']['channels'] = 32
    torch.manual_seed(0)
    return config, MODELS.build(model)


@pytest.mark.parametrize('encoder', ['siglip2-b', 'convnext-b', 'swin-b'])
def test_lavt_trains(encoder, trial):
    """Steps and a prediction; gates where they belong; the last layer learns at LAVT's rate."""
    config, model = built_lavt(encoder, trial)
    assert model.backbone.staged == (encoder not in LATE)
    trial.run(model)
    wrapper = build_optim_wrapper(model, config.optim_wrapper.copy())
    rates = {id(p): group['lr'] for group in wrapper.param_groups for p in group['params']}
    layers = model.backbone.encoder.layers_by_depth()
    named = dict(model.backbone.encoder.named_parameters())
    decay = {'siglip2-b': 0.7, 'convnext-b': 0.9, 'swin-b': 1.0}[encoder]
    for depth, names in enumerate(layers):
        for rate in (rates[id(named[name])] for name in names if named[name].requires_grad):
            assert rate == pytest.approx(5e-5 * decay ** (len(layers) - 1 - depth))
    assert {rates[id(p)] for p in model.language_model.parameters() if p.requires_grad} == {5e-5}


@pytest.mark.parametrize('encoder', ENCODERS)
def test_drop_path(encoder):
    """By the recipes that the configs cite; SigLIP has none."""
    lavt = load(f'encoder-lavt_{encoder}_m100_refcoco-unc').model.backbone.encoder.get('config')
    coco = load(f'encoder-mask-rcnn_{encoder}_coco').model.backbone.get('config')
    expected = {'dinov3-b': (0.1, 0.1), 'convnext-b': (0.4, 0.6), 'swin-b': (0.3, 0.4)}.get(encoder)
    found = lavt and (lavt.drop_path_rate, coco.drop_path_rate)
    assert found == expected and (found is None) == (coco is None)


@pytest.fixture(scope='module')
def few_masks(trial):
    """RefShapes' images as COCO, of whose objects only every third has a mask."""
    content = json.loads((trial.ann_file.parent / 'coco/instances_train.json').read_text())
    for annotation in content['annotations'][1:]:
        if annotation['id'] % 3:
            del annotation['segmentation']
    path = trial.ann_file.parent / 'few.json'
    path.write_text(json.dumps(content))
    return path, tuple(category['name'] for category in content['categories'])


def batch_of(config, few_masks, trial, side=64):
    """Two training images through the config's own pipeline, made smaller."""
    dataset = config.train_dataloader.dataset.to_dict()
    for step in dataset['pipeline']:
        for key in {'scale', 'crop_size'} & step.keys():
            step[key] = (side, side)
        if step['type'] == 'RandomResize':
            step['ratio_range'] = (0.9, 1.5)
    images = str(trial.ann_file.parents[2] / 'images' / trial.ann_file.parent.name)
    dataset |= dict(
        data_root='', ann_file=str(few_masks[0]), data_prefix=dict(img=images),
        metainfo=dict(classes=few_masks[1]),
    )  # fmt: skip
    built = DATASETS.build(dataset)
    return pseudo_collate([built[i] for i in range(2)])


@pytest.mark.parametrize(
    ('head', 'encoder'), [('encoder-mask-rcnn', 'dinov3-b'), ('encoder-cascade-mask-rcnn', 'swin-b')]
)
def test_detectors_train(head, encoder, few_masks, trial):
    """A step from few masks through the jittered images, and a prediction; layers learn at their rates."""
    config = load(f'{head}_{encoder}_m05_coco')
    model = in_small(config.model.to_dict(), '', share=8)
    small_heads(model)
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(model))
    data = model.data_preprocessor(batch_of(config, few_masks, trial), training=True)
    masked = [item.gt_instances.masks.masks.any((1, 2)) for item in data['data_samples']]
    assert any(rows.any() for rows in masked) and not all(rows.all() for rows in masked)
    loss, _ = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    assert torch.isfinite(loss)
    still = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not still
    with torch.no_grad():
        results = model.eval()(**data, mode='predict')
    assert all(item.pred_instances.masks.shape[0] == len(item.pred_instances) for item in results)
    wrapper = build_optim_wrapper(model, config.optim_wrapper.copy())
    settings = {id(p): (g['lr'], g['weight_decay']) for g in wrapper.param_groups for p in g['params']}
    base, decay, weight_decay = (1e-4, 0.7, 0.1) if encoder == 'dinov3-b' else (4e-5, 1.0, 0.05)
    names = model.backbone.layers_by_depth()
    for depth, layer in enumerate(names):
        for name in layer:
            parameter = model.backbone.get_parameter(name)
            if parameter.requires_grad:
                plain = 'norm' in name or 'relative_position_bias_table' in name
                rate = base * decay ** (len(names) - 1 - depth)
                assert settings[id(parameter)] == pytest.approx((rate, 0 if plain else weight_decay)), name
    heads = {settings[id(p)] for p in model.roi_head.parameters()}
    assert heads == {(base, weight_decay), (base, 0.0)}


def small_heads(model: dict) -> None:
    """Of a detector: 32 channels in place of 256, and few proposals, so that a step is quick."""
    model['rpn_head']['feat_channels'] = 32
    boxes = model['roi_head']['bbox_head']
    for head in boxes if isinstance(boxes, list) else [boxes]:
        head |= dict(conv_out_channels=32, fc_out_channels=32)
    model['roi_head']['mask_head']['conv_out_channels'] = 32
    for proposals in (model['train_cfg']['rpn_proposal'], model['test_cfg']['rpn']):
        proposals['max_per_img'] = 30
    stages = model['train_cfg']['rcnn']
    for stage in stages if isinstance(stages, list) else [stages]:
        stage['sampler']['num'] = 32


def test_detectors_of_plain_encoders_have_no_fpn():
    """ViTDet's pyramid makes the fifth stride, which RPN's anchors have; stages of others go through FPN."""
    for encoder in ENCODERS:
        for kind in ('encoder-mask-rcnn', 'encoder-cascade-mask-rcnn'):
            model = load(f'{kind}_{encoder}_coco').model
            strides = model.rpn_head.anchor_generator.strides
            assert (model.neck is None) == (encoder in LATE)
            assert [*model.backbone.strides] == (strides if encoder in LATE else strides[:4])
            assert isinstance(model, ConfigDict) and model.rpn_head.num_convs == 2
