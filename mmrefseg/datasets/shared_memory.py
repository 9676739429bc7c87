"""What the workers of a data loader share with the main process: the records and the epoch."""

import pickle
from collections.abc import Iterable

import numpy as np
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


class RecordStore:
    """An immutable list of records, each pickled into one long array.

    Python objects are copied to a worker page by page as their reference counts change; an array of bytes
    is not (the idea of mmengine's ``serialize_data``). Samples refer to records by position, so that an
    object with four expressions, or an image with ten objects, keeps each mask in memory once however the
    samples are grouped.

    Args:
        records: Records to keep; read once.
    """

    def __init__(self, records: Iterable[dict]) -> None:
        parts = [pickle.dumps(record, protocol=pickle.HIGHEST_PROTOCOL) for record in records]
        self._ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        self._bytes = np.frombuffer(b''.join(parts), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> dict:
        """A fresh copy of the record at ``index`` (0-based, not negative)."""
        start = int(self._ends[index - 1]) if index else 0
        return pickle.loads(memoryview(self._bytes[start : int(self._ends[index])]))

    def __deepcopy__(self, memo: dict) -> 'RecordStore':
        return self

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self._bytes.nbytes + self._ends.nbytes
