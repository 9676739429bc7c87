"""COCO run-length codes: read, checked, made from bitmaps, compared, resized, voted on.

An RLE is ``{'size': [h, w], 'counts': text}``: the lengths of alternating runs of background and foreground,
the mask read column by column, in pycocotools' compressed form. What is made here has its counts as text,
which json can hold and pycocotools takes. pycocotools trusts the ``counts`` that it is given: a string that
does not belong to its ``size`` makes it read or write past its buffers. So what comes from outside passes
:func:`rle_problem` first (:func:`mmrefseg.structures.masks.to_rle` calls it); the functions below it are for
masks that have.

M masks, R runs of all of them one after the other.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from ..utils.errors import Problem, short

RLE = dict
# pycocotools 2.0.11 counts the masks of a call for areas in a byte.
_MOST_AREAS = 255


class Runs(NamedTuple):
    """The runs of M masks.

    Attributes:
        lengths: (R,) int64 pixels, background first in each mask.
        mask: (R,) int64, the mask that a run belongs to.
        position: (R,) int64, the run's position in its mask; odd ones are foreground.
    """

    lengths: np.ndarray
    mask: np.ndarray
    position: np.ndarray

    def areas(self, num_masks: int) -> np.ndarray:
        """(M,) float64 whole numbers: the foreground pixels of each mask."""
        foreground = self.position % 2 == 1
        return np.bincount(self.mask[foreground], self.lengths[foreground], num_masks)


def run_lengths(counts: str | bytes | list) -> np.ndarray:
    """Lengths of the runs of an RLE in column-major order, background first.

    Args:
        counts: The ``counts`` of an RLE, compressed (str or bytes) or a plain list.

    Returns:
        int64 array of run lengths; their sum is height * width for a sound RLE.

    Raises:
        ValueError: If ``counts`` is not an RLE's.
    """
    if isinstance(counts, list):
        try:
            runs = np.asarray(counts)
        except ValueError:  # lists of different lengths
            runs = None
        if runs is None or runs.ndim != 1 or (runs.size and runs.dtype.kind not in 'iu'):
            raise ValueError('counts that are not whole numbers')
        return runs.astype(np.int64)
    if isinstance(counts, str):
        counts = _to_bytes(counts)
    if not isinstance(counts, bytes):
        raise ValueError(f'counts of type {type(counts).__name__}')
    numbers, _ = _read_numbers(counts)
    return _undo_differences(numbers, 0, np.arange(len(numbers)))


def decode_runs(counts: Sequence[str], areas: np.ndarray) -> Runs | None:
    """The run lengths of many compressed RLEs at once.

    Args:
        counts: M compressed ``counts``.
        areas: (M,) height x width of each mask.

    Returns:
        Runs; or None if any of the masks is broken or does not fill its image (:func:`run_lengths` says what
        is wrong with one).
    """
    data = _to_bytes(''.join(counts))
    try:
        numbers, ends = _read_numbers(data)
    except ValueError:
        return None
    bytes_end = np.cumsum([len(text) for text in counts])
    if not len(numbers) or (np.frombuffer(data, np.uint8)[bytes_end - 1] >= 48 + 32).any():
        return None  # nothing at all, or a number that goes on in the next mask
    mask = np.searchsorted(bytes_end, ends, side='right')
    number_of = np.bincount(mask, minlength=len(counts))
    start = (np.cumsum(number_of) - number_of)[mask]
    position = np.arange(len(numbers)) - start
    lengths = _undo_differences(numbers, start, position)
    if (lengths < 0).any() or (np.bincount(mask, lengths, len(counts)) != areas).any():
        return None
    return Runs(lengths, mask, position)


def _to_bytes(counts: str) -> bytes:
    # What is not ASCII becomes bytes that no RLE has.
    return counts.encode('utf-8', 'surrogatepass')


def _read_numbers(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of compressed counts, and where the last byte of each lies.

    Each number stands in groups of five bits, lowest first; bit 6 says that another group follows, bit 5 of
    the last group is the sign (pycocotools, ``rleFrString``).
    """
    groups = np.frombuffer(data, np.uint8).astype(np.int64) - 48
    if not len(groups):
        return groups, groups
    if groups.min() < 0 or groups.max() > 63 or groups[-1] >= 32:
        raise ValueError('counts that are not a COCO run-length string')
    ends = np.flatnonzero(groups < 32)
    sizes = np.diff(ends, prepend=-1)
    if sizes.max() > 8:
        raise ValueError('counts with a run longer than any image')
    starts = ends - sizes + 1
    position = np.arange(len(groups)) - np.repeat(starts, sizes)
    numbers = np.add.reduceat((groups & 31) << (5 * position), starts)
    numbers -= ((groups[ends] & 16) << 1) << (5 * (sizes - 1))
    return numbers, ends


def _undo_differences(numbers: np.ndarray, start: np.ndarray | int, position: np.ndarray) -> np.ndarray:
    """From the fourth number of a mask on, each is the difference to the one two before it.

    Args:
        numbers: (R,) of all masks.
        start: (R,) index of the first number of each one's mask.
        position: (R,) of each number in its mask.
    """
    sums = np.zeros(len(numbers) + 2, np.int64)
    for parity in (0, 1):
        sums[parity:-2:2] = np.cumsum(numbers[parity::2])
    # What a running sum held before a mask's own differences began: other masks and, for the even positions
    # from 2 on, the mask's first number, which stands for itself. Before the very first it is one of the
    # zeros at the end.
    before = start - (position & 1)
    before[position == 0] -= 2
    return sums[:-2] - sums[before]


def area(counts: str | bytes | list, height: int, width: int) -> int:
    """Number of foreground pixels of an RLE.

    Raises:
        ValueError: If the runs do not fill ``height * width`` pixels exactly.
    """
    runs = run_lengths(counts)
    # The sum of runs that are longer than any image may go round beyond 64 bits.
    total = int(runs.sum()) if not len(runs) or runs.max() <= height * width else sum(runs.tolist())
    if total != height * width or (len(runs) and runs.min() < 0):
        raise ValueError(f'runs that cover {total} pixels')
    return int(runs[1::2].sum())


def rle_problem(rle: dict, height: int, width: int) -> tuple[Problem | None, int]:
    """What is wrong with an RLE of an image of ``height`` x ``width`` pixels, and its area in pixels."""
    size = rle.get('size')
    if not isinstance(size, list | tuple) or list(size) != [height, width]:
        return Problem(
            f'an RLE of size {short(size)}',
            f'[height, width] = [{height}, {width}]',
            'encode the mask at the size of the image',
        ), 0
    try:
        return None, area(rle.get('counts'), int(height), int(width))
    except ValueError as error:
        return Problem(
            f'an RLE with {error}', f'runs that fill {width} x {height} pixels', 'encode the mask again'
        ), 0


def to_json_rle(rle: dict) -> RLE:
    """A compressed RLE with its counts as text, whatever they are (pycocotools and mmdet give bytes)."""
    counts = rle['counts']
    return {
        'size': [int(length) for length in rle['size']],
        'counts': counts.decode() if isinstance(counts, bytes) else counts,
    }


def compress(counts: Sequence[int], height: int, width: int) -> RLE:
    """Plain run lengths, which fill the image, as an RLE."""
    plain = {'size': [height, width], 'counts': [int(run) for run in counts]}
    return to_json_rle(coco_mask.frPyObjects(plain, height, width))


def encode_mask(mask: np.ndarray) -> RLE:
    """(H, W) array, foreground where true -> RLE."""
    return to_json_rle(coco_mask.encode(np.asfortranarray(np.asarray(mask, bool), np.uint8)))


def decode_mask(rle: RLE) -> np.ndarray:
    """RLE -> (H, W) bool."""
    return coco_mask.decode(rle).view(bool)


def areas(rles: Sequence[RLE]) -> np.ndarray:
    """(N,) int64: the foreground pixels of each mask."""
    parts = [coco_mask.area(rles[i : i + _MOST_AREAS]) for i in range(0, len(rles), _MOST_AREAS)]
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, np.int64)


def intersection_areas(first: Sequence[RLE], second: Sequence[RLE]) -> np.ndarray:
    """(N,) int64: the pixels that paired masks of one size share; nothing is decoded."""
    return areas([coco_mask.merge(list(pair), intersect=True) for pair in zip(first, second, strict=True)])


def ious(first: Sequence[RLE], second: Sequence[RLE]) -> np.ndarray:
    """(N, M) float64: the IoU of each of the first masks with each of the second, all of one size."""
    return coco_mask.iou(list(first), list(second), [0] * len(second))


def merge(rles: Sequence[RLE]) -> RLE:
    """The pixels that any of the masks (at least one, all of one size) holds."""
    return to_json_rle(rles[0] if len(rles) == 1 else coco_mask.merge(list(rles)))


def subtract(rle: RLE, removed: RLE) -> RLE:
    """The pixels of a mask that are not in another one of its size."""
    return encode_mask(decode_mask(rle) & ~decode_mask(removed))


def box_of(rle: RLE) -> list[float]:
    """The tightest box [x, y, width, height] around the foreground, in pixels; zeros where there is none."""
    return coco_mask.toBbox(rle).tolist()


def resize_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a mask by nearest neighbour, pixel centres matched (PIL's and torch's ``nearest-exact``
    convention).

    Args:
        mask: (H, W).
        height: The height wanted, in pixels.
        width: The width wanted, in pixels.
    """
    if mask.shape == (height, width):
        return mask
    # Integer arithmetic, floor((i + 0.5) * old / new), so that no rounding error moves a pixel.
    rows = ((2 * np.arange(height) + 1) * mask.shape[0]) // (2 * height)
    columns = ((2 * np.arange(width) + 1) * mask.shape[1]) // (2 * width)
    return mask[rows[:, None], columns[None, :]]


def resize_rle(rle: RLE, height: int, width: int) -> RLE:
    """:func:`resize_mask` of an RLE."""
    if list(rle['size']) == [height, width]:
        return rle
    return encode_mask(resize_mask(decode_mask(rle), height, width))


def vote(rles: Sequence[RLE]) -> RLE:
    """The pixels that at least half of ``rles`` (all of one size) hold: their mean at threshold 0.5."""
    if len(rles) == 1:
        return rles[0]
    votes = np.zeros(rles[0]['size'], np.uint16)
    for rle in rles:
        votes += coco_mask.decode(rle)
    return encode_mask(2 * votes >= len(rles))
