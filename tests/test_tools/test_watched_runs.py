"""What a run says on the terminal and keeps to be looked at, and the page of `mmrefseg report`."""

import json
import logging
import re
import shutil
import time
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from mmrefseg.analysis.run_log import describe_state, progress, read_run
from mmrefseg.analysis.run_page import plots, render_run
from mmrefseg.runs.loggers import LOGGERS, PACKAGES, add_loggers, check_packages, logger_names
from mmrefseg.runs.terminal import ShortFilter, short_line
from mmrefseg.utils import UserInputError
from mmrefseg.utils.sizes import folder_size, size_text

SHORT = {'MMREFSEG_FULL_LOG': ''}


@pytest.fixture(scope='module')
def watched(tools):
    """A training as a user sees it, cut off in its second epoch and resumed."""
    command = ('train.py', tools.config, '--work-dir', 'watched')
    killed = tools.run(*command, **SHORT, TOY_DIE_AT='6')
    assert killed.returncode == 137
    folder = tools.folder / 'watched'
    shutil.copytree(folder, tools.folder / 'killed', copy_function=shutil.copy2)
    done = tools.succeed(*command, '--resume', **SHORT)
    return SimpleNamespace(folder=folder, killed=tools.folder / 'killed', said=done.stdout.splitlines())


def test_a_training_says_a_line_an_interval(tools, watched):
    """Where the log is, what was resumed, two epochs with a validation each, what is on the disk; no more."""
    said = [line.split(' ', 1)[1] for line in watched.said if 'env variable' not in line]
    kinds = [re.match(r'log: |checkpoint |resumed |Epoch\(\w+\)|training finished', line)[0] for line in said]
    assert kinds == [
        'log: ', 'checkpoint ', 'resumed ', *(['Epoch(train)', 'Epoch(val)'] * 2), 'training finished',
    ]  # fmt: skip
    assert max(map(len, said)) < 190 and 'data_time' not in ''.join(said)
    log = (tools.folder / said[0].removeprefix('log: ')).read_text()
    for part in ('System environment', 'Config:', 'Hooks will be executed', 'data_time', '; command: '):
        assert part in log
    used, line = folder_size(watched.folder), len(f'{watched.said[-1]}\n')
    # what was counted is what there was before the sentence itself went into the log
    texts = {size_text(size) for size in range(used - 2 * line, used + 1)}
    assert re.search(r'uses (.+?): latest\.pth = epoch_3\.pth \(', said[-1])[1] in texts
    assert 'best.pth = best_res_miou_epoch_' in said[-1]


def test_a_test_says_its_table(tools, watched):
    arguments = ('test.py', tools.config, watched.folder / 'best.pth', '--work-dir', 'short_test')
    said = [line for line in tools.succeed(*arguments, **SHORT).stdout.splitlines() if 'env var' not in line]
    assert 'log: ' in said[0] and 'checkpoint ' in said[1] and 'Epoch(test) [4/4]' in said[2]
    assert said[3].startswith('RESMetric, protocol sentence')
    assert read_run(tools.folder / 'short_test').last.tested['res/miou'] > 0


def test_frozen_parameters_are_not_listed_on_the_terminal():
    """mmengine warns of each; the file has them."""
    said = 'backbone.{}.weight is skipped since its requires_grad=False'
    records = [logging.makeLogRecord(dict(msg=text, levelno=logging.WARNING)) for text in (said, 'look out')]
    assert [ShortFilter().filter(record) for record in records] == [False, True]


def test_short_lines():
    line = 'Epoch(train)  [2][ 50/100]  base_lr: 1.0e-04 lr: 2.0e-04  eta: 1 day, 0:01:02  time: 0.1'
    assert (
        short_line(f'{line}  loss: 1.5  loss_a: 1')
        == 'Epoch(train) [2][ 50/100]  lr: 2.0e-04  eta: 1 day, 0:01:02  loss: 1.5'
    )
    assert short_line('Iter(val) [3/3]    res/miou: 1.0  time: 2') == 'Iter(val) [3/3]  res/miou: 1.0'
    assert short_line('saved to a.pth') == 'saved to a.pth'


def test_missing_data_is_said_before_the_log(tools):
    arguments = (tools.config, '--work-dir', 'no_data', '--cfg-options', 'data_root=nowhere/')
    sentence = tools.fail('train.py', *arguments)
    assert 'nowhere/instances.json: found no such file, expected a json file' in sentence
    assert not (tools.folder / 'no_data').exists()


def test_four_small_images_at_each_validation(watched):
    run = read_run(watched.folder)
    assert sorted(run.pictures) == [0, 1, 2, 3]
    assert all(sorted(found) == [4, 8, 12] for found in run.pictures.values())
    sizes = [path.stat().st_size for found in run.pictures.values() for path in found.values()]
    assert max(sizes) < 30_000


def test_sessions_are_joined(watched):
    """The resumed run has each step once; the killed one says what it knows."""
    run = read_run(watched.folder)
    assert [row['step'] for row in run.val] == [4, 8, 12]
    assert [row['step'] for row in run.train] == [4, 8, 12] and run.starts == [5]
    assert describe_state(run)[0] == 'finished' and progress(run) == 'epoch 3 of 3'

    killed = read_run(watched.killed)
    assert progress(killed) == 'epoch 1 of 3'
    assert describe_state(killed)[0] == 'running', 'it has just written'
    state, sentence = describe_state(killed, time.time() + 7200)
    assert state == 'stopped' and 'ended without a word' in sentence and '2 hours ago' in sentence


def test_a_training_that_fails_says_why(tools):
    """The page has the sentence that the terminal had; with --full-log the terminal has all."""
    rate = ('--cfg-options', 'optim_wrapper.optimizer.lr=3e37', '--full-log')
    done = tools.run('train.py', tools.config, '--work-dir', 'nan_watched', *rate, **SHORT)
    assert done.returncode == 2 and 'Config:' in done.stdout
    run = read_run(tools.folder / 'nan_watched')
    state, sentence = describe_state(run)
    assert state == 'failed' and re.search('step 2: found loss_mask = (nan|inf), expected a finite', sentence)
    assert 'class="state failed"' in render_run(run)


def test_half_a_line_and_strange_values(watched, tmp_path):
    """What a killed run or a stranger has left in the files is passed over, and written as text."""
    folder = tmp_path / 'run'
    shutil.copytree(watched.folder, folder)
    last = sorted(folder.glob('2*'))[-1]
    with open(last / 'vis_data/scalars.json', 'a') as file:
        rows = ({'loss': float('nan'), 'lr': 'x', 'step': 13}, [1], {'<b>x</b>': 3.0, 'step': 4})
        file.write(''.join(json.dumps(row) + '\n' for row in rows) + '{"lr": 0.0')
    with open(last / f'{last.name}.log', 'ab') as file:
        file.write(b'2026/01/01 00:00:00 - mmengine - WARNING - <script>alert(1)</script> \xff\xfe\n')
    (last / 'val_images/iter_00000012_0.jpg').write_text('<svg onload=alert(1)>')
    page = render_run(read_run(folder))
    assert '<script>alert' not in page and '&lt;script&gt;alert' in page and 'onload=alert' not in page
    assert '<b>x</b>' not in page


def test_the_page_in_a_browser(watched, browser, call_report, tmp_path):
    """It needs nothing from outside, shows all of its images, and fits into a narrow window."""
    page = tmp_path / 'page.html'
    said = call_report(watched.folder, '--out', page)
    assert said.startswith('epoch 3 of 3; finished') and str(page) in said
    text = page.read_text()
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', text) and '@import' not in text
    for part in (
        'res/oiou',
        'latest.pth = epoch_3.pth',
        'validation images',
        'ToyRefModel',
        'PyTorch',
    ):
        assert part in text
    images = len(plots(read_run(watched.folder))) + 4 * 3
    with browser.open(page) as tab:
        tab.look(380, 800)
        assert (
            tab.evaluate('[...document.images].filter(i => i.complete && i.naturalWidth > 0).length')
            == images
        )
        assert tab.evaluate('document.documentElement.scrollWidth') <= 380
        assert not tab.log
        ink = tab.evaluate('getComputedStyle(document.body).color')
        assert sum(map(int, re.findall(r'\d+', ink))) < 3 * 60, 'dark text'


@pytest.fixture
def call_report(capsys, monkeypatch):
    """``mmrefseg report WORDS`` in this process; returns what it prints."""
    from mmrefseg.cli import main as command

    def run(*words):
        monkeypatch.setattr('sys.argv', ['mmrefseg', 'report', *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            command.main()
        done = capsys.readouterr()
        return done.out if not stop.value.code else done.err

    return run


def test_a_page_replaces_its_own_earlier_one_alone(watched, call_report, tmp_path):
    """The same run's, which has moved and gone on since; not another's, and not what is no page."""
    run, page = tmp_path / 'moved', tmp_path / 'page.html'
    shutil.copytree(watched.folder, run)
    for words in ((run,), (run, '--out', page)):
        assert call_report(*words).startswith('epoch 3')
        assert call_report(*words).startswith('epoch 3'), 'its own'
    first = min(run.glob('2*'))
    (first / f'{first.name}.log').rename(first / '20010101_000000.log')
    first.rename(run / '20010101_000000')  # another run, as far as its page can tell
    for content in (page.read_text(), 'mine'):
        page.write_text(content)
        said = call_report(run, '--out', page)
        assert f'--out {page}: found a file that is there, {page}, expected none; name another' in said
        assert page.read_text() == content
    assert call_report(run, '--out', page, '--overwrite').startswith('epoch 3')
    assert 'of the run of 20010101_000000' in page.read_text()


def test_folders_that_are_no_run(watched, call_report, tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'file').write_text('')
    stamp = next(watched.folder.glob('2*'))
    (tmp_path / 'several').mkdir()
    (tmp_path / 'several' / 'watched').symlink_to(watched.folder)  # beside it, other tests' runs
    for path, words in (
        (tmp_path / 'none', ('no such folder', 'work directory of a training')),
        (tmp_path / 'file', ('found a file',)),
        (tmp_path / 'empty', ('a folder without logs', '--work-dir')),
        (stamp, (f'name {watched.folder}',)),
        (tmp_path / 'several', ('name one of the runs in it:', 'watched')),
    ):
        said = call_report(path)
        assert said.startswith(f'error: {path}') and said.count('\n') == 1
        assert all(word in said for word in words), said
    assert 'report.html' not in ''.join(p.name for p in tmp_path.rglob('*'))


def test_loggers(monkeypatch):
    """Where the package is missing, a sentence; where it is there, its backend beside the local one."""
    monkeypatch.setitem(PACKAGES, 'TensorboardVisBackend', 'no_such_package')
    with pytest.raises(UserInputError, match=r'--log-to: found no no_such_package installed.*pip install'):
        logger_names('tensorboard')
    with pytest.raises(UserInputError, match='visualizer: found no no_such_package'):
        check_packages(['LocalVisBackend', 'TensorboardVisBackend'], 'visualizer')
    with pytest.raises(UserInputError, match=r"'tensorbord' \(did you mean tensorboard\?\)"):
        logger_names('tensorbord')
    for name, package in zip(LOGGERS.values(), ('json', 'csv', 'email'), strict=True):
        monkeypatch.setitem(PACKAGES, name, package)
    config = Config(dict(visualizer=dict(type='RefVisualizer', vis_backends=[dict(type='LocalVisBackend')])))
    for _ in range(2):  # not twice
        add_loggers(config, logger_names('tensorboard,wandb,mlflow'), 'mine')
    local, board, wandb, mlflow = config.visualizer.vis_backends
    assert (local.type, board.type) == ('LocalVisBackend', 'TensorboardVisBackend')
    assert wandb.init_kwargs.name == mlflow.run_name == 'mine'


def test_a_logger_that_is_in_the_config_is_not_added_again():
    config = Config(dict(visualizer=dict(type='RefVisualizer', vis_backends=[dict(type='WandbVisBackend')])))
    add_loggers(config, ['wandb', 'mlflow'], 'mine')
    assert [backend.type for backend in config.visualizer.vis_backends] == [
        'WandbVisBackend', 'RefMLflowVisBackend',
    ]  # fmt: skip
