"""Checkpoints: checked when they are loaded, linked under fixed names, named to the metrics."""

import contextlib
import os
import shutil
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from mmdet.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.evaluator import BaseMetric
from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner

from ...compat.carried import STOOD_IN, carried_by, vocabulary_in
from ...compat.checkpoint import without_number
from ...utils import UserInputError, file_sha256
from ...utils.places import is_shipped, shipped_weights
from ...utils.progress import ON_TERMINAL
from .resume_checks import resume_problem
from .word_hooks import describe_words, move_word_rows


@dataclass(frozen=True)
class KeyReport:
    """How the tensors of a checkpoint fit those of a model.

    Attributes:
        fitting: Names that both have, in the same shape.
        missing: Names that only the model has.
        unexpected: Names that only the checkpoint has.
        mismatched: ``name: shape in the checkpoint -> shape in the model``.
    """

    fitting: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]

    @property
    def model_share(self) -> float:
        """Share of the model's tensors that the checkpoint gives, in [0, 1]."""
        in_model = len(self.fitting) + len(self.missing) + len(self.mismatched)
        return len(self.fitting) / max(in_model, 1)

    @property
    def checkpoint_share(self) -> float:
        """Share of the checkpoint's tensors that the model takes, in [0, 1]."""
        in_checkpoint = len(self.fitting) + len(self.unexpected) + len(self.mismatched)
        return len(self.fitting) / max(in_checkpoint, 1)

    def __str__(self) -> str:
        in_model = len(self.fitting) + len(self.missing) + len(self.mismatched)
        in_checkpoint = len(self.fitting) + len(self.unexpected) + len(self.mismatched)
        return (
            f'{len(self.fitting)} of the {in_model} tensors of the model are among the {in_checkpoint} '
            f'of the checkpoint ({len(self.missing)} missing, {len(self.unexpected)} unexpected, '
            f'{len(self.mismatched)} of another shape)'
        )

    def details(self, limit: int = 20) -> str:
        """The names that do not fit, at most ``limit`` of each kind, one kind a line."""
        lines = []
        for title in ('missing', 'unexpected', 'mismatched'):
            names = getattr(self, title)
            if names:
                more = f', ... {len(names) - limit} more' if len(names) > limit else ''
                lines.append(f'{title}: {", ".join(names[:limit])}{more}')
        return '\n'.join(lines)


def compare_state_dicts(model: Mapping, checkpoint: Mapping) -> KeyReport:
    """Compare names and shapes of two state dicts.

    Args:
        model: State dict of the model.
        checkpoint: State dict of the checkpoint; a leading ``module.`` (data-parallel training) is dropped.

    Returns:
        KeyReport: What fits and what does not. BatchNorm's ``num_batches_tracked`` is not counted.
    """
    model = {key: value for key, value in model.items() if not key.endswith('num_batches_tracked')}
    checkpoint = {
        key.removeprefix('module.'): value
        for key, value in checkpoint.items()
        if isinstance(value, torch.Tensor) and not key.endswith('num_batches_tracked')
    }
    common = [key for key in model if key in checkpoint]
    fitting = tuple(key for key in common if model[key].shape == checkpoint[key].shape)
    mismatched = tuple(
        f'{key}: {tuple(checkpoint[key].shape)} -> {tuple(model[key].shape)}'
        for key in common
        if model[key].shape != checkpoint[key].shape
    )
    missing = tuple(key for key in model if key not in checkpoint)
    unexpected = tuple(key for key in checkpoint if key not in model)
    return KeyReport(fitting, missing, unexpected, mismatched)


@HOOKS.register_module()
class CheckpointCheckHook(Hook):
    """Refuse the checkpoint of another model, and say in the log what was loaded.

    mmengine loads what fits and passes over the rest. That is right for going
    from comprehension to segmentation, where the heads differ in a few
    tensors, and a silent disaster for a wrong path.

    A model that can start from another's weights under other names has ``adapt_state_dict(state)``, which
    renames them in place before training begins.

    Args:
        train_share: To start training, at least this share of the model's (or
            of the checkpoint's, for a backbone alone) tensors must fit.
        test_share: To test or to resume, at least this share of the model's
            tensors must come from the checkpoint.

    Raises:
        UserInputError: From :meth:`after_load_checkpoint`.
    """

    def __init__(self, train_share: float = 0.5, test_share: float = 1.0) -> None:
        self.train_share = train_share
        self.test_share = test_share

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare before anything is copied into the model."""
        where = f'checkpoint {runner._load_from or ""}'.strip()
        # Until it runs, a runner keeps the config of its training loop; a tester has none.
        training = runner._train_loop is not None and not isinstance(runner._train_loop, dict)
        resuming = training and bool(runner._resume)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        state = checkpoint.get('state_dict', checkpoint)
        if training and not resuming and hasattr(model, 'adapt_state_dict'):
            model.adapt_state_dict(state)
        if not resuming:
            _take_words(runner, model, checkpoint, state, where)
        report = compare_state_dicts(model.state_dict(), state)
        if training and not resuming:
            share, limit = max(report.model_share, report.checkpoint_share), self.train_share
        else:
            share, limit = report.model_share, self.test_share
        if share < limit or not report.fitting:
            raise UserInputError(
                f'{where}: {report}, so it belongs to another model than the {type(model).__name__} of this '
                f'config; expected at least {limit:.0%} to fit; give the checkpoint that belongs to the '
                f'config ({_first_misfit(report)})'
            )
        if training:
            _check_encoders(runner.cfg.get(STOOD_IN) or {}, report, where)
        problem = resume_problem(runner, checkpoint) if resuming else None
        if problem:
            raise UserInputError.of(where, *problem)
        refuse_broken_weights(model, state, where)
        if runner.rank == 0:
            details = report.details()
            runner.logger.info(f'{where}: {report}' + (f'\n{details}' if details else ''), extra=ON_TERMINAL)
            broken = broken_conventions(model, (checkpoint.get('meta') or {}).get('conventions') or {})
            if broken:
                runner.logger.warning(
                    f'{where}: its weights were trained with other conventions than those of this config and '
                    f'will not give what they gave; set {" ".join(broken)}'
                )


def _check_encoders(places: Iterable[str], report: KeyReport, where: str) -> None:
    """See that a checkpoint that stands in for encoders' folders has their weights, which would stay random.

    Args:
        places: Where in the model they are.
        report: How the weights fit.
        where: The file, for the message.

    Raises:
        UserInputError: If one is missing, or of another shape.
    """
    inside = tuple(f'{place}.{module}.' for place in places for module in ('encoder', 'bert'))
    absent = [name for name in (*report.missing, *report.mismatched) if name.startswith(inside)]
    if inside and absent:
        raise UserInputError.of(
            where,
            f'{len(absent)} weights of an encoder missing or of another shape (the first is {absent[0]})',
            'all of them, as its folder is not there',
            "bring the encoder's folder, or take a whole checkpoint",
        )


def _take_words(runner: Runner, model: torch.nn.Module, checkpoint: dict, state: dict, where: str) -> None:
    """Bring the checkpoint's word vectors to the places of these words, and say which are new."""
    words = vocabulary_in(carried_by(checkpoint, where)).get('words', [])
    new, gone = move_word_rows(model, state, words) if words else ([], [])
    if (new or gone) and runner.rank == 0:
        runner.logger.info(f'{where}: {describe_words(new, gone, words)}', extra=ON_TERMINAL)


def refuse_broken_weights(model: torch.nn.Module, state: Mapping, where: str) -> None:
    """See that the weights that a model takes are numbers.

    Args:
        model: The model that loads them.
        state: Name -> tensor; a leading ``module.`` is dropped.
        where: The file, for the message.

    Raises:
        UserInputError: If one is NaN, or a parameter infinite.
    """
    parameters = {name for name, _ in model.named_parameters()}
    taken = {key.removeprefix('module.'): value for key, value in state.items()}
    taken = {key: taken[key] for key in model.state_dict() if key in taken}
    broken = without_number(taken, parameters)
    if broken:
        raise UserInputError.of(
            where,
            f'NaN or infinite weights in {len(broken)} of {len(taken)} tensors (the first is {broken[0]})',
            'numbers',
            'use an earlier checkpoint: its training had failed when it was written',
        )


def broken_conventions(model: torch.nn.Module, conventions: Mapping[str, object]) -> list[str]:
    """``model.NAME=VALUE`` for each switch of the model that differs from what weights were trained under.

    Args:
        model: The model that loads them.
        conventions: Name -> value, from a converted checkpoint's ``meta['conventions']``; names that the
            model does not have are passed over.
    """
    broken = []
    for name, value in conventions.items():
        owner = model
        for part in name.split('.'):
            owner = getattr(owner, part, None)
        if owner is not None and owner != value:
            broken.append(f'model.{name}={value}')
    return broken


def _first_misfit(report: KeyReport) -> str:
    for title in ('mismatched', 'missing', 'unexpected'):
        names = getattr(report, title)
        if names:
            return f'first {title}: {names[0]}'
    return 'the checkpoint holds no tensor'


@HOOKS.register_module()
class WriteFirstCheckpointHook(CheckpointHook):
    """mmengine's, which removes an old checkpoint only when the new one is on the disk.

    So ``max_keep_ckpts=1`` is enough: at no moment is a run without a checkpoint to resume from. Its
    arguments are those of :class:`mmengine.hooks.CheckpointHook`.
    """

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        most = self.max_keep_ckpts
        if most <= 0:
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        self.keep_ckpt_ids = deque(self.keep_ckpt_ids)
        self.max_keep_ckpts = len(self.keep_ckpt_ids) + 1
        try:
            super()._save_checkpoint_with_step(runner, step, meta)
        finally:
            self.max_keep_ckpts = most
        while len(self.keep_ckpt_ids) > most:
            old = self.file_backend.join_path(
                self.out_dir, self.filename_tmpl.format(self.keep_ckpt_ids.popleft())
            )
            if runner.rank == 0 and self.file_backend.isfile(old):
                self.file_backend.remove(old)
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))


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
    temporary = name.with_name(f'.{name.name}.tmp')  # one name: what a killed run has left goes here
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


@HOOKS.register_module()
class NameCheckpointHook(Hook):
    """Tell the metrics that ask for it (``PseudoLabelDump``) what was loaded, before the first batch.

    tools/test.py has done so before; this is for other tools that test by a config, such as mmdet's. After
    training in the same process the weights are no file's, and the metrics hear nothing.
    """

    def before_test(self, runner: Runner) -> None:
        """Once the weights are loaded."""
        # asking for runner.iter would build the training, and read its data, in every test
        trained = isinstance(runner._train_loop, BaseLoop) and runner.iter > 0
        begin_metrics(runner.test_evaluator.metrics, None if trained else runner._load_from)


def begin_metrics(metrics: Iterable[BaseMetric], load_from: str | None) -> None:
    """Call ``begin(checkpoint, sha256)`` of the metrics that have it and have not begun.

    Args:
        metrics: Of the test.
        load_from: What the weights are loaded from; what is no file of this machine (an address, but for
            weights inside the package) is named and not hashed.

    Raises:
        UserInputError: If a metric refuses to begin.
    """
    waiting = [metric for metric in metrics if not getattr(metric, 'begun', True)]
    if not waiting:
        return
    sha256 = None
    if load_from and get_rank() == 0:  # the file may be large, and others on the same disk
        path = shipped_weights(load_from) if is_shipped(load_from) else Path(load_from).expanduser()
        sha256 = file_sha256(path) if path.is_file() else None
    for metric in waiting:
        metric.begin(load_from, sha256)
