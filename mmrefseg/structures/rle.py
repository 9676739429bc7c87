"""COCO run-length codes: read, checked, made from polygons or arrays, resized, voted on.

An RLE is ``{'size': [h, w], 'counts': bytes}``: the lengths of alternating runs of background and
foreground, the mask read column by column, in pycocotools' compressed form. pycocotools trusts the ``counts``
it is given; a string that does not belong to its ``size`` makes it read or write past its buffers. These
functions look at the runs first.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from ..utils import UserInputError


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


RLE = dict
# A vertex further out than this is a mistake, and pycocotools would allocate memory for every pixel of the
# way.
_FARTHEST_VERTEX = 1e6


def rle_runs(counts: bytes | str | list[int], where: str = 'RLE') -> np.ndarray:
    """The run lengths of a compressed RLE, without decoding the mask.

    Args:
        counts: The lengths, compressed or plain.
        where: What to name in an error.

    Returns:
        (R,) int64, background first, in pixels.

    Raises:
        UserInputError: If ``counts`` is not an RLE's.
    """
    try:
        return run_lengths(counts)
    except ValueError as error:
        raise UserInputError.of(
            where, str(error), "pycocotools' run lengths", 'write the mask again'
        ) from None


def checked_rle(rle: dict, height: int, width: int, where: str = 'RLE') -> RLE:
    """An RLE whose size and runs are those of an image of ``height`` x ``width``, counts as bytes.

    Raises:
        UserInputError: If its size is another, or its runs do not fill the image exactly.
    """
    size, counts = rle.get('size'), rle.get('counts')
    if not isinstance(size, Sequence) or list(size) != [height, width]:
        raise UserInputError.of(
            where,
            f'a mask of size {size}',
            f'[{height}, {width}] (height, width of the image)',
            "predict in the image's own frame",
        )
    runs = rle_runs(counts, where)
    if (len(runs) and runs.min() < 0) or runs.sum() != height * width:
        raise UserInputError.of(
            where, f'runs of {runs.sum()} pixels in all', f'{height * width}', 'write the mask again'
        )
    if isinstance(counts, list):
        return coco_mask.frPyObjects(
            {'size': [height, width], 'counts': [int(run) for run in runs]}, height, width
        )
    return {'size': [height, width], 'counts': counts.encode() if isinstance(counts, str) else bytes(counts)}


def to_rle(segmentation: Any, height: int, width: int, where: str = 'mask') -> RLE:
    """Polygons, compressed or plain RLE -> one compressed RLE, the parts of a mask merged.

    Args:
        segmentation: ``[[x, y, x, y, ...], ...]`` in pixels, or ``{'size', 'counts'}``.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        where: What to name in an error.

    Raises:
        UserInputError: For a polygon of fewer than 3 points or with coordinates that are not finite, an RLE
            of another size or with broken runs, or anything else.
    """
    if isinstance(segmentation, dict):
        return checked_rle(segmentation, height, width, where)
    if not isinstance(segmentation, (list, tuple)):
        raise UserInputError.of(
            where,
            f'a mask of type {type(segmentation).__name__}',
            'polygons or RLE',
            'write [[x, y, ...], ...] or {size, counts}',
        )
    for polygon in segmentation:
        _check_polygon(polygon, where)
    if not segmentation:
        return encode_mask(np.zeros((height, width), bool))
    parts = coco_mask.frPyObjects([list(map(float, polygon)) for polygon in segmentation], height, width)
    return coco_mask.merge(parts)


def _check_polygon(polygon: Any, where: str) -> None:
    if not isinstance(polygon, (list, tuple)) or len(polygon) < 6 or len(polygon) % 2:
        found = f'{len(polygon)} numbers' if isinstance(polygon, (list, tuple)) else type(polygon).__name__
        raise UserInputError.of(
            where, f'a polygon of {found}', 'x, y of at least 3 points', 'mend or leave out the polygon'
        )
    for value in polygon:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise UserInputError.of(
                where, f'the coordinate {value!r}', 'finite numbers', 'mend or leave out the polygon'
            )
        if abs(value) > _FARTHEST_VERTEX:
            raise UserInputError.of(
                where, f'the coordinate {value!r}', 'pixels of the image', 'mend or leave out the polygon'
            )


def encode_mask(mask: np.ndarray) -> RLE:
    """(H, W) array, foreground where true -> RLE with counts as bytes."""
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))


def decode_mask(rle: RLE) -> np.ndarray:
    """RLE -> (H, W) bool."""
    return coco_mask.decode(rle).astype(bool)


def to_json_rle(rle: RLE) -> dict:
    """The same RLE with its counts as text, as json needs them."""
    counts = rle['counts']
    return {
        'size': [int(length) for length in rle['size']],
        'counts': counts.decode() if isinstance(counts, bytes) else counts,
    }


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
