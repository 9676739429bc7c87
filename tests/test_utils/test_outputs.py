"""Places that take no file: told before the work, in one sentence, by every tool; nothing half-written."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmrefseg.utils import UserInputError, atomic_write, check_apart, check_output, dump_json, make_folder
from mmrefseg.utils.errors import DISK_PROBLEMS, explain_os_error

PRELUDE = """
import resource, sys
from mmrefseg.utils import atomic_write, check_output, cli
"""


def run(code: str, folder, stdout=subprocess.PIPE) -> subprocess.CompletedProcess:
    """Python code in a process of its own, in a folder."""
    command = [sys.executable, '-c', PRELUDE + code]
    environment = os.environ | {'PYTHONPATH': os.pathsep.join(sys.path)}
    return subprocess.run(
        command, cwd=folder, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60
    )


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A folder with what can be in the way."""
    (tmp_path / 'file').write_text('old')
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'dangling').symlink_to('yet/to/come')
    (tmp_path / 'circle').symlink_to('circle')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ('path', 'folder', 'found'),
    [
        ('folder', False, '--out folder: found a folder, expected a file; name a file'),
        ('new/', False, '--out new/: found a folder, expected a file; name a file'),
        ('file', True, '--out file: found a file, expected a folder; name another place'),
        ('file/below', False, '--out file/below: found a file within the path'),
        ('file/far/below', True, '--out file/far/below: found a file within the path'),
        ('a' * 300, False, 'found a name that is too long, expected at most 255 bytes'),
        ('new/' + 'ä' * 150, False, 'found a name that is too long'),
        ('circle', False, '--out circle: found symbolic links that lead in a circle'),
        ('/proc/new/file', False, '--out /proc/new/file: found no such file or folder'),
        ('/dev/full/below', False, 'found a file within the path'),
        ('', False, '--out: found an empty name, expected a file to write'),
        ('', True, '--out: found an empty name, expected a folder to write'),
        ('a\0b', False, '--out: found a name with a zero byte'),
    ],
)
def test_a_place_that_takes_nothing_is_refused(places, path, folder, found):
    before = sorted(places.rglob('*'))
    with pytest.raises(UserInputError) as error:
        check_output(path, '--out', folder)
    assert found in str(error.value) and '\n' not in str(error.value) and len(str(error.value)) < 400
    assert sorted(places.rglob('*')) == before


@pytest.mark.parametrize(
    ('path', 'folder'),
    [
        *((name, False) for name in ('file', 'new', 'new/deep/file', 'dangling', '/dev/null', 'a' * 255)),
        *((name, True) for name in ('folder', 'new', 'new/deep', 'dangling')),
        (None, False),
    ],
)
def test_other_places_are_left_as_they_are(places, path, folder):
    before = sorted(places.rglob('*'))
    check_output(path, '--out', folder)
    assert sorted(places.rglob('*')) == before and (places / 'file').read_text() == 'old'


def test_a_folder_behind_a_link(places):
    assert make_folder('dangling').is_dir()
    assert (places / 'dangling').is_symlink() and (places / 'yet/to/come').is_dir()
    make_folder('dangling/below')
    assert (places / 'yet/to/come/below').is_dir()
    with pytest.raises(OSError):
        make_folder('file')


@pytest.mark.parametrize('number', sorted(DISK_PROBLEMS))
def test_every_refusal_of_a_disk_is_a_sentence(number):
    problem = DISK_PROBLEMS[number]
    sentence = explain_os_error(OSError(number, os.strerror(number), '/some/file'))
    assert sentence == f'/some/file: found {problem.found}, expected {problem.expected}; {problem.todo}'
    assert explain_os_error(OSError(errno.EIO, 'a fault of the hardware', '/some/file')) is None


def test_errors_name_the_file_and_not_its_temporary(places):
    (places / 'file').unlink()
    with pytest.raises(OSError) as error:
        dump_json([0] * 99999, '/dev/full')
    assert explain_os_error(error.value).startswith('/dev/full: found a full disk')
    with pytest.raises(OSError) as error, atomic_write('new') as file:
        file.write('half')
        raise OSError(errno.ENOSPC, 'No space left on device')
    assert error.value.filename == 'new'
    with pytest.raises(FileNotFoundError) as error, atomic_write('new'):
        Path('another').read_text()
    assert error.value.filename == 'another'
    assert not (places / 'new').exists() and not list(places.glob('.*'))


def test_a_name_of_255_letters_can_be_written(places):
    for _ in range(2):
        dump_json(1, 'a' * 255)
    assert (places / ('a' * 255)).read_text() == '1\n' and not list(places.glob('.*'))


LIMITED = """
@cli
def main():
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
    with atomic_write(sys.argv[1] if sys.argv[1:] else 'file', 'w') as file:
        file.write('x' * 15000)
        file.flush()
        file.write('x' * 15000)
main()
"""


def test_a_disk_that_fills_up_leaves_the_old_file(places):
    """A limit of the file's size fails where a full disk does, and anybody may set one."""
    done = run(LIMITED, places)
    assert done.returncode == 2 and done.stderr.startswith(
        'error: file: found a file beyond the largest size'
    )
    assert done.stderr.count('\n') == 1
    assert (places / 'file').read_text() == 'old' and not list(places.glob('.*'))


def test_a_full_disk_is_told_before_the_work(places):
    done = run(
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\ncli(lambda: check_output('new', '--out'))()",
        places,
    )
    assert done.returncode == 2 and done.stderr.startswith(
        'error: --out new: found a file beyond the largest'
    )


def test_torch_does_not_hide_the_disk(places):
    """Its own error, when what it has written does not add up, comes behind that of the disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, limits[1]))
    try:
        with pytest.raises(RuntimeError), open('other', 'wb') as file:
            torch.save({'a': torch.zeros(99999)}, file)
        with pytest.raises(OSError) as error, atomic_write('file', 'wb') as file:
            torch.save({'a': torch.zeros(99999)}, file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (error.value.errno, error.value.filename) == (errno.EFBIG, 'file')
    assert (places / 'file').read_text() == 'old'


def test_what_is_read_and_what_is_written_are_apart(places):
    (places / 'link').symlink_to('file')
    for written, said in (
        ([('--out', 'link')], '--out link: found the file of --ann, expected another file'),
        ([('--out', 'folder/../file')], 'found the file of --ann'),
        ([('--out', 'new'), ('--csv', 'new')], '--csv new: found the file of --out'),
    ):
        with pytest.raises(UserInputError, match=said):
            check_apart(written, [('--ann', 'file'), ('--more', None)])
    check_apart([('--out', 'new'), ('--out', 'new'), ('--csv', None)], [('--ann', 'file')])
    check_apart([('--out', '/dev/null'), ('--csv', '/dev/null')], [('--ann', '/dev/null')])


PRINT = "cli(lambda: print('line\\n' * {lines}))()"


@pytest.mark.parametrize('lines', [1, 100000])
def test_standard_output_on_a_full_disk(tmp_path, lines):
    with open('/dev/full', 'w') as full:
        done = run(PRINT.format(lines=lines), tmp_path, full)
    assert done.returncode == 2 and done.stderr.count('\n') == 1, done.stderr
    assert done.stderr.startswith('error: ') and 'found a full disk' in done.stderr


def test_a_reader_that_goes_is_no_error(tmp_path):
    read, write = os.pipe()
    os.close(read)
    done = run(PRINT.format(lines=100000), tmp_path, write)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, '')
