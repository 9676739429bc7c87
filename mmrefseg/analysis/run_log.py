"""What a training has left in its work directory, read back: curves, metrics, how it ended, pictures, sizes.

The files are data, perhaps of a run that writes on or of one that was killed in the middle of a line.
"""

import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..utils import UserInputError, parse_json
from ..utils.places import VAL_FOLDER
from ..utils.sizes import StoredFile, checkpoint_files, folder_size

STAMP = re.compile(r'\d{8}_\d{6}')
RECORD = re.compile(r'^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) - \S+ - (\w+) - (.*)$')
TRAIN_LINE = re.compile(r'Epoch\(train\)\s+\[\s*(\d+)\]\[\s*\d+/(\d+)\]')
PICTURE = re.compile(r'iter_(\d+)_(\d+)\.jpg')
ENVIRONMENT = ('Python', 'PyTorch', 'CUDA available', 'GPU 0', 'OpenCV', 'MMEngine', 'seed')
NOT_CURVES = {'step', 'iter', 'epoch', 'time', 'data_time', 'memory', 'base_lr'}
MOST_LOG = 32 * 2**20
"""Bytes of a log that are read, from its end."""
LARGEST_PICTURE = 2**20
QUIET = 120.0
"""A run whose log is silent for so many seconds, and three times its usual pause, does not run any more."""


@dataclass
class Session:
    """One start of a training (or test) in a work directory.

    Attributes:
        folder: ``<work_dir>/<time stamp>``.
        train: Rows of scalars.json of training, by step; ``step`` counts iterations.
        val: Rows of validations, with the iteration they were made at.
        epoch_steps: Iterations of an epoch; 0 where the run counts none.
        facts: ``command``, ``commit`` and the environment, from the log.
        warnings: What the log warns of, the last ones.
        ended: What the log says of its end, '' where it says nothing.
        config: Text of the config.
        written: When its log was last written, in seconds since 1970.
        tested: Metrics of a test.
    """

    folder: Path
    train: list[dict[str, float]] = field(default_factory=list)
    val: list[dict[str, float]] = field(default_factory=list)
    epoch_steps: int = 0
    facts: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    ended: str = ''
    config: str = ''
    written: float = 0.0
    tested: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The time stamp."""
        return self.folder.name


@dataclass
class Run:
    """A work directory; what a resumed session did again counts once, as it was done last.

    Attributes:
        folder: The work directory.
        sessions: All starts, the oldest first.
        train: Rows of training in order of their steps.
        val: Rows of validations in order.
        starts: Steps at which later sessions went on.
        pictures: Number of a sample -> iteration -> file.
        checkpoints: The newest first.
        size: Bytes of the folder.
    """

    folder: Path
    sessions: list[Session]
    train: list[dict[str, float]] = field(default_factory=list)
    val: list[dict[str, float]] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    pictures: dict[int, dict[int, Path]] = field(default_factory=dict)
    checkpoints: list[StoredFile] = field(default_factory=list)
    size: int = 0

    @property
    def last(self) -> Session:
        """The last training, or the last test where nothing was trained."""
        return next((s for s in reversed(self.sessions) if not s.tested), self.sessions[-1])

    @property
    def length(self) -> tuple[str, int] | None:
        """``('epochs', 12)`` or ``('iters', 1500)``, as the config has it."""
        block = re.search(r'^train_cfg = dict\((.*?)\)$', self.last.config, re.MULTILINE | re.DOTALL)
        found = re.search(r'\bmax_(epochs|iters)=(\d{1,12})\b', block[1]) if block else None
        return (found[1], int(found[2])) if found else None


def page_mark(run: Run) -> str:
    """What the page of a run has near its beginning and no other file: the time stamp of the first start."""
    return f'mmrefseg report of the run of {run.sessions[0].name}'


def read_run(folder: str | Path) -> Run:
    """Read what is there of a run.

    Args:
        folder: The work directory of a training.

    Raises:
        UserInputError: If it is no such folder.
    """
    folder = Path(folder)
    expected, todo = 'the work directory of a training', 'name the folder that its --work-dir was'
    if not folder.is_dir():
        found = 'a file' if folder.exists() else 'no such folder'
        raise UserInputError.of(str(folder), found, expected, todo)
    stamps = sorted(path for path in folder.iterdir() if path.is_dir() and STAMP.match(path.name))
    sessions = [session for path in stamps if (session := read_session(path)) is not None]
    if not sessions:
        raise UserInputError.of(str(folder), 'a folder without logs', expected, _nearer(folder) or todo)
    run = Run(folder, sessions)
    _join(run)
    run.checkpoints, run.size = checkpoint_files(folder), folder_size(folder)
    return run


def _nearer(folder: Path) -> str:
    """What to name instead, where a run is above or below."""
    if STAMP.match(folder.name) or folder.name == 'vis_data':
        above = folder.parent.parent if folder.name == 'vis_data' else folder.parent
        return f'name {above}, which has all logs of the run'
    below = sorted({path.parent.parent.name for path in folder.glob('*/*/*.log') if STAMP.match(path.stem)})
    names = ', '.join(below[:5]) + (f' and {len(below) - 5} more' if len(below) > 5 else '')
    return f'name one of the runs in it: {names}' if below else ''


def read_session(folder: Path) -> Session | None:
    """Read one start of a run; None for a folder that has no log of one."""
    log, scalars = folder / f'{folder.name}.log', folder / 'vis_data' / 'scalars.json'
    if not log.is_file() and not scalars.is_file():
        return None
    session = Session(folder)
    if log.is_file():
        _read_log(session, log)
    if scalars.is_file():
        session.written = max(session.written, scalars.stat().st_mtime)
        _read_scalars(session, scalars)
    config, tested = folder / 'vis_data' / 'config.py', folder / f'{folder.name}.json'
    if config.is_file():
        session.config = config.read_text(encoding='utf-8', errors='replace')[:1_000_000]
    if tested.is_file() and not session.train:
        text = tested.read_text(encoding='utf-8', errors='replace')[:1_000_000]
        for row in _rows(text.replace('\n', ' ')):
            session.tested |= {name: value for name, value in row.items() if name not in NOT_CURVES}
    return session


def _read_scalars(session: Session, path: Path) -> None:
    step = 0.0
    for row in _rows(path.read_text(encoding='utf-8', errors='replace')):
        if 'lr' in row or 'loss' in row:
            row['step'] = step = row.get('iter', row.get('step', step))
            session.train.append(row)
        elif row.keys() - NOT_CURVES:
            epoch = row.get('step', 0.0)
            by_epoch = session.epoch_steps and epoch * session.epoch_steps >= step
            session.val.append(row | {'step': epoch * session.epoch_steps if by_epoch else max(step, epoch)})


def _rows(text: str) -> Iterator[dict[str, float]]:
    """Finite numbers of each line; a line that a killed run has left in two is passed over."""
    for line in text.splitlines():
        try:
            row = parse_json(line, 'a line of a log')
        except UserInputError:
            continue
        if isinstance(row, dict):
            yield {name: float(value) for name, value in row.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _read_log(session: Session, path: Path) -> None:
    size, session.written = path.stat().st_size, path.stat().st_mtime
    with open(path, 'rb') as file:
        file.seek(max(size - MOST_LOG, 0))
        text = file.read().decode('utf-8', 'replace')
    for line in text.splitlines():
        record = RECORD.match(line)
        if record is None:
            name, colon, value = line.strip().partition(': ')
            if colon and line.startswith('    ') and name in ENVIRONMENT:
                session.facts.setdefault(name, value[:200])
            continue
        _, level, said = record.groups()
        if said.startswith('mmrefseg ') and '; command: ' in said:
            session.facts['code'], session.facts['command'] = said.split('; command: ', 1)
        elif said.startswith('training '):
            said = said.removeprefix('training ')
            session.ended = 'finished' if said.startswith('finished') else said[:1000]
        elif level in ('WARNING', 'ERROR', 'CRITICAL') and 'will be deprecated' not in said:
            session.warnings = [*session.warnings[-19:], said[:500]]
        elif found := TRAIN_LINE.search(said):
            session.epoch_steps = int(found[2])


def _join(run: Run) -> None:
    """Put sessions one after another; what a later one has done again replaces what it was."""
    for session in run.sessions:
        if session.train or session.val:
            begin = min(row['step'] for row in [*session.train, *session.val])
            begin = min(begin, _first_of_epoch(session))
            if run.train:
                run.starts = [start for start in run.starts if start < begin] + [begin]
            run.train = [row for row in run.train if row['step'] < begin] + session.train
            run.val = [row for row in run.val if row['step'] < begin] + session.val
            run.pictures = {
                number: {step: path for step, path in found.items() if step < begin}
                for number, found in run.pictures.items()
            }
        for path in sorted((session.folder / VAL_FOLDER).glob('iter_*.jpg')):
            found = PICTURE.fullmatch(path.name)
            if found and path.stat().st_size <= LARGEST_PICTURE:
                run.pictures.setdefault(int(found[2]), {})[int(found[1])] = path
    run.starts = [start for start in run.starts if run.train and start > run.train[0]['step']]


def _first_of_epoch(session: Session) -> float:
    """The first step of the epoch of a session's first row: it was resumed at the beginning of one."""
    epoch = session.train[0].get('epoch') if session.train else None
    return (epoch - 1) * session.epoch_steps + 1 if epoch and session.epoch_steps else math.inf


def describe_state(run: Run, now: float | None = None) -> tuple[str, str]:
    """Whether a run is ``finished``, ``running``, ``failed`` or ``stopped``, and a sentence.

    Args:
        run: The run.
        now: Seconds since 1970; by default those of the clock.
    """
    last, now = run.last, time.time() if now is None else now
    if last.ended.startswith('finished') or (not last.ended and _done(run) >= 1):
        return 'finished', f'finished {_ago(now - last.written)}'
    if last.ended:
        state = 'stopped' if last.ended.startswith('stopped') else 'failed'
        return state, f'{last.ended} ({_ago(now - last.written)})'
    if last.tested:
        return 'finished', f'a test, written {_ago(now - last.written)}'
    if now - last.written < max(QUIET, 3 * _pause(last)):
        return 'running', f'seems to run: its log was written {_ago(now - last.written)}'
    return 'stopped', f'ended without a word (killed, or the machine went down), {_ago(now - last.written)}'


def progress(run: Run) -> str:
    """How far it is: ``epoch 3 of 12``."""
    if not run.train and not run.val:
        return 'nothing is logged yet'
    row = (run.train or run.val)[-1]
    kind, total = run.length or ('iters', 0)
    of = f' of {total}' if total else ''
    name = 'epoch' if kind == 'epochs' and 'epoch' in row else 'step'
    return f'{name} {row[name]:.0f}{of}'


def _done(run: Run) -> float:
    """The share that is logged as done."""
    if run.length is None or not run.train:
        return 0.0
    kind, total = run.length
    steps = total * (run.last.epoch_steps or math.inf) if kind == 'epochs' else total
    return max(row['step'] for row in [*run.train, *run.val]) / max(steps, 1)


def _pause(session: Session) -> float:
    """Seconds from one line of the log to the next, as far as the training's rows tell."""
    rows = session.train[-2:]
    return rows[-1].get('time', 0.0) * (rows[-1]['step'] - rows[0]['step']) if rows else 0.0


def _ago(seconds: float) -> str:
    for name, unit in (('day', 86400), ('hour', 3600), ('minute', 60)):
        if seconds >= unit:
            count = int(seconds // unit)
            return f'{count} {name}{"s" if count > 1 else ""} ago'
    return f'{max(seconds, 0):.0f} seconds ago'
