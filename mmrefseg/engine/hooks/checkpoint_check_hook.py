"""Does a checkpoint belong to the model that loads it?"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmrefseg.utils import UserInputError


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
        report = compare_state_dicts(model.state_dict(), checkpoint.get('state_dict', checkpoint))
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
        if resuming and 'optimizer' not in checkpoint:
            raise UserInputError.of(
                where,
                'weights without the state of the optimizer',
                'a checkpoint that training can resume from',
                'resume from latest.pth, or start anew from these weights with --load-from',
            )
        if runner.rank == 0:
            details = report.details()
            runner.logger.info(f'{where}: {report}' + (f'\n{details}' if details else ''))
            broken = broken_conventions(model, (checkpoint.get('meta') or {}).get('conventions') or {})
            if broken:
                runner.logger.warning(
                    f'{where}: its weights were trained with other conventions than those of this config and '
                    f'will not give what they gave; set {" ".join(broken)}'
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
