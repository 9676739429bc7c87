"""What a frozen text encoder gives is always the same for a sentence: computed once, kept in memory."""

from collections.abc import Callable, Hashable, Iterable, Sequence

from torch import Tensor


class KeptSentences:
    """Tensors by sentence.

    Args:
        limit: Bytes; when they are full, all but the sentences that are asked for are forgotten.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.clear()

    def clear(self) -> None:
        """Forget all: the encoder has other weights."""
        self._vectors: dict[Hashable, Tensor] = {}
        self._bytes = 0

    def get(self, keys: Sequence[Hashable], compute: Callable[[list[int]], Sequence[Tensor]]) -> list[Tensor]:
        """The tensor of each sentence.

        Args:
            keys: One for each sentence, the same for the same sentence.
            compute: Gives the tensors of some of them, told by their places among ``keys``.
        """
        new = {key: row for row, key in enumerate(keys) if key not in self._vectors}
        if new:
            found = [vector.clone() for vector in compute([*new.values()])]  # parts of a batch keep all of it
            if self._bytes + _bytes(found) > self.limit:
                self._vectors = {key: self._vectors[key] for key in keys if key in self._vectors}
                self._bytes = _bytes(self._vectors.values())
            self._vectors.update(zip(new, found, strict=True))
            self._bytes += _bytes(found)
        return [self._vectors[key] for key in keys]


def _bytes(vectors: Iterable[Tensor]) -> int:
    return sum(vector.numel() * vector.element_size() for vector in vectors)
