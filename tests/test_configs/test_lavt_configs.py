"""LAVT's configs: recipes, what the optimiser trains, sizes; held against what the originals' code did."""

import json

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from shipped import PATHS, load
from torch import nn

init_default_scope('mmdet')
LAVT = [name for name in PATHS if name.startswith(('lavt', 'late-lavt'))]
DATASETS = ('refcoco-unc', 'refcocoplus-unc', 'refcocog-umd', 'refcocog-google')
BASE = 'lavt_swin-b-w12_480_refcoco-unc'
RELEASED = 'lavt_swin-b-w12_480_released_refcoco-unc'
REPRODUCTION = 'lavt_swin-b-w7_448_refcoco-unc'


def test_how_many():
    expected = {f'{kind}_swin-b-w12_480_{dataset}' for kind in ('lavt', 'lavt-one') for dataset in DATASETS}
    expected |= {
        f'lavt_swin-b-w12_480_m05{kind}_{dataset}'
        for kind in ('', '-pseudo', '-retrain')
        for dataset in DATASETS[:3]
    }
    expected |= {f'lavt_swin-b-w12_480_released_{dataset}' for dataset in DATASETS}
    expected |= {REPRODUCTION, 'late-lavt_tiny_refshapes'}
    expected |= {f'late-lavt_tiny_m05{kind}_refshapes' for kind in ('', '-pseudo', '-retrain')}
    assert set(LAVT) == expected and len(LAVT) == 26


@pytest.mark.parametrize('name', LAVT)
def test_data(name):
    """Annotations of the named data set; whole images, stretched; every sentence of an image at once."""
    config, dataset = load(name), name.rpartition('_')[2]
    size = 448 if '_448_' in name else 480
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        assert f'annotations/{dataset}' in loader.dataset.ann_file
        steps = {step.type: step for step in loader.dataset.pipeline}
        assert not {'EncodeContour', 'LargeScaleJitter', 'RandomFlip'} & steps.keys()
        if 'tiny' not in name:
            assert steps['RefResize'].scale == (size, size) and not steps['RefResize'].keep_ratio
    for loader in (config.val_dataloader, config.test_dataloader):
        types = [step.type for step in loader.dataset.pipeline]
        assert types.index('RefResize') < types.index('LoadRefAnnotations')
        assert loader.dataset.group_by == 'image' and loader.dataset.get('max_pairs') is None
    assert config.model.test_cfg.sentences == 'each' and config.model.test_cfg.frame == 'original'
    assert config.default_hooks.checkpoint.save_best.startswith('res/')


@pytest.mark.parametrize('name', [name for name in LAVT if '-pseudo' in name])
def test_lavt_is_a_pseudo_labeller(name):
    config = load(name)
    assert config.model.test_cfg.confine_to_box
    assert config.test_evaluator.type == 'PseudoLabelDump'
    assert 'checkpoint' not in config.test_evaluator and config.default_hooks.name_checkpoint
    assert (
        config.test_dataloader.dataset.skip_predicted == config.test_evaluator.outfile_prefix + '.rank*.jsonl'
    )
    load_step = next(s for s in config.test_dataloader.dataset.pipeline if s.type == 'LoadRefAnnotations')
    assert not load_step.with_mask  # the masks are withheld


def rates_of(config, steps: int, epoch_length: int) -> list[float]:
    """The learning rate of each of the first steps (of epochs, if the schedule is by epoch)."""
    wrapper = build_optim_wrapper(nn.Linear(2, 2), config.optim_wrapper.copy())
    schedulers = []
    for item in config.param_scheduler:
        item = item.copy()
        convert = item.pop('convert_to_iter_based', False)
        build = PARAM_SCHEDULERS.get(item['type']).build_iter_from_epoch if convert else None
        if convert:
            item.pop('type')
            schedulers.append(build(wrapper, **item, epoch_length=epoch_length))
        else:
            schedulers.append(PARAM_SCHEDULERS.build(item, default_args=dict(optimizer=wrapper)))
    rates = []
    for _ in range(steps):
        rates.append(wrapper.get_lr()['lr'][0])
        wrapper.step()
        for scheduler in schedulers:
            scheduler.step()
    return rates


@pytest.mark.parametrize('dataset', DATASETS)
def test_learning_rate_of_lavt(dataset, golden_dir):
    """The released recipe's first steps on RefCOCO, and its end."""
    golden = json.loads((golden_dir / 'lavt/lavt_lr_released_recipe.json').read_text())
    config = load(f'lavt_swin-b-w12_480_{dataset}')
    assert config.train_cfg.max_epochs == golden['epochs'] == 40
    assert config.optim_wrapper.optimizer.lr == golden['base_lr']
    assert config.optim_wrapper.optimizer.weight_decay == golden['weight_decay']
    assert config.auto_scale_lr.base_batch_size == 32 and config.train_dataloader.batch_size == 8
    rates = rates_of(config, 10, golden['iters_per_epoch'])
    np.testing.assert_allclose(rates, golden['lr_first_10'], rtol=1e-12)
    # A short run to its end: the last step still moves.
    short = rates_of(config, 80, epoch_length=2)
    np.testing.assert_allclose(short, 5e-5 * (1 - np.arange(80) / 80) ** 0.9, rtol=1e-12)
    assert short[-1] > 0 and config.param_scheduler == load(RELEASED).param_scheduler


def test_learning_rate_of_the_reproduction(golden_dir):
    golden = json.loads((golden_dir / 'lavt/lavtpt_poly_lr_decay.json').read_text())
    config = load(REPRODUCTION)
    assert config.train_cfg.max_epochs == golden['args']['epoch'] == 50
    assert config.optim_wrapper.optimizer.weight_decay == golden['args']['weight_decay']
    assert config.auto_scale_lr.base_batch_size == 8 and config.train_dataloader.batch_size == 2
    np.testing.assert_allclose(rates_of(config, 50, 7), golden['lr_used_in_epoch'], rtol=1e-9)


def small(name: str, shared_dir, **backbone) -> nn.Module:
    """A config's model without files: the vocabulary of the tests, random weights."""
    model = load(name).model.to_dict()
    model['backbone'].update(init_cfg=None, **backbone)
    vocabulary = shared_dir / 'vocab' / 'bert-base-uncased-vocab.txt'
    model['language_model'].update(path=None, config={}, vocab_file=str(vocabulary))
    return MODELS.build(model)


def test_the_optimiser_trains_what_the_original_trains(shared_dir, golden_dir):
    """Swin tiny, as in the golden file: tensors and numbers, with and without decay, part by part."""
    groups = json.loads((golden_dir / 'lavt/lavt_optimizer_groups.json').read_text())['groups']
    sizes = dict(embed_dims=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24), window_size=7)
    config = load(RELEASED)
    model = load(RELEASED).model.to_dict()
    head = dict(model['decode_head'], in_channels=(96, 192, 384, 768), channels=384)
    model['backbone'].update(init_cfg=None, **sizes)
    vocabulary = shared_dir / 'vocab' / 'bert-base-uncased-vocab.txt'
    model['language_model'].update(path=None, config={}, vocab_file=str(vocabulary))
    model = MODELS.build({**model, 'decode_head': head})
    wrapper = build_optim_wrapper(model, config.optim_wrapper.copy())
    name_of = {id(parameter): name for name, parameter in model.named_parameters()}
    found: dict = {}
    for group in wrapper.param_groups:
        for parameter in group['params']:
            if parameter.requires_grad:
                key = (name_of[id(parameter)].split('.')[0], group['weight_decay'])
                count, total = found.get(key, (0, 0))
                found[key] = count + 1, total + parameter.numel()
            assert group['lr'] == 5e-5
    plain, decayed, head, bert = [(group['n'], group['numel']) for group in groups]
    last_gate = 2, 2 * 768 * 768  # which the original keeps and never trains
    assert found == {
        ('backbone', 0.0): plain,
        ('backbone', 0.01): (decayed[0] - last_gate[0], decayed[1] - last_gate[1]),
        ('decode_head', 0.01): head,
        ('language_model', 0.01): bert,
    }
    assert groups[0]['betas'] == list(wrapper.param_groups[0]['betas'])
    assert groups[0]['eps'] == wrapper.param_groups[0]['eps']


FROM_SCRATCH = [name for name in LAVT if '_released_' not in name and name != REPRODUCTION]


@pytest.mark.parametrize('name', FROM_SCRATCH)
def test_what_the_originals_do_by_mistake_is_not_copied(name):
    config = load(name)
    # left out, the loss is the plain one
    assert config.model.decode_head.get('loss', {}).get('class_weight') is None
    assert config.model.backbone.get('gate', dict(type='lavt'))['type'] == 'lavt'
    assert not {'trained_layers', 'train_embeddings'} & config.model.language_model.keys()
    steps = [
        step
        for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader)
        for step in loader.dataset.pipeline
    ]
    assert all(step.get('overlap', 'union') == 'union' for step in steps)


def test_training_from_scratch_trains_everything(shared_dir):
    model = small(BASE, shared_dir, depths=(1, 1, 1, 1))
    assert all(parameter.requires_grad for parameter in model.parameters())
    # The gate behind the last stage, which could learn nothing, is left out.
    assert [gate.gate is None for gate in model.backbone.gates] == [False, False, False, True]


@pytest.mark.parametrize('dataset', DATASETS)
def test_released_recipe(dataset):
    """As from scratch, but for the three things that its comments name."""
    ours, released = (load(f'lavt_swin-b-w12_480_{kind}{dataset}').to_dict() for kind in ('', 'released_'))
    steps = {step['type']: step for step in released['train_dataloader']['dataset']['pipeline']}
    assert steps['LoadRefAnnotations'].pop('overlap') == 'background'
    assert released['model']['decode_head']['loss'].pop('class_weight') == (0.9, 1.1)
    language = released['model']['language_model']
    assert (language.pop('trained_layers'), language.pop('train_embeddings')) == (10, False)
    for key in (
        'model',
        'train_dataloader',
        'val_dataloader',
        'test_dataloader',
        'optim_wrapper',
        'train_cfg',
    ):
        assert released[key] == ours[key], key


@pytest.mark.parametrize(
    ('name', 'spec', 'unused'),
    [
        (BASE, 'spec_lavtone_base_w12.model.json', ('layers.3.res_gate', 'pooler')),
        (REPRODUCTION, 'spec_lavtpt_small.json', ('imageEncoder.norm', 'imageEncoder.head', 'pooler')),
    ],
)
def test_networks_have_the_originals_parameters(name, spec, unused, shared_dir, golden_dir):
    """As many numbers as the original's state, but for what it never uses and its index buffers."""
    shapes = json.loads((golden_dir / 'lavt' / spec).read_text())
    buffers = ('relative_position_index', 'attn_mask', 'position_ids', 'num_batches_tracked')
    kept = {
        key: shape for key, (shape, _) in shapes.items()
        if not key.endswith(buffers) and not any(word in key for word in unused)
    }  # fmt: skip
    assert 200 < len(kept) < len(shapes)
    sizes = dict(depths=(2, 2, 2, 2)) if 'lavtpt' in spec else {}
    state = small(name, shared_dir, **sizes).state_dict()
    ours = {key: value for key, value in state.items() if not key.endswith(buffers)}
    ours = {key: value for key, value in ours.items() if not key.startswith('data_preprocessor')}
    assert sum(value.numel() for value in ours.values()) == sum(
        int(np.prod(shape)) for shape in kept.values()
    )


def test_missing_files_are_said(tmp_path, monkeypatch):
    """No BERT folder, no Swin weights: one sentence, no download."""
    from mmrefseg.utils import UserInputError

    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserInputError, match=r'bert-base-uncased.*nothing is downloaded'):
        MODELS.build(load(BASE).model)
    backbone = MODELS.build({**load(BASE).model.backbone, 'depths': (1, 1, 1, 1), 'embed_dims': 16})
    with pytest.raises(UserInputError, match=r'swin-b-w12_22k\.pth.*swin\.py'):
        backbone.init_weights()


def test_tiny_is_tiny():
    model = load('late-lavt_tiny_refshapes').model.to_dict()
    model['language_model']['vocabulary'] = dict(words=['a', 'b'])
    count = sum(p.numel() for p in MODELS.build(model).parameters())
    assert 1e5 < count < 2e6
    with torch.no_grad():
        assert load('late-lavt_tiny_refshapes').train_dataloader.dataset.group_by == 'image'
