"""A loss that is no number any more ends the training."""

import math
from typing import Any

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...utils import UserInputError


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop at the first step whose loss is NaN or infinite, before it is saved.

    Every weight is NaN after such a step, and so are all that follow: training on would take its hours, pass
    its validations with empty masks, and write NaN into the checkpoints.
    """

    # Before CheckpointHook (VERY_LOW), which may save behind any step.
    priority = 'VERY_HIGH'

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Look at all losses of the step.

        Raises:
            UserInputError: If one of them is not finite.
        """
        broken = {
            name: value
            for name, value in (outputs or {}).items()
            if 'loss' in name and not math.isfinite(_number(value))
        }
        if not broken:
            return
        # `loss` is the sum: one of its parts says more
        name = next((name for name in broken if name != 'loss'), 'loss')
        rates = [rate for values in runner.optim_wrapper.get_lr().values() for rate in values]
        raise UserInputError.of(
            f'epoch {runner.epoch + 1}, step {runner.iter + 1}',
            f'{name} = {_number(broken[name])}',
            'a finite number',
            f'lower the learning rate (optim_wrapper.optimizer.lr, now up to {max(rates):g}), clip gradients '
            '(optim_wrapper.clip_grad), or look for NaN in the data; --resume goes on from the last epoch',
        )


def _number(value: Any) -> float:
    return float(value.detach() if hasattr(value, 'detach') else value)
