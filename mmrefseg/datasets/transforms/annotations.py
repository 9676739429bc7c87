"""One record's box and mask, checked."""

import numpy as np
import pycocotools.mask as mask_utils

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
    corners = np.array([x, y, x + w, y + h])
    return np.clip(corners, 0, np.tile([width - 1, height - 1], 2))


def read_mask(mask: list | dict, height: int, width: int, where: str) -> np.ndarray:
    """A record's polygons or RLE as a bitmap.

    Polygons may overlap, cross themselves and reach out of the picture; they are filled as COCO does.

    Returns:
        np.ndarray: (height, width) uint8, 1 inside, at least one pixel of it.

    Raises:
        UserInputError: If it is neither polygons of at least three finite points nor an RLE of the picture's
        size,
            or if no pixel is inside.
    """
    rle = _rle_of_size(mask, height, width, where) if isinstance(mask, dict) else None
    try:
        rle = rle or mask_utils.merge(mask_utils.frPyObjects(_checked_polygons(mask, where), height, width))
        bitmap = mask_utils.decode(rle)
    except UserInputError:
        raise
    except Exception as error:  # pycocotools raises whatever its C code tells it
        raise UserInputError.of(
            where, f'a mask that pycocotools cannot read ({error})', 'a COCO mask', 'mend or remove the mask'
        ) from error
    if not bitmap.any():
        raise UserInputError.of(
            where,
            'a mask without a single pixel inside the picture',
            'a mask of at least one pixel',
            'mend the mask, or remove its key `mask` to use only the box',
        )
    return bitmap


def _rle_of_size(mask: dict, height: int, width: int, where: str) -> dict:
    size, counts = mask.get('size'), mask.get('counts')
    if counts is None or size is None or list(size) != [height, width]:
        raise UserInputError.of(
            where,
            f'an RLE of size {size}' + (' without counts' if counts is None else ''),
            f'counts and the size [{height}, {width}] (height, width) of the picture',
            'write the mask again for this picture',
        )
    return mask_utils.frPyObjects(mask, height, width) if isinstance(counts, list) else mask


def _checked_polygons(polygons: list, where: str) -> list[list[float]]:
    """The polygons as flat lists of floats (pycocotools would take four numbers for a box)."""
    if not isinstance(polygons, list | tuple) or not polygons:
        raise UserInputError.of(
            where,
            f'a mask of type {type(polygons).__name__}' if polygons else 'a mask of no polygon',
            'a list of polygons [[x, y, x, y, ...], ...] or an RLE {size, counts}',
            'mend the mask, or remove its key `mask` to use only the box',
        )
    checked = []
    for index, polygon in enumerate(polygons):
        try:
            points = np.asarray(polygon, np.float64)
        except (TypeError, ValueError):
            points = np.array(np.nan)
        if points.ndim != 1 or points.size < 6 or points.size % 2 or not np.isfinite(points).all():
            raise UserInputError.of(
                where,
                f'polygon {index} of {points.size} values'
                + ('' if np.isfinite(points).all() else ', not all finite'),
                'at least three points as finite numbers [x, y, x, y, x, y, ...]',
                'mend or remove the polygon',
            )
        checked.append(points.tolist())
    return checked
