"""No file makes a reader fail in another way than with one sentence, and what is accepted can be used."""

import ast
import collections
import importlib.util
import os
import signal
import sys

import fuzz_targets
import hypothesis
import pytest
from fuzz_base import Target, attempt, lay_out
from fuzz_targets import TARGETS
from hypothesis import strategies as st

from mmrefseg.utils import UserInputError

EXAMPLES = 300


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return lay_out(tmp_path_factory.mktemp('fuzz') / 'files')


@pytest.mark.parametrize('name', TARGETS)
def test_a_file_is_used_or_refused_in_one_sentence(folder, name):
    target, tally = TARGETS[name], collections.Counter()

    # Derandomised: the same examples each time, so that a change is to blame for a failure.
    @hypothesis.settings(
        max_examples=max(50, round(EXAMPLES * min(1, target.share))),
        derandomize=True,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(target.strategy)
    def try_one(example):
        verdict, finding = attempt(target, folder, example)
        tally[verdict] += 1
        assert finding is None, f'{name}: {finding}'

    try_one()
    # A target that accepts nothing, or everything, looks at nothing.
    assert tally['accepted'] >= 3 and tally['refused'] >= 3, tally


@pytest.fixture
def fuzz(repo_root, monkeypatch):
    """benchmarks/fuzz.py as a module, with targets that have known faults."""
    spec = importlib.util.spec_from_file_location('fuzz', repo_root / 'benchmarks' / 'fuzz.py')
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, 'path', [*sys.path])
    monkeypatch.setitem(sys.modules, 'fuzz', module)  # so that what a child found can be pickled
    spec.loader.exec_module(module)

    def sound(folder, number):
        if number % 2:
            raise UserInputError('found an odd number, expected an even one; double it')

    def raises(folder, number):
        if number > 100:
            raise KeyError(number)
        if number < -300:
            [].pop()

    def dies(folder, number):
        if number > 1000:
            os.kill(os.getpid(), signal.SIGKILL)

    numbers = st.integers(-5000, 5000)
    calls = {'sound': sound, 'raises': raises, 'dies': dies}
    targets = {name: Target(numbers, call) for name, call in calls.items()}
    monkeypatch.setattr(fuzz_targets, 'TARGETS', targets)
    return module


def test_a_long_run_finds_and_reduces_each_fault(fuzz, caplog):
    caplog.set_level('INFO')
    assert fuzz.fuzz(['sound'], 50, 0) == 0
    assert fuzz.fuzz(['raises'], 300, 0) == 2
    told = caplog.text
    assert 'KeyError at test_fuzzing/test_fuzzing.py:' in told and 'example: 101\n' in told
    assert 'IndexError at' in told and 'example: -301\n' in told
    caplog.clear()
    assert fuzz.fuzz(['dies'], 100, 0) == 1
    assert 'its examples again, one by one' in caplog.text
    assert 'death at exit code -9' in caplog.text and 'example: 1001\n' in caplog.text


def test_a_long_run_from_the_command_line(fuzz, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fuzz.log, 'handlers', [])
    log = tmp_path / 'logs' / 'fuzz.log'
    for names, code in ((['sound'], 0), (['raises', 'sound'], 1), (['nope'], 2)):
        monkeypatch.setattr(sys, 'argv', ['fuzz.py', '--examples', '200', '--log', str(log), *names])
        with pytest.raises(SystemExit) as stop:
            fuzz.main()
        assert stop.value.code == code
    assert "target: found 'nope', expected some of ['sound', 'raises', 'dies']" in capsys.readouterr().err
    assert log.read_text().endswith('2 findings\n')


def test_only_tests_need_hypothesis(repo_root):
    files = [path for folder in ('mmrefseg', 'tools', 'demo') for path in (repo_root / folder).rglob('*.py')]
    assert len(files) > 150
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            names = [node.module or ''] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [name for name in names if name.split('.')[0] == 'hypothesis'], path
