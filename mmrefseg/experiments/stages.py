"""Running the package's tools one after another: resumable, one progress bar, the imports paid for once."""

import multiprocessing
import os
import re
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ..utils import UserInputError, dump_json, load_json
from ..utils.places import shipped


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


TRAIN_LINE = re.compile(r'(?:Epoch\(train\)\s+\[(\d+)\]|Iter\(train\)\s+)\[\s*(\d+)/(\d+)\]')
TEST_LINE = re.compile(r'(?:Epoch|Iter)\((?:val|test)\)\s+\[\s*(\d+)/(\d+)\]')
POLL_SECONDS = 0.1
SAID_SECONDS = 60.0
"""Where no bar moves, in a file or a pipe, a stage says so often how far it is."""


@dataclass(frozen=True)
class Stage:
    """One command of a longer job.

    Attributes:
        name: What it does, in a few words.
        command: The program and its arguments.
        output: A file that the command makes; the stage is skipped where the file is already
            there and was made by this very command.
        epochs: Epochs that a training runs, for the progress bar, 1 where it counts steps; 0 for other
            commands.
    """

    name: str
    command: tuple[str, ...]
    output: Path
    epochs: int = 0

    @property
    def slug(self) -> str:
        """The name as part of a file name."""
        return re.sub(r'[^a-z0-9]+', '_', self.name.lower()).strip('_')

    def seconds(self, folder: Path) -> float | None:
        """How long the stage took, if its output is there and ``folder`` says this command made it."""
        stamp = folder / f'{self.slug}.json'
        if not (self.output.exists() and stamp.exists()):
            return None
        made = load_json(stamp)
        return made['seconds'] if made['command'] == list(self.command) else None

    def progress(self, line: str) -> float | None:
        """The share of the stage that is done, read from a line of its log."""
        match = TRAIN_LINE.search(line)
        if match and self.epochs:
            epoch, step, steps = (int(number or 1) for number in match.groups())  # steps alone: one epoch
            return (epoch - 1 + step / steps) / self.epochs
        match = TEST_LINE.search(line)
        if match and not self.epochs:
            step, steps = map(int, match.groups())
            return step / steps
        return None


def run_stages(stages: Sequence[Stage], folder: Path, console: Console | None = None) -> float:
    """Run what is not done yet, in order.

    Args:
        stages: The stages, with names that differ.
        folder: Where each stage's log goes, and a file that says what command made its output.
        console: Where progress goes (stderr by default).

    Returns:
        Seconds that all stages took, those of earlier runs included.

    Raises:
        UserInputError: If a stage fails; the message ends with the last line of its log.
        ValueError: If two stages would write the same log.
    """
    slugs = [stage.slug for stage in stages]
    if len(set(slugs)) < len(slugs):
        raise ValueError(f'found stages with the same name, expected names that differ: {sorted(slugs)}')
    console = console or Console(stderr=True)
    columns = (TextColumn('{task.description}'), BarColumn(), TextColumn('{task.percentage:>3.0f} %'))
    total = 0.0
    with _kill_as_interrupt(), Progress(*columns, TimeElapsedColumn(), console=console) as bar:
        overall = bar.add_task('[bold]all stages', total=len(stages))
        for number, stage in enumerate(stages):
            seconds = stage.seconds(folder)
            if seconds is None:
                seconds = _run(
                    stage, folder, bar, lambda done, n=number: bar.update(overall, completed=n + done)
                )
            elif not console.is_terminal:
                console.print(f'{stage.name}: done before')
            total += seconds
            bar.update(overall, completed=number + 1)
    return total


@contextmanager
def _kill_as_interrupt() -> Iterator[None]:
    """SIGTERM, which ``kill`` sends, does what Ctrl-C does: else the stage would run on by itself."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only that one may set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(stage: Stage, folder: Path, bar: Progress, report: Callable[[float], None]) -> float:
    task = bar.add_task(stage.name, total=1)
    begin = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f'{stage.slug}.log'
    try:
        code = _follow(stage, log, bar, task, report)
    except KeyboardInterrupt:
        said = 'stopped; the same command goes on with this stage'
        if stage.epochs:
            said += ', from its last checkpoint if there is one,'
        said += ' and keeps those before it'
        bar.console.print(f'{stage.name}: {said}', soft_wrap=True, markup=False)
        raise
    if code or not stage.output.exists():
        lines = log.read_text(encoding='utf-8').strip().splitlines() or ['nothing']
        raise UserInputError(
            f'{stage.name}: the command ended with code {code} ({lines[-1]}); read {log}, mend it and run '
            'again: what is done is kept'
        )
    seconds = time.monotonic() - begin
    dump_json({'command': list(stage.command), 'seconds': seconds}, folder / f'{stage.slug}.json')
    bar.update(task, completed=1)
    if not bar.console.is_terminal:
        bar.console.print(f'{stage.name}: {seconds:.0f} s')
    return seconds


def _follow(stage: Stage, log: Path, bar: Progress, task: TaskID, report: Callable[[float], None]) -> int:
    """Run the command and read its progress from its log."""
    process = start(stage.command, log)
    clock = _Clock(stage.name, bar.console)
    try:
        with open(log, encoding='utf-8', errors='replace') as file:
            while (code := process.poll()) is None:
                time.sleep(POLL_SECONDS)
                for line in file:  # one that was half written is read in two parts, and moves no bar
                    done = stage.progress(line)
                    if done is not None:
                        bar.update(task, completed=done)
                        report(done)
                        clock.say(done)
        return code
    finally:
        process.kill()


class _Clock:
    """Says now and then how far a stage is, where there is no terminal with a bar."""

    def __init__(self, name: str, console: Console) -> None:
        self.name, self.console = name, console
        self.begin = self.said = time.monotonic()

    def say(self, done: float) -> None:
        """Print a line if it is time for one."""
        now = time.monotonic()
        if done and not self.console.is_terminal and now - self.said >= SAID_SECONDS:
            left = (now - self.begin) * (1 - done) / done
            self.console.print(f'{self.name}: {100 * done:.0f} %, {left / 60:.0f} min to go', markup=False)
            self.said = now


def python(script: str | Path, *arguments: object) -> tuple[str, ...]:
    """A command line that runs a Python script with this interpreter.

    Args:
        script: A tool of this package, as ``tools/train.py``, or an absolute path.
        arguments: What the script is called with.

    Raises:
        UserInputError: If the script is not there, which is better said before the stages that lead to it.
    """
    path = shipped(script)
    if not path.is_file():
        raise UserInputError.of(str(script), 'no such file', 'a tool of a checkout', 'run this in one')
    return (sys.executable, str(path), *map(str, arguments))
