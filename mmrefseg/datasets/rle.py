"""COCO run-length encoding, read with numpy.

pycocotools trusts the ``counts`` it is given; a string that does not belong to its ``size`` makes it read or
write past its buffers. These functions look at the runs first.
"""

import numpy as np


def run_lengths(counts: str | bytes | list) -> np.ndarray:
    """Lengths of the runs of an RLE in column-major order, background first.

    The string form is COCO's: each number in groups of five bits, lowest first, bit 6 says that another group
    follows, bit 5 of the last group is the sign; from the fourth number on, the difference to the number two
    places before (pycocotools, ``rleFrString``).

    Args:
        counts: The ``counts`` of an RLE, compressed (str or bytes) or a plain list.

    Returns:
        int64 array of run lengths; their sum is height * width for a sound RLE.

    Raises:
        ValueError: If ``counts`` is not an RLE.
    """
    if isinstance(counts, list):
        runs = np.asarray(counts)
        if runs.ndim != 1 or (runs.size and runs.dtype.kind not in 'iu'):
            raise ValueError('counts that are not whole numbers')
        return runs.astype(np.int64)
    if isinstance(counts, str):
        counts = counts.encode('ascii', errors='replace')
    if not isinstance(counts, bytes):
        raise ValueError(f'counts of type {type(counts).__name__}')
    groups = np.frombuffer(counts, dtype=np.uint8).astype(np.int64) - 48
    if not groups.size:
        return np.zeros(0, dtype=np.int64)
    last = (groups & 0x20) == 0
    if groups.min() < 0 or groups.max() > 63 or not last[-1]:
        raise ValueError('counts that are not a COCO run-length string')
    starts = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1])
    place = np.arange(groups.size) - np.repeat(starts, np.diff(np.append(starts, groups.size)))
    if place.max() > 7:
        raise ValueError('counts with a run longer than any picture')
    numbers = np.add.reduceat((groups & 0x1F) << (5 * place), starts)
    ends = np.flatnonzero(last)
    negative = (groups[ends] & 0x10) != 0
    numbers = np.where(negative, numbers - (1 << (5 * (place[ends] + 1))), numbers)
    # The first three numbers stand for themselves; the differences start at the fourth.
    for first in (1, 2):
        numbers[first::2] = np.cumsum(numbers[first::2])
    return numbers


def area(counts: str | bytes | list, height: int, width: int) -> int:
    """Number of foreground pixels of an RLE.

    Raises:
        ValueError: If the runs do not fill ``height * width`` pixels exactly.
    """
    runs = run_lengths(counts)
    if (runs < 0).any() or int(runs.sum()) != height * width:
        raise ValueError(f'runs that cover {int(runs.sum())} pixels')
    return int(runs[1::2].sum())
