"""What a run says on the terminal: where its log is, a line an interval, warnings. The file has it all."""

import contextlib
import io
import logging
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from ..utils.errors import UserInputError
from ..utils.places import shipped
from ..utils.progress import FILE_ONLY, ON_TERMINAL
from ..utils.sizes import checkpoint_files, folder_size, size_text
from ..version import __version__

VARIABLE = 'MMREFSEG_FULL_LOG'
LINE = re.compile(
    r'((?:Epoch|Iter)\((train|val|test)\)\s+(?:\[\s*\d+\]\s*)?\[\s*\d+/\d+\])\s*(.*)', re.DOTALL
)
IN_TRAINING = ('lr', 'base_lr', 'eta', 'loss', 'grad_norm')
LEFT_OUT = ('time', 'data_time', 'memory')
HOST_GOSSIP = re.compile('will be deprecated|is deprecated|is skipped since its requires_grad=False')
"""Warnings of mmengine about mmengine's own calls, and one for every parameter that a config freezes."""


class ShortFilter(logging.Filter):
    """Lets through what a person at a terminal needs; ``extra`` of a record may say so or forbid it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown."""
        said = getattr(record, 'terminal', None)
        if said is not None:
            return said
        message = record.getMessage()
        if record.levelno >= logging.WARNING:
            return record.levelno > logging.WARNING or not HOST_GOSSIP.search(message)
        return LINE.match(message) is not None or message.startswith('resumed epoch')


class ShortFormatter(logging.Formatter):
    """``12:34:56 Epoch(train) [1][50/100]  lr: 1e-4  eta: 0:01:02  loss: 1.2``."""

    def __init__(self) -> None:
        super().__init__('%(asctime)s %(message)s', '%H:%M:%S')

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, without what follows its first; a warning keeps all lines."""
        message = record.getMessage()
        said = short_line(message).partition('\n')[0]
        if record.levelno >= logging.WARNING:
            said = f'{record.levelname.lower()}: {message}'
        return super().format(logging.makeLogRecord({**record.__dict__, 'args': None, 'msg': said}))


def short_line(message: str) -> str:
    """A line of mmengine's LoggerHook without what only a look at the speed needs; others as they are."""
    found = LINE.match(message)
    if not found:
        return message
    head, phase, rest = found.groups()
    kept = [' '.join(head.split())]
    for field in re.split(r'\s{2,}', rest.strip()):
        name = field.split(':')[0]
        wanted = name in IN_TRAINING if phase == 'train' else name not in LEFT_OUT
        if field and wanted and not (phase == 'test' and '/' in name):  # a test ends with a table
            kept.append(re.sub(r'^base_lr: \S+ ', '', field))
    return '  '.join(kept)


class TerminalRunner(Runner):
    """mmengine's runner, which tells the terminal less than its file.

    ``terminal_log = 'full'`` in the config, or the environment's ``MMREFSEG_FULL_LOG=1``, leaves it as it is.
    """

    def build_logger(self, log_level: int | str = 'INFO', log_file: str | None = None, **kwargs) -> MMLogger:
        """The logger, and its first lines: where the log is, and what made it."""
        logger = super().build_logger(log_level, log_file, **kwargs)
        if not wants_full_log(self.cfg):
            for handler in logger.handlers:
                if type(handler) is logging.StreamHandler:
                    handler.addFilter(ShortFilter())
                    handler.setFormatter(ShortFormatter())
        logger.info(f'log: {_near(logger.log_file)}', extra=ON_TERMINAL)
        logger.info(f'mmrefseg {__version__}, {commit()}; command: {shlex.join(sys.argv)}', extra=FILE_ONLY)
        return logger

    def load_checkpoint(self, *args, **kwargs) -> dict:
        """As mmengine's, without the line that it prints past the log."""
        with contextlib.redirect_stdout(sys.stdout if wants_full_log(self.cfg) else io.StringIO()):
            return super().load_checkpoint(*args, **kwargs)


def wants_full_log(config: Config) -> bool:
    """Whether all goes to the terminal.

    Raises:
        UserInputError: If the config says neither.
    """
    said = config.get('terminal_log', 'short')
    if said not in ('short', 'full'):
        raise UserInputError.of('terminal_log', repr(said), "'short' or 'full'", 'correct the config')
    return said == 'full' or os.environ.get(VARIABLE, '') not in ('', '0')


@contextlib.contextmanager
def told_how_it_ended(runner: Runner) -> Iterator[None]:
    """Write into the log's file how a training ended, and its sizes also to the terminal."""
    try:
        yield
    except BaseException as error:
        why = ' '.join(str(error).split())
        stopped = isinstance(error, KeyboardInterrupt | SystemExit)
        kind = '' if isinstance(error, UserInputError) else f'{type(error).__name__}: '
        said = 'stopped by hand' if stopped else f'failed: {kind}{why}'
        runner.logger.info(f'training {said}', extra=FILE_ONLY)
        raise
    if runner.rank == 0:
        runner.logger.info(f'training finished; {kept(runner.work_dir)}', extra=ON_TERMINAL)


def kept(work_dir: str | os.PathLike) -> str:
    """Which checkpoints a training has left, and the disk that its folder uses, in a line."""
    found = checkpoint_files(work_dir)
    files = [f'{" = ".join(file.names[::-1])} ({size_text(file.size)})' for file in found]
    total = size_text(folder_size(work_dir))
    return f'{_near(work_dir)} uses {total}' + (f': {", ".join(files)}' if files else ', no checkpoint')


def commit() -> str:
    """The commit of the checkout that runs, or that there is none."""
    root = shipped('mmrefseg').parent
    if not (root / '.git').exists():
        return 'no git checkout'
    try:
        head = _git(root, 'rev-parse', 'HEAD')
        changes = _git(root, 'status', '--porcelain', '--untracked-files=no')
    except (OSError, subprocess.SubprocessError):
        return 'a git checkout that git cannot read'
    return f'commit {head}' + (' with changes' if changes else '')


def _git(root: Path, *words: str) -> str:
    command = ['git', '-C', str(root), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()


def _near(path: str | os.PathLike) -> str:
    """A path as seen from here, if it is below."""
    path = os.path.abspath(path)
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path
