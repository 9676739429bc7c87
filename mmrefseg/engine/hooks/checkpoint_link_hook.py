"""Fixed names for the newest and the best checkpoint of a run."""

import contextlib
import os
import shutil
from pathlib import Path

from mmdet.registry import HOOKS
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner


@HOOKS.register_module()
class CheckpointLinkHook(Hook):
    """Keep ``latest.pth`` and ``best.pth`` in the work directory.

    A config of the next stage can then name its starting point before the
    previous stage has run: ``load_from='work_dirs/<previous config>/best.pth'``.

    The best checkpoint is the one of :class:`mmengine.hooks.CheckpointHook`'s
    ``save_best`` (of its first metric, if it has several). When training ends
    without any best checkpoint (no validation), ``best.pth`` is the last one.

    Args:
        latest: Name for the newest checkpoint.
        best: Name for the best checkpoint.
    """

    # After CheckpointHook (VERY_LOW), which writes the files that are linked here.
    priority = 'LOWEST'

    def __init__(self, latest: str = 'latest.pth', best: str = 'best.pth') -> None:
        self.latest = latest
        self.best = best

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Follow checkpoints that are written between epochs."""
        self._update(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Follow the epoch's checkpoint."""
        self._update(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Follow the best checkpoint, which is written after validation."""
        self._update(runner)

    def after_train(self, runner: Runner) -> None:
        """Link both once more, and fall back to the last checkpoint where there is no best one."""
        self._update(runner)
        if runner.rank != 0 or self._path(runner, self._best_key(runner)) is not None:
            return
        last = self._path(runner, 'last_ckpt')
        if last is not None and link_file(last, Path(runner.work_dir) / self.best):
            runner.logger.info(f'No validation chose a best checkpoint: {self.best} is {last.name}.')

    def _update(self, runner: Runner) -> None:
        if runner.rank != 0:
            return
        for name, key in ((self.latest, 'last_ckpt'), (self.best, self._best_key(runner))):
            target = self._path(runner, key)
            if target is not None and link_file(target, Path(runner.work_dir) / name):
                runner.logger.info(f'{name} is {target.name}.')

    @staticmethod
    def _best_key(runner: Runner) -> str:
        """Where CheckpointHook notes the path of the best checkpoint in the message hub."""
        for hook in runner.hooks:
            metrics = getattr(hook, 'key_indicators', None) if isinstance(hook, CheckpointHook) else None
            if metrics and len(metrics) > 1:
                return f'best_ckpt_{metrics[0]}'
        return 'best_ckpt'

    @staticmethod
    def _path(runner: Runner, key: str) -> Path | None:
        """The checkpoint noted under ``key``, if there is such a file."""
        noted = runner.message_hub.runtime_info.get(key)
        path = Path(noted) if noted else None
        return path if path is not None and path.is_file() else None


def link_file(target: Path, name: Path) -> bool:
    """Make ``name`` another name of the file ``target``, atomically.

    A hard link comes first: unlike a symbolic one it survives the moment in
    which mmengine has removed the old best checkpoint and not yet written the
    new one. Where a file system has neither kind, the file is copied.

    Args:
        target: An existing file.
        name: The name to give it; replaced if it is there.

    Returns:
        bool: Whether anything had to change.
    """
    if name.exists() and (name.samefile(target) or _is_copy(name, target)):
        return False
    temporary = name.with_name(f'.{name.name}.{os.getpid()}')
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    try:
        os.link(target, temporary)
    except OSError:
        try:
            temporary.symlink_to(os.path.relpath(target, name.parent))
        except OSError:
            shutil.copy2(target, temporary)
    # os.replace does nothing when both are already the same file, and would leave the temporary name.
    os.replace(temporary, name)
    return True


def _is_copy(name: Path, target: Path) -> bool:
    """Whether ``name`` is an unchanged copy (``copy2`` keeps the time of writing)."""
    ours, theirs = name.stat(), target.stat()
    return ours.st_size == theirs.st_size and ours.st_mtime_ns == theirs.st_mtime_ns
