"""What a new epoch tells the data: its number, and the seed of what is drawn in it."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmdet.registry import HOOKS
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner


@HOOKS.register_module()
class DatasetEpochHook(Hook):
    """Call ``set_epoch`` of the training set, through its wrappers, before each epoch.

    :class:`mmrefseg.datasets.RefSegDataset` draws an object's expression (and its transforms their random
    numbers) from the epoch; without this hook every epoch would see the same ones. A resumed run sets the
    epoch that it resumes at, so it draws what the uninterrupted run would have drawn.

    In an iteration-based loop, which has no epochs, the pass over the data is counted from the iterations.
    Batches that workers fetched ahead then still belong to the pass before.
    """

    def before_train_epoch(self, runner: Runner) -> None:
        """Set the epoch of an epoch-based loop."""
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            set_dataset_epoch(runner.train_dataloader.dataset, runner.epoch)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Set the pass over the data of an iteration-based loop."""
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            return
        loader = runner.train_dataloader
        batch_size = loader.batch_size or loader.batch_sampler.batch_size
        seen = (runner.iter + 1) * batch_size * get_world_size()
        set_dataset_epoch(loader.dataset, seen // len(loader.dataset))


def set_dataset_epoch(dataset: Any, epoch: int) -> int:
    """Call ``set_epoch`` of every dataset inside the wrappers (concatenated, repeated, subset...).

    Args:
        dataset: A dataset, or a wrapper that holds its own in ``dataset`` or ``datasets``.
        epoch: The epoch, from 0.

    Returns:
        How many datasets were told.
    """
    return sum(1 for inner in _unwrap(dataset) if _tell(inner, epoch))


def _tell(dataset: Any, epoch: int) -> bool:
    if not hasattr(dataset, 'set_epoch'):
        return False
    dataset.set_epoch(epoch)
    return True


def _unwrap(dataset: Any) -> Iterator[Any]:
    inner = [*getattr(dataset, 'datasets', ())]
    if hasattr(dataset, 'dataset'):
        inner.append(dataset.dataset)
    yield dataset
    for each in inner:
        yield from _unwrap(each)


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
