"""Random numbers that depend on the seed and the epoch, not on what ran before."""

import random

import numpy as np
import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed ``random``, numpy and torch at the start of each epoch.

    mmengine seeds once, at the start of the process, and its checkpoints do
    not keep the state of the generators: a resumed run draws other dropout
    masks than one that was never interrupted. With this hook both draw the
    same, so that resuming at an epoch's end is exact. In an iteration-based
    loop the seed is set before each iteration.

    The numbers of epoch ``e`` on rank ``r`` come from
    ``numpy.random.SeedSequence([seed, e, r])``.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed for the epoch that begins."""
        seed_everything(runner.seed, runner.epoch, runner.rank)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        """Seed for the iteration, where there are no epochs."""
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            seed_everything(runner.seed, runner.iter, runner.rank)


def seed_everything(*entropy: int) -> None:
    """Seed ``random``, numpy and torch (all devices) from some integers >= 0."""
    words = np.random.SeedSequence([int(number) for number in entropy]).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    torch.manual_seed(int(words[2]))
