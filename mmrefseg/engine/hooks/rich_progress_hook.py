"""A progress bar for training and testing."""

import atexit
import logging
import sys
import time

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmrefseg.utils import progress_bar


@HOOKS.register_module()
class RichProgressHook(Hook):
    """Show epoch, iterations, loss and remaining time while the runner works.

    Args:
        enabled: ``None`` shows the bar on the first process when stderr is a
            terminal; ``True`` and ``False`` say so whatever stderr is.
        interval: Seconds between two refreshes.
    """

    # After LoggerHook (BELOW_NORMAL), so that its lines are above the bar that is drawn again.
    priority = 'LOWEST'

    def __init__(self, enabled: bool | None = None, interval: float = 0.2) -> None:
        self.enabled = enabled
        self.interval = interval
        self._bar = None
        self._tasks: dict[str, int] = {}
        self._refreshed = 0.0

    def before_train(self, runner: Runner) -> None:
        """Start the bar of the whole training."""
        self._start(runner, 'train', runner.max_iters, runner.iter)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Move on by one iteration."""
        if self._bar is None:
            return
        text = f'epoch {runner.epoch + 1}/{runner.max_epochs}' if runner.max_epochs > 1 else 'train'
        if 'train/loss' in runner.message_hub.log_scalars:
            text += f' loss {runner.message_hub.get_scalar("train/loss").current():.4g}'
        self._advance('train', runner.iter + 1, text)

    def before_val(self, runner: Runner) -> None:
        """Start the bar of one validation."""
        self._start(runner, 'val', len(runner.val_dataloader))

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Move on by one batch."""
        self._advance('val', batch_idx + 1)

    def after_val(self, runner: Runner) -> None:
        """Take the bar of the validation away."""
        self._stop('val')

    def before_test(self, runner: Runner) -> None:
        """Start the bar of the test."""
        self._start(runner, 'test', len(runner.test_dataloader))

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Move on by one batch."""
        self._advance('test', batch_idx + 1)

    def after_test(self, runner: Runner) -> None:
        """End the bar of the test."""
        self._stop('test')

    def after_train(self, runner: Runner) -> None:
        """End the bar of the training."""
        self._stop('train')

    def _start(self, runner: Runner, task: str, total: int, done: int = 0) -> None:
        shown = sys.stderr.isatty() if self.enabled is None else self.enabled
        if runner.rank != 0 or not shown:
            return
        if self._bar is None:
            self._bar = progress_bar()
            # No refresh thread: data loader workers are forked from this process, and a fork while the thread
            # holds the console's lock would leave them waiting for ever.
            self._bar.live.auto_refresh = False
            self._bar.start()
            atexit.register(self._close)
            _redirect_logs(runner.logger)
        self._tasks[task] = self._bar.add_task(task, total=total, completed=done)
        self._bar.refresh()

    def _advance(self, task: str, completed: int, text: str | None = None) -> None:
        if self._bar is None or task not in self._tasks:
            return
        self._bar.update(self._tasks[task], completed=completed, description=text or task)
        if time.monotonic() - self._refreshed > self.interval:
            self._bar.refresh()
            self._refreshed = time.monotonic()

    def _stop(self, task: str) -> None:
        if self._bar is None or task not in self._tasks:
            return
        identifier = self._tasks.pop(task)
        if self._tasks:
            self._bar.remove_task(identifier)
            self._bar.refresh()
        else:
            self._close()

    def _close(self) -> None:
        """Leave the terminal as it was; also called at the end of a program that failed."""
        if self._bar is not None:
            self._bar.refresh()
            self._bar.stop()
            self._bar = None
            self._tasks.clear()
            atexit.unregister(self._close)


class _CurrentStdout:
    """A stream that writes to the present ``sys.stdout``: rich puts its own there while it shows a bar."""

    def write(self, text: str) -> int:
        return sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


def _redirect_logs(logger: logging.Logger) -> None:
    """Let log lines appear above the bar rather than in the middle of it."""
    for handler in logger.handlers:
        if type(handler) is logging.StreamHandler and handler.stream is sys.__stdout__:
            handler.setStream(_CurrentStdout())
