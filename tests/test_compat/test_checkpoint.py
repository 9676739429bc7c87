"""Checkpoints open with weights_only=True, or not at all."""

import argparse
import os
import pickle
import re
import resource
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import dump
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import Runner, load_checkpoint, save_checkpoint
from safetensors.torch import save, save_file
from torch import nn

from mmrefseg.compat import load_checkpoint_file
from mmrefseg.compat.checkpoint import NUMBERS
from mmrefseg.utils import UserInputError


@pytest.fixture
def log_history():
    history = HistoryBuffer()
    for value in (3.0, 1.0, 2.0):
        history.update(value)
    return history


class Executes:
    """Unpickled without care, it makes a file."""

    def __init__(self, path, call=os.system):
        self.path, self.call = path, call

    def __reduce__(self):
        return self.call, (f'touch {self.path}',)


def test_log_history_and_numpy_values_round_trip(tmp_path, log_history):
    arrays = {number: np.ones(2, dtype=number) for number in NUMBERS}
    scalars = {number: np.dtype(number).type(1) for number in NUMBERS}
    path = tmp_path / 'state.pth'
    torch.save({'log': log_history, 'arrays': arrays, 'scalars': scalars}, path)

    # load_checkpoint is what mmengine's runner calls; it passes no weights_only, so torch's default counts
    loaded = torch.load(path, weights_only=True)
    assert [loaded['log'].statistics(name) for name in ('min', 'max', 'mean', 'current')] == [1, 3, 2, 2]
    for number in NUMBERS:
        assert loaded['arrays'][number].dtype == number and loaded['arrays'][number].tolist() == [1, 1]
        assert type(loaded['scalars'][number]) is type(scalars[number]) and loaded['scalars'][number] == 1


@pytest.mark.parametrize('written_by', ['core', '_core'])
def test_files_of_numpy_1_and_2(tmp_path, written_by):
    path, other = tmp_path / 'here.pth', tmp_path / 'other.pth'
    torch.save({'lr': np.float64(0.5), 'steps': np.arange(3)}, path)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, 'w') as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith('data.pkl'):
                here = np.float64.__reduce__(np.float64(0))[0].__module__.encode()
                assert here in content
                content = content.replace(here, f'numpy.{written_by}.multiarray'.encode())
            target.writestr(name, content)
    loaded = load_checkpoint_file(other)
    assert loaded['lr'] == 0.5 and loaded['steps'].tolist() == [0, 1, 2]


def test_mmengine_reads_its_own_state(tmp_path, log_history):
    """What CheckpointHook writes next to the weights."""
    hub = MessageHub('test_mmengine_reads_its_own_state')
    hub.update_scalar('train/loss', np.float32(0.5))
    hub.update_info('epoch', 3)
    model = nn.Linear(2, 1)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    path = tmp_path / 'epoch_3.pth'
    state = {'state_dict': model.state_dict(), 'optimizer': optimizer.state_dict()}
    torch.save({'meta': {'epoch': 3}, 'message_hub': hub.state_dict(), **state}, path)
    other = nn.Linear(2, 1)
    loaded = load_checkpoint(other, str(path))
    assert torch.equal(other.weight, model.weight)
    hub.load_state_dict(loaded['message_hub'])
    assert hub.get_scalar('train/loss').current() == 0.5 and hub.get_info('epoch') == 3


class ToyModel(nn.Module):
    """The least that mmengine's runner trains."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def train_step(self, data, optim_wrapper):
        loss = self.layer(data).square().mean()
        optim_wrapper.update_params(loss)
        return {'loss': loss.detach()}


def toy_runner(work_dir, epochs, **options):
    return Runner(
        ToyModel(),
        str(work_dir),
        train_dataloader=torch.utils.data.DataLoader(torch.ones(4, 2), batch_size=2),
        train_cfg={'by_epoch': True, 'max_epochs': epochs},
        optim_wrapper={'optimizer': {'type': 'Adam', 'lr': 0.01}},
        param_scheduler={'type': 'LinearLR', 'start_factor': 0.1, 'end': 3},
        default_hooks={'checkpoint': {'type': 'CheckpointHook', 'interval': 1}},
        experiment_name=f'{work_dir.name}_{epochs}',
        log_level='ERROR',
        **options,
    )


def test_a_runner_resumes(tmp_path):
    toy_runner(tmp_path, 1).train()
    runner = toy_runner(tmp_path, 2, resume=True)
    runner.train()
    assert (tmp_path / 'epoch_2.pth').exists()
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 4, 'the log history of the first epoch is gone'


@pytest.mark.parametrize('legacy', [False, True])
def test_a_pickle_that_would_execute_code_is_refused(tmp_path, legacy):
    canary, path = tmp_path / 'executed', tmp_path / 'evil.pth'
    torch.save({'state_dict': {}, 'x': Executes(canary)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UserInputError, match=r'evil\.pth: .*system`?, which was not executed'):
        load_checkpoint_file(path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path)
    assert not canary.exists()


class ReachesForGlobals:
    """Uses the one name that HistoryBuffer's pickles need, getattr, for something else."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, '__init__')


def test_getattr_reaches_only_the_log_statistics(tmp_path):
    path = tmp_path / 'evil.pth'
    torch.save({'x': ReachesForGlobals()}, path)
    with pytest.raises(UserInputError, match='which was not executed'):
        load_checkpoint_file(path)


def test_namespace_only_where_named(tmp_path):
    path = tmp_path / 'lavt.pth'
    torch.save({'model': {'w': torch.ones(2)}, 'args': argparse.Namespace(lr=0.1)}, path)
    with pytest.raises(UserInputError, match=r'argparse\.Namespace`, which was not executed') as error:
        load_checkpoint_file(path)
    assert 'save its weights as docs/troubleshooting.md shows' in str(error.value)
    assert 'allow' not in str(error.value), 'which no tool has for this'
    assert load_checkpoint_file(path, allow=[argparse.Namespace])['args'].lr == 0.1
    with pytest.raises(UserInputError):  # allowed for that one call
        load_checkpoint_file(path)


def test_weights_of_a_trusted_file_are_saved_as_documented(tmp_path, repo_root):
    page = (repo_root / 'docs' / 'troubleshooting.md').read_text()
    (command,) = re.findall(r'^python -c "(.*argparse\.Namespace.*)"$', page, re.MULTILINE)
    state = {'w': torch.ones(2)}
    torch.save({'state_dict': state, 'args': argparse.Namespace(lr=0.1)}, tmp_path / 'theirs.pth')
    subprocess.run([sys.executable, '-c', command], cwd=tmp_path, check=True, timeout=120)
    assert load_checkpoint_file(tmp_path / 'weights.pth').keys() == {'state_dict'}
    assert torch.equal(load_checkpoint_file(tmp_path / 'weights.pth')['state_dict']['w'], state['w'])


def whole(path):
    torch.save({'state_dict': {'w': torch.arange(1000.0)}}, path)
    return path.read_bytes()


BROKEN = {
    'missing': (None, 'no such file'),
    'empty': (lambda path: b'', 'an empty file'),
    'truncated': (lambda path: whole(path)[:2000], 'truncated checkpoint'),
    'one byte': (lambda path: b'P', 'cannot read'),
    'text': (lambda path: b'{"json": true}\n' * 20, 'cannot read'),
    'zip of something else': (None, 'cannot read'),
    'plain pickle of a number': (lambda path: pickle.dumps(3), 'cannot read'),
    'a tensor alone': (None, 'found a Tensor'),
    'a folder': (None, 'a folder'),
}


@pytest.mark.parametrize('case', BROKEN)
def test_a_file_that_is_no_checkpoint_is_one_sentence(tmp_path, case):
    path = tmp_path / 'broken.pth'
    content, expected = BROKEN[case]
    if content is not None:
        path.write_bytes(content(path))
    elif case == 'zip of something else':
        with zipfile.ZipFile(path, 'w') as file:
            file.writestr('hello.txt', 'hello')
    elif case == 'a tensor alone':
        torch.save(torch.zeros(2), path)
    elif case == 'a folder':
        path.mkdir()
    with pytest.raises(UserInputError) as error:
        load_checkpoint_file(path)
    message = str(error.value)
    assert message.startswith(str(path)) and expected in message and '; ' in message
    assert '\n' not in message and len(message) < 400


def test_a_safetensors_file_gives_weights_and_what_is_said_of_them(tmp_path):
    path, model = tmp_path / 'w.safetensors', nn.Linear(2, 1)
    state = {'weight': torch.tensor([[1.0, 2.0]]).half(), 'bias': torch.zeros(1)}
    save_file(state, path, {'seed': '3'})
    loaded = load_checkpoint_file(path)
    assert loaded['meta'] == {'safetensors': {'seed': '3'}}
    assert torch.equal(loaded['state_dict']['weight'], state['weight'])
    load_checkpoint(model, str(path))
    assert model.weight.tolist() == [[1, 2]] and model.weight.dtype == torch.float32


def test_a_checkpoint_by_another_name_is_not_executed(tmp_path):
    canary, path = tmp_path / 'executed', tmp_path / 'evil.safetensors'
    torch.save({'state_dict': {}, 'x': Executes(canary)}, path)
    with pytest.raises(UserInputError, match='a damaged file'):
        load_checkpoint_file(path)
    assert not canary.exists()


DAMAGED = {
    'cut in its weights': lambda whole: whole[:-10],
    'cut in its header': lambda whole: whole[:30],
    'a header that is no json': lambda whole: whole[:8] + b'x' * (len(whole) - 8),
    'text': lambda whole: b'{"json": true}' * 20,
    'a header longer than any file': lambda whole: b'\xff' * 8 + whole[8:],
    'one byte': lambda whole: b'1',
}


@pytest.mark.parametrize('damage', DAMAGED)
def test_a_damaged_safetensors_file_is_one_sentence(tmp_path, damage):
    path = tmp_path / 'w.safetensors'
    path.write_bytes(DAMAGED[damage](save({'w': torch.arange(100.0)})))
    with pytest.raises(UserInputError) as error:
        load_checkpoint_file(path)
    message = str(error.value)
    assert message.startswith(f'{path}: found a damaged file (') and 'download or copy it again' in message
    assert '\n' not in message and len(message) < 400


def test_zeroed_bytes_are_found(tmp_path):
    """torch does not look at the checksums that it writes: a hole in the weights loads as good."""
    path = tmp_path / 'a.pth'
    torch.save({'state_dict': {'w': torch.ones(5000)}}, path)
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(200) + content[middle + 200 :])
    assert (torch.load(path, weights_only=True)['state_dict']['w'] == 0).sum() >= 49
    with pytest.raises(UserInputError, match=r'found a damaged checkpoint \(the content of a/data/0 is not'):
        load_checkpoint_file(path)


def test_a_file_without_checksums_loads(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({'w': torch.ones(5)}, tmp_path / 'a.pth')
    finally:
        torch.serialization.set_crc32_options(True)
    assert load_checkpoint_file(tmp_path / 'a.pth')['w'].tolist() == [1] * 5
    torch.save({'w': torch.ones(5)}, tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    assert load_checkpoint_file(tmp_path / 'old.pth')['w'].tolist() == [1] * 5


def test_any_byte_may_be_wrong(tmp_path):
    """Whatever is damaged, a sentence or the right weights come out."""
    path = tmp_path / 'a.pth'
    torch.save({'state_dict': {'w': torch.arange(300.0)}, 'meta': {'epoch': 3}}, path)
    content = path.read_bytes()
    refused = 0
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        try:
            assert load_checkpoint_file(path)['state_dict']['w'].tolist() == list(range(300))
        except UserInputError as error:
            refused += 1
            assert '\n' not in str(error)
    assert refused > len(content) // 7 / 2


@pytest.mark.parametrize(
    ('content', 'found'),
    [
        ({'state_dict': None}, "'state_dict' that is None"),
        ({'state_dict': 'abc'}, "'state_dict' that is a str"),
        ({'state_dict': [1]}, "'state_dict' that is a list"),
        ({'state_dict': {1: torch.zeros(1)}}, 'the key 1'),
        ({'state_dict': {}, 'ema_state_dict': {(1, 2): 3}}, r'the key \(1, 2\)'),
        ({1: torch.zeros(1)}, 'the key 1'),
        ({'state_dict': {'a': torch.zeros(2, 2).to_sparse()}}, r'a tensor of torch\.sparse_coo \(a\)'),
        ({'a': torch.zeros(2, device='meta')}, r'a tensor without numbers \(a\)'),
        ({'model': 5}, "'model' that is a int"),
        ({'model': {None: 5}}, 'the key None'),
        ({'model': {}, 'bert_model': 5}, "'bert_model' that is a int"),
        ({'state_dict': {}, 'meta': 'x'}, "'meta' that is a str"),
        ({'state_dict': {}, 'message_hub': [1]}, "'message_hub' that is a list"),
    ],
)
def test_parts_of_another_kind_are_refused(tmp_path, content, found):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(UserInputError, match=f'a.pth: found {found}, expected'):
        load_checkpoint_file(tmp_path / 'a.pth')


def test_mmengine_replaces_files_as_a_whole(tmp_path):
    """A checkpoint that the disk does not take leaves the old one, and nothing half-written."""
    path = tmp_path / 'new' / 'epoch_1.pth'
    save_checkpoint({'state_dict': {'w': torch.ones(2)}}, str(path))
    assert load_checkpoint_file(path)['state_dict']['w'].tolist() == [1, 1]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        with pytest.raises(OSError) as error:
            save_checkpoint({'state_dict': {'w': torch.zeros(9999)}}, str(path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.filename == str(path)
    assert load_checkpoint_file(path)['state_dict']['w'].tolist() == [1, 1]
    Config({'a': 1}).dump(tmp_path / 'new' / 'c.py')
    dump({'b': 2}, tmp_path / 'new' / 'd.json')
    assert Config.fromfile(tmp_path / 'new' / 'c.py').a == 1
    assert sorted(p.name for p in path.parent.iterdir()) == ['c.py', 'd.json', 'epoch_1.pth']
