"""A training on a folder as a process of its own: start, follow, stop, resume.

All that is known of it is in its folder, so that an app that is opened again finds it as it is.
"""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..experiments.own_folder import STAGES
from ..experiments.stages import Stage, python
from ..utils import UserInputError, dump_json, load_json, make_folder, parse_json

JOB, LOG, SCORES = 'job.json', 'training.log', 'val.json'
EPOCHS = re.compile(r'^max_epochs = (\d+)', re.MULTILINE)
STOP_SECONDS = 15.0
MOST_POINTS = 400
"""Of a curve: more are thinned out."""
TAIL_BYTES = 200_000
Curve = list[tuple[float, float]]


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        state: ``'running'``, ``'done'``, ``'stopped'`` or ``'failed'``.
        stages: Name, and the share that is done, in their order.
        seconds: Since the start of the process that runs; else of the stages that are done.
        losses: Of each stage that trains, (step, loss) in order; empty before the first.
        scores: On val, by name, in percent; empty before the end.
        error: The sentence that it failed with; else ''.
    """

    state: str
    stages: list[tuple[str, float]]
    seconds: float
    losses: dict[str, Curve] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    error: str = ''

    @property
    def share(self) -> float:
        """Of the whole, each stage that trains counting three times as much as the scores at the end."""
        weights = [1.0 if name == STAGES[-1][1] else 3.0 for name, _ in self.stages]
        done = sum(weight * part for weight, (_, part) in zip(weights, self.stages, strict=True))
        return done / sum(weights)


class TrainingJob:
    """The training in a folder.

    Args:
        folder: Of the run.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        job = self._job()
        return bool(job) and _lives(job.get('pid'), job.get('born'))

    @property
    def scores(self) -> dict[str, float]:
        """On val, by name; empty until it is done."""
        path = self.folder / SCORES
        content = load_json(path) if path.is_file() else {}
        return {name: value for name, value in content.items() if isinstance(value, float)}

    def start(self, data: str | os.PathLike, options: Sequence[str] = ()) -> None:
        """Begin, in a process that outlives a page that is closed.

        Args:
            data: The folder of photos.
            options: Further words of ``tools/train_folder.py``.

        Raises:
            UserInputError: If it is running, or the folder cannot be written.
        """
        self._launch(list(python('tools/train_folder.py', data, '--folder', self.folder, *options)))

    def resume(self) -> None:
        """Go on with what was stopped: what is done is not done again.

        Raises:
            UserInputError: If it is running, or was never started.
        """
        job = self._job()
        if not job:
            raise UserInputError.of(str(self.folder), 'no training', 'one that was stopped', 'start one')
        self._launch([str(word) for word in job['command']])

    def stop(self) -> None:
        """End it; what is done is kept. Nothing happens if it does not run."""
        job = self._job()
        if not self.running:
            return
        dump_json({**job, 'stopped': True}, self.folder / JOB)
        _signal(job['pid'], signal.SIGTERM)  # Ctrl-C's is ignored by what was started in the background
        until = time.monotonic() + STOP_SECONDS
        while self.running and time.monotonic() < until:
            time.sleep(0.05)
        # The server that its stages are forked from, and whatever else is left of the group.
        _signal(job['pid'], signal.SIGKILL)

    def progress(self) -> Progress:
        """How far it is, by its own logs."""
        job, running, scores = self._job(), self.running, self.scores
        shares = self._shares()
        losses = {title: self._losses(name) for name, title in STAGES[:-1]}
        seconds = time.time() - job['started'] if running else self._taken()
        state = self._state(job, running, scores)
        error = self._last_line() if state == 'failed' else ''
        return Progress(
            state, shares, float(seconds), {name: curve for name, curve in losses.items() if curve},
            scores if state == 'done' else {}, error,
        )  # fmt: skip

    def _state(self, job: dict[str, Any], running: bool, scores: dict[str, float]) -> str:
        if running:
            return 'running'
        if scores:
            return 'done'
        return 'stopped' if job.get('stopped') else 'failed'

    def _launch(self, command: list[str]) -> None:
        if self.running:
            raise UserInputError.of(str(self.folder), 'a training that runs', 'none', 'stop it first')
        make_folder(self.folder)
        environment = os.environ | {'PYTHONUNBUFFERED': '1'}
        with open(self.folder / LOG, 'ab') as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C of the app is not the training's
            )
        _children[process.pid] = process
        job = {'pid': process.pid, 'born': _born(process.pid), 'started': time.time(), 'command': command}
        dump_json(job, self.folder / JOB)

    def _job(self) -> dict[str, Any]:
        path = self.folder / JOB
        content = load_json(path) if path.is_file() else {}
        sound = isinstance(content, dict) and isinstance(content.get('command'), list)
        return {'started': 0.0, **content} if sound else {}

    def _shares(self) -> list[tuple[str, float]]:
        shares = []
        for name, title in STAGES:
            config = self.folder / f'{name}.py'
            found = EPOCHS.search(config.read_text(encoding='utf-8')) if config.is_file() else None
            output = self.folder / (SCORES if name == 'scores' else f'{name}/best.pth')
            stage = Stage(title, (), output, epochs=int(found[1]) if found else 0)
            stages = self.folder / 'stages'
            if (stages / f'{stage.slug}.json').is_file() and output.exists():
                shares.append((title, 1.0))
                continue
            lines = _tail(stages / f'{stage.slug}.log')
            done = (stage.progress(line) for line in reversed(lines))
            shares.append((title, next((share for share in done if share is not None), 0.0)))
        return shares

    def _losses(self, name: str) -> Curve:
        """Of a stage, of all its processes, from the numbers that mmengine writes beside its logs."""
        by_step: dict[float, float] = {}
        for path in sorted((self.folder / name).glob('*/vis_data/scalars.json')):
            for line in _tail(path):
                with contextlib.suppress(UserInputError):
                    values = parse_json(line, str(path))
                    if isinstance(values, dict) and isinstance(values.get('loss'), float):
                        by_step[float(values.get('step', len(by_step)))] = values['loss']
        curve = sorted(by_step.items())
        return curve[:: max(1, len(curve) // MOST_POINTS)]

    def _taken(self) -> float:
        """Seconds of the stages that are done."""
        stamps = [load_json(path) for path in (self.folder / 'stages').glob('*.json')]
        return sum(stamp['seconds'] for stamp in stamps)

    def _last_line(self) -> str:
        lines = [line.strip() for line in _tail(self.folder / LOG) if line.strip()]
        said = next((line for line in reversed(lines) if line.startswith('error: ')), None)
        return (said or (lines[-1] if lines else 'it ended without a word')).removeprefix('error: ')


_children: dict[int, subprocess.Popen] = {}
"""Processes of this app: one that has ended stays in the system's list until its parent asks for it."""


def _lives(pid: Any, born: Any) -> bool:
    if pid in _children and _children[pid].poll() is not None:
        return False
    return isinstance(pid, int) and born is not None and _born(pid) == born


def _born(pid: int) -> str | None:
    """When a process began, in the kernel's ticks: its number alone may be another's by now."""
    try:
        fields = Path(f'/proc/{pid}/stat').read_text(encoding='ascii', errors='replace').rpartition(')')[2]
    except OSError:
        return None
    state, *rest = fields.split()
    return None if state == 'Z' else rest[18]


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _tail(path: Path) -> list[str]:
    """The last lines of a log; none of a file that is not there."""
    try:
        with open(path, 'rb') as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            return file.read().decode('utf-8', errors='replace').splitlines()
    except OSError:
        return []
