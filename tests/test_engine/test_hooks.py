"""Hooks: links, checks of checkpoints, seeds, the progress bar and images."""

import io
import logging
import os
import random
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from image_bombs import png_that_claims
from mmdet.structures import DetDataSample
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop
from mmengine.structures import InstanceData
from PIL import Image
from torch import nn

from mmrefseg.engine.hooks import FiniteLossHook, RefVisualizationHook, RichProgressHook
from mmrefseg.engine.hooks.checkpoint_hooks import (
    CheckpointCheckHook,
    CheckpointLinkHook,
    NameCheckpointHook,
    compare_state_dicts,
    link_file,
)
from mmrefseg.engine.hooks.epoch_hooks import seed_everything
from mmrefseg.utils import UserInputError, file_sha256
from mmrefseg.visualization.local_visualizer import RefVisualizer


class Log:
    """A logger that keeps what it is told."""

    def __init__(self):
        self.lines, self.handlers = [], []

    def info(self, text, extra=None):
        self.lines.append(text)


def make_runner(folder, **more):
    info = SimpleNamespace(runtime_info={}, log_scalars={})
    fields = dict(work_dir=str(folder), rank=0, message_hub=info, logger=Log(), hooks=[], _resume=False)
    fields |= dict(_load_from='some.pth', _train_loop=object(), cfg={})
    return SimpleNamespace(**(fields | more))


@pytest.mark.parametrize('missing', [(), ('link',), ('link', 'symlink')])
def test_link_file_follows_and_survives(tmp_path, monkeypatch, missing):
    """A name that follows its target, by hard link, else by symbolic link, else by copy."""

    def refuse(*_, **__):
        raise OSError('not on this file system')

    for function in missing:
        monkeypatch.setattr(os, function, refuse)
    first, second, name = tmp_path / 'epoch_1.pth', tmp_path / 'epoch_2.pth', tmp_path / 'best.pth'
    first.write_text('one')
    second.write_text('two, longer')
    assert link_file(first, name) and name.read_text() == 'one'
    assert not link_file(first, name), 'nothing to do'
    assert link_file(second, name) and name.read_text() == 'two, longer'
    assert name.is_symlink() == (missing == ('link',))
    if missing != ('link',):
        second.unlink()
        assert name.read_text() == 'two, longer', 'removing the target must not take the weights away'
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith('.')) == []


def test_best_is_last_without_validation(tmp_path):
    runner = make_runner(tmp_path)
    (tmp_path / 'epoch_1.pth').write_text('weights')
    runner.message_hub.runtime_info['last_ckpt'] = str(tmp_path / 'epoch_1.pth')
    hook = CheckpointLinkHook()
    hook.after_train_epoch(runner)
    assert (tmp_path / 'latest.pth').read_text() == 'weights' and not (tmp_path / 'best.pth').exists()
    hook.after_train(runner)
    assert (tmp_path / 'best.pth').read_text() == 'weights'
    assert any('No validation' in line for line in runner.logger.lines)


def test_other_ranks_link_nothing(tmp_path):
    runner = make_runner(tmp_path, rank=1)
    (tmp_path / 'epoch_1.pth').write_text('weights')
    runner.message_hub.runtime_info['last_ckpt'] = str(tmp_path / 'epoch_1.pth')
    CheckpointLinkHook().after_train(runner)
    assert [path.name for path in tmp_path.iterdir()] == ['epoch_1.pth']


def test_compare_state_dicts_counts():
    model = {
        'a': torch.zeros(2),
        'b': torch.zeros(3),
        'c': torch.zeros(1),
        'bn.num_batches_tracked': torch.zeros(()),
    }
    checkpoint = {'module.a': torch.zeros(2), 'module.b': torch.zeros(4), 'module.d': torch.zeros(1)}
    report = compare_state_dicts(model, checkpoint)
    assert (report.fitting, report.missing, report.unexpected) == (('a',), ('c',), ('d',))
    assert report.mismatched == ('b: (4,) -> (3,)',)
    assert report.model_share == pytest.approx(1 / 3) == report.checkpoint_share
    assert str(report).startswith('1 of the 3 tensors of the model are among the 3 of the checkpoint')


def network(head):
    return nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, head))


def test_comprehension_to_segmentation_is_fine_and_logged(tmp_path):
    runner = make_runner(tmp_path, model=network(head=7))
    CheckpointCheckHook().after_load_checkpoint(runner, {'state_dict': network(head=5).state_dict()})
    assert 'mismatched: 2.weight: (5, 4) -> (7, 4), 2.bias: (5,) -> (7,)' in runner.logger.lines[0]


def test_backbone_alone_is_fine_to_start_from(tmp_path):
    runner = make_runner(tmp_path, model=network(head=7))
    CheckpointCheckHook().after_load_checkpoint(runner, {'0.weight': torch.zeros(4, 4)})
    assert '1 of the 6 tensors' in runner.logger.lines[0]


@pytest.mark.parametrize(
    ('state', 'training', 'words'),
    [
        ({'x.weight': torch.zeros(1)}, True, '0 of the 6 tensors'),
        ({}, True, '0 of the 6 tensors'),
        (network(head=5).state_dict(), False, '4 of the 6 tensors'),
    ],
)
def test_another_models_checkpoint_is_refused(tmp_path, state, training, words):
    loop = object() if training else {'type': 'EpochBasedTrainLoop'}
    runner = make_runner(tmp_path, model=network(head=7), _train_loop=loop)
    with pytest.raises(UserInputError, match=f'some.pth: {words}'):
        CheckpointCheckHook().after_load_checkpoint(runner, {'state_dict': state})


def test_resuming_needs_the_optimizer(tmp_path):
    model = network(head=7)
    runner = make_runner(tmp_path, model=model, _resume=True)
    with pytest.raises(UserInputError, match='without the state of the optimizer'):
        CheckpointCheckHook().after_load_checkpoint(runner, {'state_dict': model.state_dict()})
    runner.optim_wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    CheckpointCheckHook().after_load_checkpoint(runner, training_state(model, runner.optim_wrapper))


def training_state(model, wrapper):
    """What CheckpointHook writes after an epoch of three steps."""
    hub = {'log_scalars': {}, 'runtime_info': {}, 'resumed_keys': {}}
    return {
        'state_dict': model.state_dict(),
        'optimizer': wrapper.state_dict(),
        'meta': {'epoch': 1, 'iter': 3, 'seed': 5},
        'message_hub': hub,
        'param_schedulers': [{'last_step': 3}],
    }


def adam(model, steps=1, **settings):
    """An optimizer that has taken steps."""
    wrapper = OptimWrapper(torch.optim.Adam(model.parameters(), lr=0.1, **settings))
    for _ in range(steps):
        wrapper.update_params(sum(parameter.sum() for parameter in model.parameters()))
    return wrapper


@pytest.mark.parametrize(
    ('change', 'found'),
    [
        (lambda state: state.update(optimizer='x'), 'an optimizer that is a str'),
        (lambda state: state.update(optimizer={}), 'an optimizer without param_groups and state'),
        (lambda state: state['optimizer'].update(state=None), 'an optimizer without param_groups and state'),
        (lambda state: state['optimizer'].update(param_groups=[5]), 'an optimizer whose param_groups name'),
        (
            lambda state: state['optimizer'].update(param_groups=[]),
            '0 parameters in 0 groups, this config has 6',
        ),
        (lambda state: state['optimizer']['state'].update({0: 'x'}), 'whose state of parameter 0 is a str'),
        (
            lambda state: state['optimizer']['state'][2].update(exp_avg=torch.zeros(1)),
            'an optimizer whose exp_avg of parameter 2 has another shape',
        ),
        (
            lambda state: state.update(
                optimizer=torch.optim.SGD(network(head=7).parameters(), lr=1, momentum=0.9).state_dict()
            ),
            r'another optimizer than the Adam of this config \(betas\)',
        ),
        (lambda state: state.update(meta={}), r"meta\['epoch'\] = None, which is no number of epochs"),
        (
            lambda state: state['meta'].update(epoch='x'),
            r"meta\['epoch'\] = 'x', which is no number of epochs",
        ),
        (lambda state: state['meta'].update(iter=-1), r"meta\['iter'\] = -1, which is no number of iters"),
        (lambda state: state['meta'].update(epoch=True), r"meta\['epoch'\] = True"),
        (lambda state: state['meta'].update(seed='x'), r"meta\['seed'\] = 'x', which is no number"),
        (lambda state: state.update(param_schedulers=5), 'param_schedulers that are no list of states'),
        (lambda state: state.update(param_schedulers=[5]), 'param_schedulers that are no list of states'),
        (lambda state: state['param_schedulers'][0].update(last_step='x'), 'last_step is no number'),
        (lambda state: state.pop('message_hub'), 'no log of the run'),
        (lambda state: state.update(message_hub={'log_scalars': 5}), 'no log of the run'),
    ],
)
def test_resuming_needs_a_state_that_fits(tmp_path, change, found):
    model = network(head=7)
    runner = make_runner(tmp_path, model=model, _resume=True, optim_wrapper=adam(model))
    state = training_state(model, adam(model))
    CheckpointCheckHook().after_load_checkpoint(runner, state)
    change(state)
    with pytest.raises(UserInputError, match=f'some.pth: found .*{found}'):
        CheckpointCheckHook().after_load_checkpoint(runner, state)


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize(
    ('value', 'key', 'refused'),
    [
        (float('nan'), '1.weight', True),
        (float('inf'), '1.weight', True),
        (float('nan'), '1.mean', True),
        (float('-inf'), '1.mean', False),
        (1.0, '1.weight', False),
    ],
)
def test_weights_that_are_no_numbers_are_refused(tmp_path, training, value, key, refused):
    """A buffer may be infinite on purpose, as masks of an attention are."""
    model = network(head=7)
    model[1].register_buffer('mean', torch.zeros(3))
    loop = object() if training else {'type': 'EpochBasedTrainLoop'}
    runner = make_runner(tmp_path, model=model, _train_loop=loop)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state[key].view(-1)[2] = value
    if not refused:
        CheckpointCheckHook().after_load_checkpoint(runner, {'state_dict': state})
        return
    found = rf'some.pth: found NaN or infinite weights in 1 of 7 tensors \(the first is {key}\)'
    for prefix in ('', 'module.'):
        named = {f'{prefix}{name}': tensor for name, tensor in state.items()}
        with pytest.raises(UserInputError, match=found):
            CheckpointCheckHook().after_load_checkpoint(runner, {'state_dict': named})


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_a_loss_that_is_no_number_ends_the_training(tmp_path, value):
    wrapper = adam(network(head=7))
    runner = make_runner(tmp_path, epoch=1, iter=6, optim_wrapper=wrapper)
    FiniteLossHook().after_train_iter(runner, 0, outputs={'loss': torch.tensor(1.0), 'grad_norm': value})
    losses = {'loss': torch.tensor(value), 'loss_box': torch.tensor(1.0), 'loss_mask': torch.tensor(value)}
    sentence = f'^epoch 2, step 7: found loss_mask = {value}, expected a finite number; lower .*up to 0.1'
    with pytest.raises(UserInputError, match=sentence):
        FiniteLossHook().after_train_iter(runner, 0, outputs=losses)


def test_seed_everything_depends_on_every_number():
    def draw(*entropy):
        seed_everything(*entropy)
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    draws = [draw(0, 1, 0), draw(0, 2, 0), draw(1, 1, 0), draw(0, 1, 1)]
    assert draw(0, 1, 0) == draws[0]
    for column in zip(*draws, strict=True):
        assert len(set(column)) == 4


def test_progress_bar_counts_and_ends(tmp_path, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, 'stderr', stream)
    scalars = {'train/loss': 1}
    hub = SimpleNamespace(log_scalars=scalars, get_scalar=lambda _: SimpleNamespace(current=lambda: 0.25))
    runner = make_runner(
        tmp_path, message_hub=hub, max_iters=8, iter=4, epoch=1, max_epochs=2, logger=logging.Logger('x')
    )
    runner.val_dataloader = range(3)
    hook = RichProgressHook(enabled=True, interval=0.0)
    hook.before_train(runner)
    hook.after_train_iter(runner, 0)
    hook.before_val(runner)
    hook.after_val_iter(runner, 0)
    hook.after_val(runner)
    hook.after_train(runner)
    text = stream.getvalue()
    assert 'epoch 2/2 loss 0.25' in text and '5/8' in text
    assert hook._bar is None, 'the terminal is given back'


@pytest.mark.parametrize(('enabled', 'rank'), [(None, 0), (False, 0), (True, 1)])
def test_no_progress_bar(tmp_path, enabled, rank, capsys):
    runner = make_runner(tmp_path, rank=rank, max_iters=8, iter=0, epoch=0, max_epochs=2)
    hook = RichProgressHook(enabled=enabled)
    hook.before_train(runner)
    hook.after_train_iter(runner, 0)
    hook.after_train(runner)
    assert capsys.readouterr().err == ''


def sample_of(path, sent=4, **metainfo):
    """The prediction for a sentence about an image."""
    sample = DetDataSample(metainfo=dict(img_path=str(path), expressions=['a cat'], **metainfo))
    sample.set_metainfo(dict(ref_ids=[3], sent_ids=[sent]))
    sample.pred_instances = InstanceData(bboxes=torch.tensor([[1.0, 2, 9, 8]]), scores=torch.tensor([0.5]))
    return sample


def test_images_are_named_by_their_pair(tmp_path):
    RefVisualizer.get_instance('test_images')
    cv2.imwrite(str(tmp_path / 'cat.png'), np.full((20, 30, 3), 128, np.uint8))
    samples = [sample_of(tmp_path / 'cat.png', sent) for sent in (4, 5, 6)]
    runner = make_runner(tmp_path / 'work', timestamp='now')
    hook = RefVisualizationHook(draw=True, test_out_dir='shown', max_images=2)
    hook.before_test(runner)
    hook.after_test_iter(runner, 0, outputs=samples)
    names = sorted(path.name for path in (tmp_path / 'work/now/shown').iterdir())
    assert names == ['cat_ref3_sent4.png', 'cat_ref3_sent5.png']


def test_drawn_images_are_read_as_the_data_sets_read_them(tmp_path):
    """In the frame that the predictions are in; a bomb is refused before it is decoded."""
    drawn = []
    RefVisualizer.get_instance('test_reading').add_datasample = lambda name, image, **_: drawn.append(image)
    stored = np.zeros((20, 30, 3), np.uint8)
    stored[:, :10] = (200, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save(tmp_path / 'turned.png', exif=exif)
    hook = RefVisualizationHook(draw=True)
    hook._visualizer = RefVisualizer.get_instance('test_reading')
    runner = make_runner(tmp_path, iter=0)
    for shape in ((20, 30), (30, 20)):
        hook.after_test_iter(runner, 0, outputs=[sample_of(tmp_path / 'turned.png', ori_shape=shape)])
    np.testing.assert_array_equal(drawn[0], stored)
    np.testing.assert_array_equal(drawn[1], np.rot90(stored, -1))
    (tmp_path / 'turned.png').write_bytes(png_that_claims(65000, 65000))
    with pytest.raises(UserInputError, match=r'turned\.png.*claims 65000 x 65000 pixels'):
        hook.after_val_iter(runner, 0, outputs=[sample_of(tmp_path / 'turned.png')])


@pytest.mark.parametrize('found', [2, 0])
def test_small_panels_of_objects_without_expressions(found):
    """Of instance segmentation: what was found with a score that is high enough, or just the image."""
    sample = DetDataSample(metainfo=dict(ori_shape=(40, 60)))
    masks = torch.zeros(3, 40, 60, dtype=torch.bool)
    masks[:, 10:30, 20:50] = True
    scores, boxes = torch.tensor([0.9, 0.8, 0.1]), torch.tensor([[20.0, 10, 50, 30]] * 3)
    sample.pred_instances = InstanceData(
        bboxes=boxes, masks=masks, scores=scores * (found > 0), labels=torch.tensor([0, 7, 0])
    )
    visualizer = RefVisualizer.get_instance(f'small_{found}')
    visualizer.dataset_meta = dict(classes=('cat',))
    image = np.full((40, 60, 3), 128, np.uint8)
    drawn = visualizer.small_panel(image, sample, 300, 0.3)
    assert drawn.shape == (200, 300, 3) and (np.abs(drawn.astype(int) - 128).max() > 20) == (found > 0)


class Asker:
    """A metric that wants to know what was loaded."""

    def __init__(self, begun=False):
        self.begun, self.told = begun, []

    def begin(self, checkpoint, sha256):
        self.told.append((checkpoint, sha256))


@pytest.mark.parametrize(
    ('load_from', 'steps', 'expected'),
    [
        ('{folder}/a.pth', 0, ('{folder}/a.pth', True)),
        ('{folder}/a.pth', 3, (None, False)),  # trained in this process
        ('https://there/a.pth', 0, ('https://there/a.pth', False)),
        (None, 0, (None, False)),
    ],
)
def test_metrics_hear_what_was_loaded(tmp_path, load_from, steps, expected):
    (tmp_path / 'a.pth').write_bytes(b'weights')
    load_from, name = (text and text.format(folder=tmp_path) for text in (load_from, expected[0]))
    asker, others = Asker(), [Asker(begun=True), object()]
    evaluator = SimpleNamespace(metrics=[*others, asker])
    # a loop that has been built is one that has trained; before, the runner holds its config
    loop = object.__new__(EpochBasedTrainLoop) if steps else {}
    NameCheckpointHook().before_test(
        make_runner(tmp_path, _load_from=load_from, iter=steps, _train_loop=loop, test_evaluator=evaluator)
    )
    assert asker.told == [(name, file_sha256(tmp_path / 'a.pth') if expected[1] else None)]
    assert others[0].told == []
