"""What the configs build: networks of the originals' size, and the originals' learning rate and average."""

import json
import math

import numpy as np
import pytest
import torch
from mmdet.registry import HOOKS, MODELS
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from shipped import DATASETS, PATHS, load, stage
from torch import nn

init_default_scope('mmdet')
WORDS = [f'w{number}' for number in range(497)]  # and three special ones: 500, as in the golden counts


def build(name: str, device: str = 'meta') -> nn.Module:
    """The model of a config, with made-up words; on ``meta`` it has shapes and no numbers."""
    model = load(name).model.to_dict()
    words = model.get('segmentor', model)['language_model']
    words['vocabulary'] = dict(words=WORDS)
    if words.get('vectors'):
        words['vectors'] = 'random:300'
    with torch.device(device):
        return MODELS.build(model)


@pytest.fixture(scope='module')
def counts(golden_dir):
    """Parameters of the original networks: {family: {task: {'total', 'trainable'}}}."""
    files = {family: golden_dir / f'seqtr/I_facts_{family}.json' for family in ('partial', 'seqtr')}
    return {family: json.loads(path.read_text())['params'] for family, path in files.items()}


@pytest.mark.parametrize(
    ('name', 'family', 'task', 'more'),
    [
        (stage('m100', 'refcocog-umd'), 'partial', 'res', 0),
        (stage('m100'), 'partial', 'res', 12 * 256),  # counted with 12 points, not 18: 12 positions more
        # The original's comprehension network keeps a prompt for masks that nothing trains.
        (stage('rec'), 'partial', 'rec', -256),
        ('seqtr_darknet53_rec_refcoco-unc', 'seqtr', 'rec', 0),
        ('seqtr_darknet53_res_refcocoplus-unc', 'seqtr', 'res', 0),
        ('seqtr_darknet53_multi-task_refcoco-unc', 'seqtr', 'multi', 0),
        (stage('m05-baseline'), 'seqtr', 'res', 12 * 256),
        (stage('m05-token-content-points'), 'partial', 'res', 12 * 256),
    ],
)
def test_full_size_networks_have_the_originals_parameters(name, family, task, more, counts):
    model = build(name)
    total = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert total == counts[family][task]['total'] + more
    assert trained == counts[family][task]['trainable'] + more


def test_every_other_full_size_network_builds():
    """One of each different model; the names of the data sets aside there are few."""
    models = {}
    for name in PATHS:
        if '_darknet53_' in name:
            content = load(name).model.to_dict()
            content.get('segmentor', content)['language_model'] = None
            models.setdefault(json.dumps(content, sort_keys=True, default=str), name)
    assert len(models) >= 10
    for name in models.values():
        model, config = build(name), load(name).model
        head = getattr(model, 'segmentor', model).head
        assert head.codec.num_points == config.get('segmentor', config).head.codec.get('num_points', 18)


@pytest.mark.parametrize(
    'name',
    [
        name
        for name in PATHS
        if name.startswith(('partial-res_tiny_', 'box-frame_tiny_'))
        and not name.endswith('-minilm_refshapes')
    ],
)
def test_tiny_networks_build(name):
    assert 1e5 < sum(p.numel() for p in build(name, 'cpu').parameters()) < 5e6


def test_tiny_networks_start_from_one_checkpoint():
    """All but positions of the sequence, the prompt of masks and the RoI's own comes from one REC network."""
    shapes = {
        name: {key: value.shape for key, value in build(f'{name}_refshapes').state_dict().items()}
        for name in (
            'box-frame_tiny_rec',
            'box-frame_tiny_m100',
            'partial-res_tiny_m100',
            'partial-res_tiny_rec',
        )
    }
    rec = shapes.pop('box-frame_tiny_rec')
    position = 'head.decoder.position.weight'
    new = {
        name: {key for key in found if rec.get(key) != found[key]} - {position}
        for name, found in shapes.items()
    }
    assert new['partial-res_tiny_m100'] == {'head.task_prompt.weight'} and not new['partial-res_tiny_rec']
    apart = ('head.roi_memory.', 'head.mask_cell_head.', 'head.task_embedding.')
    assert new['box-frame_tiny_m100'] and all(key.startswith(apart) for key in new['box-frame_tiny_m100'])


@pytest.mark.parametrize('ratio', ['m01', 'm100'])
def test_tiny_partial_res_takes_as_many_steps_whatever_it_learns_from(ratio):
    """The rate rises for 50 steps and falls to a fiftieth at the last one."""
    config = load(f'partial-res_tiny_{ratio}_refshapes')
    steps = config.train_cfg.max_iters
    assert config.train_cfg.type == 'IterBasedTrainLoop' and config.train_cfg.val_interval == steps
    assert config.default_hooks.checkpoint.interval == steps and not config.default_hooks.checkpoint.by_epoch
    wrapper = build_optim_wrapper(nn.Linear(2, 2), config.optim_wrapper.copy())
    schedulers = [
        PARAM_SCHEDULERS.build(item.copy(), default_args=dict(optimizer=wrapper))
        for item in config.param_scheduler
    ]
    rates = []
    for _ in range(steps):
        rates.append(wrapper.get_lr()['lr'][0])
        wrapper.step()
        for scheduler in schedulers:
            scheduler.step()
    peak = config.optim_wrapper.optimizer.lr
    fallen = 0.02 + 0.98 * (1 + math.cos(math.pi * 50 / steps)) / 2  # by the cosine, when the rise ends
    assert rates[0] == pytest.approx(0.1 * peak) and max(rates) == pytest.approx(fallen * peak, rel=2e-3)
    assert rates.index(max(rates)) == pytest.approx(50, abs=2)
    assert rates[-1] == pytest.approx(0.02 * peak, rel=0.05)


@pytest.mark.parametrize(
    ('name', 'golden'),
    [
        *((stage(kind, dataset), 'lr_seg_f64') for kind in ('m100', 'm01-retrain') for dataset in DATASETS),
        *((stage('rec', dataset), 'lr_det_f64') for dataset in DATASETS),
        ('seqtr_darknet53_res_refcoco-unc', 'lr_seg_f64'),
        ('seqtr_darknet53_rec_flickr30k', 'lr_det_f64'),
        ('seqtr_darknet53_multi-task_refcocog-umd', 'lr_det_f64'),
        ('seqtr_darknet53_rec_mixed', 'lr_pretrain15_f64'),
        ('seqtr_darknet53_rec_mixed-finetune_refcocoplus-unc', 'lr_finetune5_f64'),
    ],
)
def test_learning_rate_of_every_epoch(name, golden, golden_dir):
    config = load(name)
    expected = np.load(golden_dir / 'seqtr/I_facts_seqtr.npz')[golden]
    assert config.train_cfg.max_epochs == len(expected)
    wrapper = build_optim_wrapper(nn.Linear(2, 2), config.optim_wrapper.copy())
    schedulers = [
        PARAM_SCHEDULERS.build(item.copy(), default_args=dict(optimizer=wrapper, epoch_length=7))
        for item in config.param_scheduler
    ]
    rates = []
    for _ in expected:
        rates.append(wrapper.get_lr()['lr'][0])
        wrapper.step()
        for scheduler in schedulers:
            scheduler.step()
    np.testing.assert_allclose(rates, expected, rtol=1e-9)


def test_optimizer_follows_the_original(golden_dir):
    """Six steps of Adam behind the clipping."""
    golden = np.load(golden_dir / 'seqtr/I_facts_seqtr.npz')
    parameter = nn.Parameter(torch.from_numpy(golden['adam_traj'][0].copy()))
    model = nn.Module()
    model.register_parameter('w', parameter)
    wrapper = build_optim_wrapper(model, load(stage('m100')).optim_wrapper.copy())
    for gradient, expected in zip(golden['adam_grads'], golden['adam_traj'][1:], strict=True):
        wrapper.update_params((parameter * torch.from_numpy(gradient)).sum())
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=0, atol=1e-6)


def test_average_follows_the_original(golden_dir):
    """Started on the initial weights, mmengine's average is the original's, parameters and buffers.

    In a run it starts on the weights behind the first step.
    """
    golden = np.load(golden_dir / 'seqtr/I_facts_partial.npz')
    names = [key.removeprefix('ema_init/') for key in golden if key.startswith('ema_init/')]
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    assert set(names) == set(model.state_dict())

    def fill(row: int | None) -> None:
        values = {name: golden[f'ema_init/{name}' if row is None else f'ema_values/{name}'] for name in names}
        model.load_state_dict(
            {name: torch.from_numpy(np.array(v if row is None else v[row])) for name, v in values.items()}
        )

    hook = HOOKS.build(load(stage('m100')).custom_hooks[0].copy())
    fill(None)
    average = MODELS.build(hook.ema_cfg, default_args=dict(model=model))
    average.update_parameters(model)
    steps = len(golden[f'ema_values/{names[0]}'])
    assert steps == 12
    for step in range(steps):
        fill(step)
        average.update_parameters(model)
        for name, value in average.module.state_dict().items():
            if value.is_floating_point():
                expected = golden[f'ema_shadow/{name}'][step]
                np.testing.assert_allclose(value.numpy(), expected, rtol=0, atol=2e-6, err_msg=name)
    # In the long run it keeps 0.999.
    average.steps.fill_(20000)
    before = average.module.state_dict()['0.bias'].clone()
    average.update_parameters(model)
    expected = 0.999 * before + 0.001 * model[0].bias.detach()
    torch.testing.assert_close(average.module.state_dict()['0.bias'], expected, rtol=0, atol=1e-6)
