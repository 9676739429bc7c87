"""One record's box and mask, checked."""

import numpy as np
import pycocotools.mask as mask_utils

from mmrefseg.utils import UserInputError

from ..validation import mask_problem


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


OVERLAPS = ('union', 'background')


def read_mask(mask: list | dict, height: int, width: int, where: str, overlap: str = 'union') -> np.ndarray:
    """A record's polygons or RLE as a bitmap.

    Polygons may overlap, cross themselves and reach out of the picture; they are filled as COCO does.

    Args:
        mask (list | dict): Polygons or RLE.
        height (int): Of the picture, in pixels.
        width (int): Of the picture, in pixels.
        where (str): File and id for error messages.
        overlap (str): What a pixel inside several polygons is: part of the object (``'union'``), or
            ``'background'``, as refer's ``getMask`` and with it LAVT and LAVT-pytorch have it (they add the
            polygons up and take what is 1).

    Returns:
        np.ndarray: (height, width) uint8, 1 inside. With ``'union'``, at least one pixel is.

    Raises:
        UserInputError: If it is neither polygons of at least three finite points nor an RLE of the picture's
            size, or if no pixel is inside.
    """
    # pycocotools trusts what it is given: a wrong run length makes it write past its buffers.
    problem = mask_problem(mask, height, width)
    if problem:
        raise UserInputError.of(where, *problem)
    if isinstance(mask, list) and overlap == 'background':
        parts = mask_utils.decode(mask_utils.frPyObjects(mask, height, width))
        return (parts.sum(axis=2, dtype=np.int64) == 1).astype(np.uint8)
    if isinstance(mask, list):
        rle = mask_utils.merge(mask_utils.frPyObjects(mask, height, width))
    elif isinstance(mask['counts'], list):
        rle = mask_utils.frPyObjects(mask, height, width)
    else:
        rle = mask
    return mask_utils.decode(rle)
