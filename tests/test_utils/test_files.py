"""Files are whole or not there, whatever ends the process that writes them; one holder of a lock."""

import hashlib
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mmrefseg.utils import FileLock, atomic_write, dump_json, file_sha256, load_json

# Loaded without the package, which would take seconds.
FILES = Path(sys.modules['mmrefseg.utils.files'].__file__)
START = f"""
import importlib.util, os, sys, time, types
sys.modules['u'] = types.ModuleType('u')
sys.modules['u'].__path__ = [{str(FILES.parent)!r}]
from u.files import FileLock, atomic_write
"""
WRITE = """
with atomic_write(sys.argv[1]) as file:
    file.write('half')
    file.flush()
    print('ready', flush=True)
    sys.stdin.readline()
print('done', flush=True)
"""


class Process:
    """Python code in a process of its own that has printed ``ready``."""

    def __init__(self, code: str, *args) -> None:
        self.process = subprocess.Popen(
            [sys.executable, '-c', START + code, *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.said = self.process.stdout.readline().strip()

    def finish(self) -> str:
        """Let it go on to its end; what it prints."""
        return self.process.communicate('\n', timeout=60)[0].strip()

    def end(self, signum: int) -> int:
        """End it by a signal; how it ended."""
        self.process.send_signal(signum)
        self.process.wait(60)
        self.process.communicate()
        return self.process.returncode


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_whole(tmp_path):
    path = tmp_path / 'new' / 'a.json'
    dump_json({'a': 1}, path)
    with pytest.raises(RuntimeError), atomic_write(path) as file:
        file.write('half')
        raise RuntimeError
    assert load_json(path) == {'a': 1} and names(path.parent) == ['a.json']
    with atomic_write(path, 'wb') as file:
        file.write(b'\x00')
    assert path.read_bytes() == b'\x00'


@pytest.mark.parametrize('umask', [0o022, 0o002, 0o077])
def test_permissions_are_those_of_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        dump_json(1, tmp_path / 'new')
        (tmp_path / 'old').touch()
        (tmp_path / 'old').chmod(0o640)
        dump_json(1, tmp_path / 'old')
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / 'new').stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE((tmp_path / 'old').stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / 'there').mkdir()
    for name in ('old', 'new'):
        (tmp_path / name).symlink_to(Path('there') / name)
    (tmp_path / 'there' / 'old').write_text('2')
    for name in ('old', 'new'):
        dump_json(name, tmp_path / name)
        assert (tmp_path / name).is_symlink() and load_json(tmp_path / 'there' / name) == name
    assert names(tmp_path) == ['new', 'old', 'there'] and names(tmp_path / 'there') == ['new', 'old']


def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    reader = Process('print("ready", flush=True)\nprint(open(sys.argv[1]).read())', tmp_path / 'pipe')
    dump_json([1], tmp_path / 'pipe')
    assert reader.finish() == '[1]' and stat.S_ISFIFO((tmp_path / 'pipe').stat().st_mode)
    with pytest.raises(IsADirectoryError):
        dump_json([1], tmp_path)


def test_sigterm_leaves_nothing(tmp_path):
    writer = Process(WRITE, tmp_path / 'a')
    assert writer.said == 'ready' and names(tmp_path) == ['.a.0.tmp']
    assert writer.end(signal.SIGTERM) == -signal.SIGTERM
    assert names(tmp_path) == []


def test_a_programs_own_handler_stays(tmp_path):
    own = 'import signal\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n'
    writer = Process(own + WRITE, tmp_path / 'a')
    assert writer.end(signal.SIGTERM) == 7 and names(tmp_path) == []
    signals = "import signal\nassert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\nprint('default')"
    assert Process(WRITE + signals, tmp_path / 'a').finish() == 'done\ndefault'


def test_a_child_that_is_ended_leaves_its_parents_file(tmp_path):
    fork = """
with atomic_write(sys.argv[1]) as file:
    file.write('whole')
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(tell, b'.')
        time.sleep(60)
        os._exit(0)
    os.read(ready, 1)
    os.kill(child, 15)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(ended)
"""
    assert Process(fork, tmp_path / 'a').said == '-15'
    assert (tmp_path / 'a').read_text() == 'whole' and names(tmp_path) == ['a']


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path):
    """The temporary files of others stay: those of living processes and those of other names."""
    strangers = {'.a.b.0.tmp', '.b.0.tmp', '.a.0.tmp.old'}
    for name in strangers:
        (tmp_path / name).touch()
    living, killed = Process(WRITE, tmp_path / 'a'), Process(WRITE, tmp_path / 'a')
    assert {'.a.0.tmp', '.a.1.tmp'} < set(names(tmp_path))
    assert killed.end(signal.SIGKILL) == -signal.SIGKILL
    assert (tmp_path / '.a.1.tmp').read_text() == 'half'
    dump_json('ours', tmp_path / 'a')
    assert set(names(tmp_path)) == strangers | {'a', '.a.0.tmp'} and load_json(tmp_path / 'a') == 'ours'
    assert living.finish() == 'done'
    assert set(names(tmp_path)) == strangers | {'a'} and (tmp_path / 'a').read_text() == 'half'


def test_many_writers_of_one_file(tmp_path):
    """Four processes write one file without rest: it is always one of theirs, and nothing is left."""
    code = """
print('ready', flush=True)
sys.stdin.readline()
for number in range(300):
    with atomic_write(sys.argv[1]) as file:
        file.write(sys.argv[2] * 1000)
"""
    writers = [Process(code, tmp_path / 'a', letter) for letter in 'abcd']
    for writer in writers:
        writer.process.stdin.write('\n')
        writer.process.stdin.flush()
    seen = set()
    while any(writer.process.poll() is None for writer in writers):
        if (tmp_path / 'a').exists():
            text = (tmp_path / 'a').read_text()
            assert len(text) == 1000 and len(set(text)) == 1
            seen.add(text[0])
    assert [writer.finish() for writer in writers] == [''] * 4
    assert all(writer.process.returncode == 0 for writer in writers)
    assert len(seen) > 1 and names(tmp_path) == ['a']


HOLD = """
lock = FileLock(sys.argv[1])
print(lock.take(), flush=True)
if 'share' in sys.argv:
    print(lock.share(), flush=True)
sys.stdin.readline()
"""


def test_a_lock_has_one_holder_and_ends_with_it(tmp_path):
    path = tmp_path / 'new' / 'x.lock'
    first = Process(HOLD, path)
    lock = FileLock(path)
    assert first.said == 'True' and not lock.take() and not lock.share()
    assert lock.holder() == f'process {first.process.pid} on {os.uname().nodename}'
    first.end(signal.SIGKILL)
    assert lock.take() and Process(HOLD, path).said == 'False'
    lock.release()
    assert Process(HOLD, path).said == 'True'


def test_a_shared_lock_keeps_others_out_until_the_last_has_gone(tmp_path):
    first = Process(HOLD, tmp_path / 'x.lock', 'share')
    assert first.process.stdout.readline() == 'True\n'
    second = FileLock(tmp_path / 'x.lock')
    assert second.share()
    assert Process(HOLD, tmp_path / 'x.lock').said == 'False'
    first.end(signal.SIGKILL)
    assert Process(HOLD, tmp_path / 'x.lock').said == 'False'
    second.release()
    assert Process(HOLD, tmp_path / 'x.lock').said == 'True'


def test_a_forked_child_does_not_hold_the_lock(tmp_path):
    """A data loader's workers outlive a killed run by seconds."""
    fork = """
lock = FileLock(sys.argv[1])
print(lock.take(), flush=True)
child = os.fork()
if child == 0:
    sys.stdin.readline()
    os._exit(0)
print(child, flush=True)
time.sleep(60)
"""
    parent = Process(fork, tmp_path / 'x.lock')
    child = int(parent.process.stdout.readline())
    os.kill(parent.process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, parent.process.pid, os.WEXITED | os.WNOWAIT)
    os.kill(child, 0)  # it lives
    assert FileLock(tmp_path / 'x.lock').take()
    parent.finish()


def test_hash(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / 'a').write_bytes(content)
    assert file_sha256(tmp_path / 'a') == hashlib.sha256(content).hexdigest()
