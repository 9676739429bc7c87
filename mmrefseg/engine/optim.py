"""What of optimizers and schedules mmengine lacks: merged parameter groups, LAVT's polynomial decay."""

from mmdet.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.optim.scheduler import PolyLR
from mmengine.registry import PARAM_SCHEDULERS
from torch import nn
from torch.optim import Optimizer


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class MergedGroupsConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor, but parameters with the same settings share a group.

    mmengine makes a group of every parameter as soon as there is a ``paramwise_cfg``. Each group is a
    call of the optimizer's kernel and a step of the scheduler, which a small network with 200 parameters
    feels. The updates are the same.
    """

    def add_params(self, params: list[dict], module: nn.Module, *args, **kwargs) -> None:
        """Collect the groups of a module; ``params`` is changed in place."""
        super().add_params(params, module, *args, **kwargs)
        merged: dict[tuple, dict] = {}
        for group in params:
            settings = {key: value for key, value in group.items() if key != 'params'}
            key = tuple(sorted(settings.items()))
            merged.setdefault(key, {'params': [], **settings})['params'].extend(group['params'])
        params[:] = merged.values()


@PARAM_SCHEDULERS.register_module()
class PolyDecay(PolyLR):
    """``lr * (1 - step / steps) ** power``: LAVT's decay, with a rate above ``eta_min`` at every step.

    mmengine's ``PolyLR`` arrives at ``eta_min`` on the last step, which then changes nothing; this one would
    arrive behind it, as the released code does.

    Args:
        optimizer: Or mmengine's wrapper of one.
        begin: First step (or epoch).
        end: Behind the last one.
        kwargs: The other arguments of ``PolyLR``, ``power``, ``eta_min``, ``by_epoch`` among them.
    """

    def __init__(self, optimizer: Optimizer, *args, begin: int = 0, end: int, **kwargs) -> None:
        super().__init__(optimizer, *args, begin=begin, end=end + 1, **kwargs)
