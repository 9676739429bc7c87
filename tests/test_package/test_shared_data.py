"""Tests that need the shared data fail in CI where it is missing, and skip elsewhere."""

import os
import shutil
import subprocess
import sys

import pytest


@pytest.mark.parametrize(('ci', 'outcome'), [('true', '1 error'), ('', '1 skipped')])
def test_missing_shared_data(repo_root, tmp_path, ci, outcome):
    shutil.copy(repo_root / 'tests' / 'conftest.py', tmp_path)
    (tmp_path / 'test_it.py').write_text('def test_it(golden_dir):\n    pass\n')
    environment = {**os.environ, 'CI': ci, 'MMREFSEG_TEST_DATA': str(tmp_path / 'missing')}
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '-p', 'no:cacheprovider', '--rootdir', str(tmp_path), '.'],
        cwd=tmp_path,
        env=environment | {'PYTHONPATH': str(repo_root)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert outcome in done.stdout.splitlines()[-1], done.stdout


def test_shared_data_is_whole(test_data, golden_dir):
    assert (test_data / 'mini_refcoco').is_dir()
    assert (golden_dir / 'reference_weights.py').is_file()
