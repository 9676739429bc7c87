"""Several processes: the numbers of one, the interface of mmdet's scripts, one sentence for a mistake."""

import json
import re
import shutil
import sys

import torch

from .threads_left import LINE


def test_two_processes_test_like_one(stages):
    """Five images on two processes (one is tested twice): the same metrics to the last digit."""
    tools, config = stages.tools, stages.config('m100')
    # One image at a time: others in its batch would change the last digits of an image's scores.
    # A network of a few steps finds nothing; with the box known its masks meet the truth.
    known_box = 'model.test_cfg.confine_to_box=True'
    options = ('--cfg-options', 'test_dataloader.batch_size=1', known_box, *stages.tiny)
    tools.succeed('test.py', config, stages.best('m100'), '--json', 'one.json', *options)
    done = tools.succeed('dist_test.sh', config, stages.best('m100'), '2', '--json', 'two.json', *options)
    one, two = (json.loads((tools.folder / name).read_text()) for name in ('one.json', 'two.json'))
    assert one == two and one['miou'] > 0
    assert 'GPU number: 2' in done.stdout
    assert done.stdout.count('RESMetric, protocol sentence') == 1, 'only the first process reports'


def test_two_processes_train(tools):
    """Gloo without a GPU; both processes step together, so that one checkpoint holds for both.

    The only test whose processes start as a user's do, by an interpreter each.
    """
    fresh = {'PYTHON': sys.executable, 'PYTHON_EXEC': sys.executable, 'TELL_THREADS': '1'}
    options = ('--work-dir', 'dist', '--cfg-options', 'train_cfg.max_epochs=1')
    done = tools.succeed('dist_train.sh', tools.config, '2', *options, **fresh)
    threads = [line for line in done.stderr.splitlines() if LINE in line]
    assert len(threads) == 2, done.stderr
    assert 'gloo' not in ''.join(threads), 'one that holds a tensor when Python ends takes the process down'
    assert re.search(r"dist_cfg: \{'backend': 'gloo'\}", done.stdout)
    assert 'Epoch(train) [1][2/2]' in done.stdout, 'eight objects, two processes, batches of two'
    state = torch.load(tools.folder / 'dist/latest.pth', weights_only=False)['state_dict']
    assert all(torch.isfinite(value).all() for value in state.values())
    assert not any(key.startswith('module.') for key in state)
    assert (tools.folder / 'dist/best.pth').is_file()


def test_error_in_the_second_process_only(tools, trained):
    """An image that only the second process reads."""
    folder = tools.folder / 'bad_second'
    shutil.copytree(tools.folder / 'data', folder)
    image = folder / 'images/11.png'  # val: expressions 5 and 6 of 0..6; with two processes and steps of one
    image.write_bytes(image.read_bytes()[:60])
    records = json.loads((folder / 'instances.json').read_text())
    records['val'] = records['val'][2:]
    records['val'][1]['expressions'] = records['val'][1]['expressions'][:1]
    records['val'][1]['sent_ids'] = records['val'][1]['sent_ids'][:1]
    records['val'][0]['expressions'] = records['val'][0]['expressions'][:1]
    records['val'][0]['sent_ids'] = records['val'][0]['sent_ids'][:1]
    (folder / 'instances.json').write_text(json.dumps(records))
    sentence = tools.fail(
        'dist_test.sh', tools.config, trained / 'best.pth', '2', '--work-dir', 'bad', TOY_DATA=str(folder)
    )
    assert '11.png' in sentence and 'truncated' in sentence


def test_usage(tools):
    assert 'expected CONFIG' in tools.fail('dist_train.sh', tools.config)
    assert "found 'x'" in tools.fail('dist_train.sh', tools.config, 'x')
    assert 'expected CONFIG, CHECKPOINT' in tools.fail('dist_test.sh', tools.config, '2')
    assert 'expected four' in tools.fail('slurm_train.sh', 'partition', 'job', tools.config)
    assert 'expected four' in tools.fail('slurm_test.sh', 'partition', 'job', tools.config)


def test_slurm_calls_srun(tools):
    """What reaches srun, by a stand-in of that name."""
    folder = tools.folder / 'bin'
    folder.mkdir()
    (folder / 'srun').write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (folder / 'srun').chmod(0o755)
    path = f'{folder}:{tools.environment["PATH"]}'
    done = tools.succeed('slurm_train.sh', 'gpu', 'my job', 'c.py', 'w', '--amp', PATH=path, GPUS='4')
    words = done.stdout.splitlines()
    assert words[:2] == ['-p', 'gpu'] and '--job-name=my job' in words
    assert {'--ntasks=4', '--ntasks-per-node=4', '--gres=gpu:4', '--cpus-per-task=5'} <= set(words)
    assert words[-4:] == ['c.py', '--work-dir=w', '--launcher=slurm', '--amp']
    done = tools.succeed('slurm_test.sh', 'gpu', 'job', 'c.py', 'x.pth', '--out', 'o.pkl', PATH=path)
    assert done.stdout.splitlines()[-5:] == ['c.py', 'x.pth', '--launcher=slurm', '--out', 'o.pkl']
