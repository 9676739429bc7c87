"""Region Projection Prediction score (RPP) of Partial-RES: does a mask fill its box in width and in height?

Qu et al., "Learning to Segment Every Referring Object Point by Point", CVPR 2023, section 3.4: the predicted
mask and the true box are projected on x and on y; the score is the sum of the two dice losses. The
projections follow from the runs of an RLE: nothing is decoded, and many masks are done at once.

M masks, R runs of all of them one after the other, H W the largest image.
"""

from collections.abc import Sequence

import numpy as np

from ..structures.rle import Runs, run_lengths

# The originals' ``dice_coefficient`` adds it to the denominator.
EPSILON = 1e-5
WORST = 2.0


def project(runs: Runs, heights: np.ndarray, widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which columns and rows each mask touches; linear in the runs.

    Args:
        runs: Of M masks that fill their images.
        heights: (M,) int64 pixels.
        widths: (M,) int64 pixels.

    Returns:
        (M, W) bool columns, (M, H) bool rows.
    """
    areas = heights * widths
    ends = np.cumsum(runs.lengths) - (np.cumsum(areas) - areas)[runs.mask]
    foreground = (runs.position % 2 == 1) & (runs.lengths > 0)
    mask, height = runs.mask[foreground], heights[runs.mask[foreground]]
    first_column, first_row = np.divmod((ends - runs.lengths)[foreground], height)
    last_column, last_row = np.divmod(ends[foreground] - 1, height)
    columns = _covered(mask, first_column, last_column, len(heights), int(widths.max()))
    # A run over the foot of a column goes on at the head of the next; over two feet, it touches every row.
    spread = last_column - first_column
    wraps = spread == 1
    rows = _covered(
        np.concatenate([mask, mask[wraps]]),
        np.concatenate([np.where(spread > 1, 0, first_row), np.zeros(wraps.sum(), np.int64)]),
        np.concatenate([np.where(spread > 0, height - 1, last_row), last_row[wraps]]),
        len(heights),
        int(heights.max()),
    )
    return columns, rows


def _covered(
    mask: np.ndarray, first: np.ndarray, last: np.ndarray, num_masks: int, length: int
) -> np.ndarray:
    """(num_masks, length) bool: what the closed intervals [first, last] of each mask cover."""
    row = mask * (length + 1)
    size = num_masks * (length + 1)
    steps = np.bincount(row + first, minlength=size) - np.bincount(row + last + 1, minlength=size)
    return np.cumsum(steps.reshape(num_masks, length + 1), axis=1)[:, :length] > 0


def int_boxes(boxes: np.ndarray, heights: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Boxes (M, 4) x, y, w, h on whole pixels as the original has them, clipped to the images.

    Returns:
        (M, 4) int64 left, top, right, bottom: pixels int(x) to int(x) + int(w), the last one not included;
        all 0 for a box without a pixel.
    """
    whole = np.trunc(np.asarray(boxes, np.float64)).astype(np.int64)
    corners = np.concatenate([whole[:, :2], whole[:, :2] + whole[:, 2:]], axis=1)
    corners = np.clip(corners, 0, np.stack([widths, heights, widths, heights], axis=1))
    corners[(corners[:, 2:] <= corners[:, :2]).any(axis=1)] = 0
    return corners


def projection_terms(runs: Runs, boxes: np.ndarray, heights: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """The RPP scores of M masks against their boxes: 0 where both projections agree, 2 where they share
    nothing.

    Args:
        runs: See :func:`project`.
        boxes: (M, 4) true boxes x, y, w, h in pixels, brought to whole pixels by :func:`int_boxes`.
        heights: (M,) of the images, in pixels.
        widths: (M,) of the images, in pixels.

    Returns:
        (M,) float64 sum of two dice losses, in [0, 2]; exactly 2 for an empty mask.
    """
    columns, rows = project(runs, heights, widths)
    corners = int_boxes(boxes, heights, widths)
    return _dice_loss(columns, corners[:, 0], corners[:, 2]) + _dice_loss(rows, corners[:, 1], corners[:, 3])


def _dice_loss(covered: np.ndarray, first: np.ndarray, stop: np.ndarray) -> np.ndarray:
    index = np.arange(covered.shape[1])
    box = (index >= first[:, None]) & (index < stop[:, None])
    inside = np.count_nonzero(covered & box, axis=1)
    return 1.0 - 2.0 * inside / (np.count_nonzero(covered, axis=1) + np.count_nonzero(box, axis=1) + EPSILON)


def projection_term(rle: dict, bbox: Sequence[float]) -> float:
    """:func:`projection_terms` of one mask.

    Args:
        rle: ``{'size': [h, w], 'counts'}``, compressed or plain.
        bbox: The true box x, y, w, h in pixels.

    Raises:
        ValueError: If the RLE is broken.
    """
    height, width = rle['size']
    lengths = run_lengths(rle['counts'])
    if (lengths < 0).any() or lengths.sum() != height * width:
        raise ValueError(f'found runs of {lengths.sum()} pixels, expected {height * width}')
    runs = Runs(lengths, np.zeros(len(lengths), np.int64), np.arange(len(lengths)))
    terms = projection_terms(runs, np.asarray([bbox]), np.array([height]), np.array([width]))
    return float(terms[0])
