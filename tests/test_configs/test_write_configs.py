"""tools/misc/write_configs.py: what it writes is what is committed, and it says what is not."""

import runpy
import subprocess
import sys

import pytest
from shipped import PATHS, ROOT

TOOL = ROOT.parent / 'tools' / 'misc' / 'write_configs.py'
COPIES = 213


def run(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, TOOL, *map(str, arguments)], capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def written(tmp_path):
    """A folder with all copies, made by the tool."""
    done = run('--out', tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_committed_files_are_what_is_written(written):
    files = sorted(path for path in written.rglob('*') if path.is_file())
    assert len(files) == COPIES
    for file in files:
        committed = ROOT / file.relative_to(written)
        assert PATHS[file.stem] == committed
        assert file.read_text() == committed.read_text(), committed
    assert run('--check').returncode == 0


def test_check_names_the_file_that_differs(written):
    edited = written / 'seqtr' / 'seqtr_darknet53_res_refcocog-umd.py'
    missing = written / 'lavt' / 'lavt_swin-b-w12_480_m05_refcocoplus-unc.py'
    edited.write_text(edited.read_text() + 'randomness = dict(seed=1)\n')
    missing.unlink()
    done = run('--check', '--out', written)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 2 and {line.split()[0] for line in lines} == {str(edited), str(missing)}
    assert 'seed=1' in edited.read_text() and not missing.exists()  # a check writes nothing
    assert run('--out', written).returncode == 0
    assert run('--check', '--out', written).returncode == 0


def test_names_are_exchanged():
    """Data set, title and share, and nothing else."""
    renamed = runpy.run_path(str(TOOL))['renamed']
    text = "# 5 % of RefCOCO\nload = 'work_dirs/x_m05_refcoco-unc/a.pth'\nfile = 'sample_5.json'\nsize = 5\n"
    text += '# choose --ratio 5\n'
    assert renamed(text, 'refcoco-unc', 'refcocog-umd', 10) == (
        "# 10 % of RefCOCOg (UMD split)\nload = 'work_dirs/x_m10_refcocog-umd/a.pth'\n"
        "file = 'sample_10.json'\nsize = 5\n# choose --ratio 10\n"
    )
    assert renamed(text, 'refcoco-unc', 'refcoco-unc', 5) == text
