"""An epoch number that data loader workers see change."""

import torch


class SharedEpoch:
    """An integer in shared memory.

    Workers that a loader keeps between epochs (``persistent_workers=True``) hold a copy of the dataset
    from the time they were started; a plain attribute set later in the main process never reaches them.
    """

    def __init__(self, value: int = 0) -> None:
        self._value = torch.full((1,), value, dtype=torch.int64).share_memory_()

    def get(self) -> int:
        """The epoch that was set last, in this process or another."""
        return int(self._value.item())

    def set(self, value: int) -> None:
        """Set the epoch for all processes that share this object."""
        self._value.fill_(value)

    def __deepcopy__(self, memo: dict) -> 'SharedEpoch':
        return SharedEpoch(self.get())
