"""Imports go down only: the arrows are drawn from the imports, and one that climbs is an error."""

import shutil
import subprocess
import sys

import pytest

TOOL = 'tools/misc/draw_architecture.py'


def check(root, *args):
    """Exit code, stdout and stderr of the check."""
    command = [sys.executable, str(root / TOOL), '--check', *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_no_import_climbs(repo_root):
    code, said, wrong = check(repo_root)
    assert code == 0, wrong
    rooms, arrows = (int(part.split()[0]) for part in said.split(', ')[:2])
    assert rooms >= 15 and arrows >= 40


@pytest.mark.parametrize(
    ('file', 'line', 'named'),
    [
        (
            'utils/errors.py',
            'from ..structures import rle',
            'mmrefseg/utils/errors.py -> mmrefseg.structures',
        ),
        ('models/necks/new.py', 'def f():\n    import mmrefseg.runs.config', '-> mmrefseg.runs.config'),
        ('attic/__init__.py', 'from .. import utils', 'mmrefseg/attic: no floor'),
    ],
)
def test_a_climbing_import_is_found(repo_root, tmp_path, file, line, named):
    for folder in ('mmrefseg', 'tools'):
        shutil.copytree(repo_root / folder, tmp_path / folder, ignore=shutil.ignore_patterns('.mim', '*.pyc'))
    path = tmp_path / 'mmrefseg' / file
    path.parent.mkdir(exist_ok=True)
    with open(path, 'a', encoding='utf-8') as opened:
        opened.write(f'\n{line}\n')
    code, said, wrong = check(repo_root, '--root', tmp_path)
    assert code == 1 and named in wrong and '1 climb' in said


def test_the_figure_is_drawn(repo_root, tmp_path):
    out = tmp_path / 'figure.png'
    done = subprocess.run(
        [sys.executable, str(repo_root / TOOL), '--out', str(out)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert out.read_bytes().startswith(b'\x89PNG') and out.stat().st_size < 150_000
