"""Telling the training set which epoch it is."""

from collections.abc import Iterator
from typing import Any

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
