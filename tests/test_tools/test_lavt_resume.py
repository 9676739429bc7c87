"""LAVT through tools/train.py: a run that was interrupted has the loss curve of one that was not."""

import json
from pathlib import Path

import pytest

from .test_train_test import assert_same_weights, weights

CONFIG = str(Path(__file__).with_name('lavt_config.py'))
STEPS = 12  # three epochs of four


def curve(folder) -> dict[int, dict[str, float]]:
    """Losses and learning rate of every step, from all runs of a work directory; a later run counts."""
    steps: dict[int, dict[str, float]] = {}
    for path in sorted(folder.glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            if 'loss' in record:
                kept = ('loss', 'loss_mask', 'base_lr', 'lr', 'epoch')
                steps[record['step']] = {key: record[key] for key in kept if key in record}
    return steps


@pytest.fixture(scope='module')
def uninterrupted(tools):
    """The work directory of a whole run."""
    tools.succeed('train.py', CONFIG, '--work-dir', 'lavt_whole')
    return tools.folder / 'lavt_whole'


def test_the_curve_is_worth_comparing(tools, uninterrupted):
    """Twelve different losses; another seed gives others."""
    losses = [record['loss'] for record in curve(uninterrupted).values()]
    assert sorted(curve(uninterrupted)) == list(range(1, STEPS + 1))
    assert len(set(losses)) == STEPS
    tools.succeed(
        'train.py',
        CONFIG,
        '--work-dir',
        'lavt_other',
        '--seed',
        '7',
        '--cfg-options',
        'train_cfg.max_epochs=1',
    )
    others = [record['loss'] for record in curve(tools.folder / 'lavt_other').values()]
    assert len(others) == 4 and not set(others) & set(losses)


@pytest.mark.parametrize(
    ('die_at', 'epoch'), [(7, 1), (9, 2)], ids=['amid an epoch', 'at the boundary of two epochs']
)
def test_resumed_is_uninterrupted(tools, uninterrupted, die_at, epoch):
    """Losses and rates of every step, weights, moving average and optimizer: equal, not close."""
    name = f'lavt_resumed_{die_at}'
    killed = tools.run('train.py', CONFIG, '--work-dir', name, DIE_AT=str(die_at))
    assert killed.returncode == 137
    folder = tools.folder / name
    before = curve(folder)
    assert max(before) == die_at - 1
    done = tools.succeed('train.py', CONFIG, '--work-dir', name, '--resume')
    assert f'resumed epoch: {epoch}, iter: {4 * epoch}' in done.stdout
    assert curve(folder) == curve(uninterrupted)
    (state, optimizer), (expected, expected_optimizer) = (
        weights(path / 'epoch_3.pth') for path in (folder, uninterrupted)
    )
    assert_same_weights(state, expected)
    assert optimizer['param_groups'] == expected_optimizer['param_groups']
    for key, slots in expected_optimizer['state'].items():
        for slot, value in slots.items():
            assert (value == optimizer['state'][key][slot]).all(), (key, slot)
