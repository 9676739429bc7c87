"""Errors of the host packages as one sentence."""

import errno
import io
import logging
import os
import subprocess
import sys

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.runner import Runner

from mmrefseg.runs.config import load_config, newest_checkpoint, set_seed
from mmrefseg.runs.testing import short_names
from mmrefseg.runs.tool_errors import CLAIM, one_sentence, tool
from mmrefseg.utils import UserInputError
from mmrefseg.utils.errors import did_you_mean


class BadRecords(torch.utils.data.Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise UserInputError.of('cats.json', 'a dog', 'cats', 'look again')


def test_error_of_a_worker_is_unwrapped():
    loader = torch.utils.data.DataLoader(BadRecords(), num_workers=1)
    with pytest.raises(UserInputError) as error, one_sentence():
        next(iter(loader))
    assert str(error.value) == 'cats.json: found a dog, expected cats; look again'


@pytest.mark.parametrize(
    ('config', 'words'),
    [
        (
            dict(type='DetDataPreprocesor'),
            ("type='DetDataPreprocesor'", 'did you mean', 'DetDataPreprocessor'),
        ),
        (
            dict(type='DetDataPreprocessor', pad_size_divisr=2),
            ('pad_size_divisr', 'did you mean pad_size_divisor'),
        ),
        (dict(type='DETR'), ('missing', 'backbone')),
        (dict(), ('must contain the key "type"',)),
    ],
)
def test_errors_of_building(config, words):
    with pytest.raises(UserInputError) as error, one_sentence('my.py'):
        MODELS.build(config)
    assert str(error.value).startswith('my.py: ') and '\n' not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_error_of_the_runner(tmp_path):
    with pytest.raises(UserInputError, match=r'my\.py: .*train_cfg'), one_sentence('my.py'):
        Runner(model=torch.nn.Linear(1, 1), work_dir=str(tmp_path), train_cfg=dict(max_epochs=1))


def test_full_disk():
    sentence = '^/full/x: found a full disk, expected room; make room, or name another place$'
    with pytest.raises(UserInputError, match=sentence), one_sentence('my.py'):
        raise OSError(errno.ENOSPC, 'No space left on device', '/full/x')


class FullDisk(io.StringIO):
    def write(self, _):
        raise OSError(errno.ENOSPC, 'No space left on device')


def test_a_log_on_a_full_disk(tmp_path, monkeypatch, capsys):
    """One sentence, and not a traceback for each line of the log."""
    monkeypatch.setattr(logging.FileHandler, 'handleError', logging.Handler.handleError)
    logger = logging.Logger('full')
    logger.addHandler(logging.FileHandler(tmp_path / 'log'))
    logger.handlers[0].setStream(FullDisk())

    @tool
    def main():
        logger.info('a line')

    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        f'error: {tmp_path / "log"}: found a full disk, expected room; make room, or name another place\n'
    )


class Base:
    def __init__(self, length=1):
        pass


@MODELS.register_module()
class HandsOn(Base):
    def __init__(self, width=1, **kwargs):
        super().__init__(**kwargs)


def test_an_argument_that_a_base_class_does_not_know():
    MODELS.build(dict(type='HandsOn', length=2))
    sentence = r"^my\.py: HandsOn takes no argument 'lenght' \(did you mean length\?\); correct the config$"
    with pytest.raises(UserInputError, match=sentence), one_sentence('my.py'):
        MODELS.build(dict(type='HandsOn', lenght=2))


@pytest.mark.parametrize(
    'bug', [TypeError('no'), KeyError('x'), RuntimeError('y'), ValueError('z'), OSError(5, 'w')]
)
def test_bugs_keep_their_traceback(bug):
    """What is not the user's fault must not look like it."""
    with pytest.raises(type(bug)) as error, one_sentence():
        raise bug
    assert error.value is bug


def test_one_of_several_processes_speaks(tmp_path, monkeypatch, capsys):
    """The first says the sentence, the same error in others and what it causes in them stay silent."""

    class ProcessEnd(BaseException):
        pass

    def end(code):
        raise ProcessEnd(code)

    @tool
    def main(error):
        raise error

    monkeypatch.setattr('os._exit', end)
    monkeypatch.setenv(CLAIM, str(tmp_path / 'claimed'))
    with pytest.raises(RuntimeError, match='a bug'):
        main(RuntimeError('a bug'))
    for error in (
        UserInputError('wrong'),
        UserInputError('wrong'),
        RuntimeError('Connection closed by peer'),
    ):
        with pytest.raises(ProcessEnd) as stop:
            main(error)
        assert stop.value.args == (2,)
    assert capsys.readouterr().err == 'error: wrong\n'


def test_did_you_mean():
    assert did_you_mean('resmetric', ['RESMetric', 'Collect']) == ' (did you mean RESMetric?)'
    assert did_you_mean('qwerty', ['RESMetric']) == ''


def test_newest_checkpoint_is_whole(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    for epoch in (1, 2):
        torch.save({}, tmp_path / f'epoch_{epoch}.pth')
    (tmp_path / 'epoch_3.pth').write_bytes(b'PK')
    (tmp_path / 'last_checkpoint').write_text('/gone/epoch_3.pth')
    assert newest_checkpoint(tmp_path) == tmp_path / 'epoch_2.pth'
    (tmp_path / 'last_checkpoint').write_text('/gone/epoch_1.pth')
    assert newest_checkpoint(tmp_path) == tmp_path / 'epoch_1.pth', 'the note counts'


def test_config_options(tmp_path):
    path = tmp_path / 'c.py'
    union = "dict(type='ConcatDataset', datasets=[dict(type='RefSegDataset'), dict(type='CocoDataset')])"
    path.write_text(
        f"shapes = 3\ntrain_dataloader = dict(dataset=dict(type='RepeatDataset', dataset={union}))\n"
    )
    config = load_config(str(path), {'randomness.seed': 1})
    set_seed(config, 9, deterministic=True)
    assert config.randomness == {'seed': 9, 'deterministic': True}
    assert [dataset.get('seed') for dataset in config.train_dataloader.dataset.dataset.datasets] == [9, None]
    with pytest.raises(UserInputError, match='did you mean shapes'):
        load_config(str(path), {'shape': 4})
    with pytest.raises(UserInputError, match="no 'something', and nothing would read it; correct"):
        load_config(str(path), {'something.new': 5})


def test_short_names():
    assert short_names({'res/miou': 1, 'res/oiou': 2}) == {'miou': 1.0, 'oiou': 2.0}
    assert short_names({'res/acc50': 1, 'rec/acc50': 2}) == {'res/acc50': 1.0, 'rec/acc50': 2.0}


@pytest.mark.parametrize(
    ('given', 'spins'),
    [({}, '10000'), ({'GOMP_SPINCOUNT': '7'}, '7'), ({'OMP_WAIT_POLICY': 'active'}, 'None')],
)
def test_threads_of_a_tool_sleep_soon_unless_told_otherwise(given, spins):
    code = 'import os\nfrom mmrefseg.utils import cli\ncli(lambda: print(os.environ.get("GOMP_SPINCOUNT")))()'
    clean = {key: value for key, value in os.environ.items() if not key.startswith(('OMP_WAIT', 'GOMP_'))}
    done = subprocess.run([sys.executable, '-c', code], env=clean | given, capture_output=True, text=True)
    assert done.stdout == f'{spins}\n'
