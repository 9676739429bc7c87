"""Polynomial decay whose last step still moves."""

from mmengine.optim.scheduler import PolyLR
from mmengine.registry import PARAM_SCHEDULERS
from torch.optim import Optimizer


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
