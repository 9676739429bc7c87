"""Starting the package's tools without waiting for its imports each time."""

import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class Process(Protocol):
    """A command that runs."""

    def poll(self) -> int | None:
        """The exit code, or ``None`` as long as it runs."""

    def kill(self) -> None:
        """End it at once; no harm if it has ended."""


def start(command: Sequence[str], log: Path) -> Process:
    """Start a command that writes to a log.

    A Python script starts in a process forked from one that has imported the package, which is five seconds
    faster. Not with a GPU, which a process that was forked may be unable to use.

    Args:
        command: The program and its arguments.
        log: A file, written anew, for all that the command prints.
    """
    import torch  # two seconds that a tool's --help does without

    log.write_bytes(b'')  # there is something to read before the process has begun to write
    forks = 'forkserver' in multiprocessing.get_all_start_methods() and not torch.cuda.is_available()
    if forks and command[0] == sys.executable and command[1].endswith('.py'):
        return ForkedScript(command[1:], log)
    environment = os.environ | {'PYTHONUNBUFFERED': '1'}
    with open(log, 'ab') as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)


class ForkedScript:
    """What ``python script arguments`` does.

    Args:
        command: The script and its arguments.
        log: See :func:`start`.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        context = multiprocessing.get_context('forkserver')
        # the first call starts the server
        context.set_forkserver_preload(['mmrefseg.registration', 'mmrefseg.runs.testing'])
        self._process = context.Process(target=_run_script, args=(command, log, dict(os.environ)))
        self._process.start()

    def poll(self) -> int | None:
        """The exit code, or ``None`` as long as it runs."""
        return self._process.exitcode

    def kill(self) -> None:
        """End it at once; no harm if it has ended."""
        self._process.kill()
        self._process.join()


def _run_script(command: Sequence[str], log: Path, environment: dict[str, str]) -> None:
    """Run in the forked process, whose exit code follows from how this ends."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(file, stream.fileno())
        stream.reconfigure(line_buffering=True)
    os.environ.clear()
    os.environ.update(environment)
    script, *_ = sys.argv = list(command)
    sys.path.insert(0, str(Path(script).resolve().parent))
    runpy.run_path(script, run_name='__main__')
