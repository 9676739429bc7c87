"""One record's box and mask, checked."""

import numpy as np

from mmrefseg.utils import UserInputError


def read_box(bbox: list[float], height: int, width: int, where: str) -> np.ndarray:
    """A record's box as corners inside the picture.

    Args:
        bbox (list[float]): x, y, width, height in pixels. It is not changed.
        height (int): Of the picture, in pixels.
        width (int): Of the picture, in pixels.
        where (str): File and id for error messages.

    Returns:
        np.ndarray: (4,) float64 x1, y1, x2, y2, clipped to [0, width - 1] and [0, height - 1] as SeqTR does.

    Raises:
        UserInputError: If it is not four finite numbers, has no area or lies outside of the picture.
    """
    try:
        x, y, w, h = box = np.asarray(bbox, np.float64)
    except (TypeError, ValueError):
        box = np.array([np.nan])
    if not np.isfinite(box).all():
        raise UserInputError.of(
            where, f'bbox {bbox}', 'four finite numbers x, y, width, height', 'mend or remove the record'
        )
    if w <= 0 or h <= 0 or x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise UserInputError.of(
            where,
            f'bbox {bbox}',
            f'a box of positive width and height that overlaps the picture of {width} x {height} pixels',
            'mend or remove the record (boxes are x, y, width, height)',
        )
    return np.clip([x, y, x + w, y + h], 0, np.tile([width - 1, height - 1], 2))


def read_points(points: list[float] | None, where: str) -> np.ndarray | None:
    """The contour that a pseudo mask was drawn from.

    Args:
        points (list[float] | None): x, y, x, y, ... in pixels of the original picture.
        where (str): File and id for error messages.

    Returns:
        np.ndarray | None: (K, 2) float32, None without points.

    Raises:
        UserInputError: If they are not pairs of finite numbers.
    """
    if points is None:
        return None
    try:
        pairs = np.asarray(points, np.float32).reshape(-1, 2)
    except (TypeError, ValueError):
        pairs = np.full((1, 2), np.nan)
    if not np.isfinite(pairs).all():
        raise UserInputError.of(
            where,
            f'mask_points {str(points)[:60]}',
            'finite numbers x, y, x, y, ...',
            'remove mask_points (the contour of the mask is used then), or select the pseudo masks again',
        )
    return pairs
