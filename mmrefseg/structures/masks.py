"""Masks of the working format, polygons or RLE: what one must be, and the way to run lengths and bitmaps.

Self-crossing polygons are legal in COCO and are filled by COCO's rasteriser (even-odd along each row), so
they are accepted; so is what lies partly outside the image, which is cut off.
"""

from collections.abc import Callable, Sequence
from operator import mul
from typing import Any

import numpy as np

from ..utils import UserInputError
from ..utils.errors import Problem
from .polygons import (
    LONGEST_OUTLINE,
    distance_problem,
    fill_polygons,
    numbers_problem,
    polygon_bounds,
    polygon_problem,
    polygon_rles,
)
from .rle import RLE, areas, box_of, compress, decode_mask, merge, rle_problem, to_json_rle

Mask = list | dict
OVERLAPS = ('union', 'background')


def form_problem(mask: Any, height: int, width: int) -> Problem | None:
    """What keeps a mask from being drawn on an image of ``height`` x ``width`` pixels, or ``None``.

    What passes can be handed to pycocotools. It may be empty.
    """
    if isinstance(mask, dict):
        return rle_problem(mask, height, width)[0]
    if not isinstance(mask, list | tuple):
        return _type_problem(mask)
    problems = (polygon_problem(polygon, part, height, width) for part, polygon in enumerate(mask))
    return next(filter(None, problems), None)


def mask_problem(mask: Any, height: int, width: int) -> Problem | None:
    """As :func:`form_problem`, for the mask of an annotated object: it covers a pixel, each part may.

    Coordinates and run lengths are read, but only what looks empty is rasterised, so that RefCOCO takes
    seconds.
    """
    if isinstance(mask, dict):
        problem, covered = rle_problem(mask, height, width)
        return problem or (None if covered else _empty())
    if not isinstance(mask, list | tuple):
        return _type_problem(mask)
    if not mask:
        return Problem(
            'a mask without polygons', 'at least one polygon', 'leave the key out if there is no mask'
        )
    certain = False
    for part, polygon in enumerate(mask):
        problem = numbers_problem(polygon, part)
        if problem:
            return problem
        xs, ys = polygon[0::2], polygon[1::2]
        left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
        if left >= width or top >= height or right <= 0 or bottom <= 0:
            return Problem(
                f'polygon {part} outside the image',
                f'points within {width} x {height} pixels',
                'mend or remove it',
            )
        inside = left >= 0 and top >= 0 and right <= width and bottom <= height
        if not inside or len(polygon) * (right - left + bottom - top) > LONGEST_OUTLINE:
            problem = distance_problem(polygon, part, height, width)
            if problem:
                return problem
        if inside:
            # The shoelace formula. A sliver thinner than a pixel may cover none, and its area is below its
            # length.
            twice_area = sum(map(mul, xs, ys[1:] + ys[:1])) - sum(map(mul, xs[1:] + xs[:1], ys))
            certain |= abs(twice_area) > 2 * (right - left + bottom - top + 4)
    if certain or areas(polygon_rles(mask, int(height), int(width))).any():
        return None
    return _empty()


def _type_problem(mask: Any) -> Problem:
    return Problem(
        f'a mask of type {type(mask).__name__}', 'a list of polygons or an RLE dict', 'write the mask again'
    )


def _empty() -> Problem:
    return Problem('an empty mask', 'at least one pixel', 'leave the mask out if it is not known')


Check = Callable[[Any, int, int], Problem | None]


def to_rle(
    mask: Any, height: int, width: int, where: str = 'mask', check: Check | None = form_problem
) -> RLE:
    """A mask as one RLE, its parts merged.

    Args:
        mask: ``[[x, y, x, y, ...], ...]`` in pixels, or ``{'size', 'counts'}``, compressed or plain.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        where: What to name in an error.
        check: What the mask must pass: :func:`form_problem`, :func:`mask_problem`, or None for a mask that
            has passed one of them already.

    Raises:
        UserInputError: If it does not.
    """
    _raise_problem(check, mask, height, width, where)
    height, width = int(height), int(width)
    if not isinstance(mask, dict):
        return fill_polygons(mask, height, width)
    if isinstance(mask['counts'], list):
        return compress(mask['counts'], height, width)
    return to_json_rle(mask)


def to_bitmap(
    mask: Any,
    height: int,
    width: int,
    where: str = 'mask',
    check: Check | None = form_problem,
    overlap: str = 'union',
) -> np.ndarray:
    """:func:`to_rle` as a (height, width) bool array.

    Args:
        mask, height, width, where, check: See there.
        overlap: What a pixel inside several polygons is: part of the object (``'union'``), or
            ``'background'``, as refer's ``getMask`` and with it LAVT and LAVT-pytorch have it (they add the
            polygons up and take what is 1).

    Raises:
        UserInputError: See there.
    """
    if overlap == 'union' or isinstance(mask, dict):
        return decode_mask(to_rle(mask, height, width, where, check))
    _raise_problem(check, mask, height, width, where)
    count = np.zeros((int(height), int(width)), np.uint16)
    for rle in polygon_rles(mask, *count.shape) if mask else ():
        count += decode_mask(rle)
    return count == 1


def _raise_problem(check: Check | None, mask: Any, height: int, width: int, where: str) -> None:
    problem = check(mask, height, width) if check else None
    if problem:
        raise UserInputError.of(where, *problem)


def union(masks: Sequence[Mask], height: int, width: int) -> Mask:
    """All masks, which are sound, in one: polygons stay polygons, anything else becomes RLE."""
    if all(isinstance(mask, list) for mask in masks):
        return [polygon for mask in masks for polygon in mask]
    return merge([to_rle(mask, height, width, check=None) for mask in masks])


def bounds(mask: Mask, height: int, width: int) -> list[float]:
    """The tightest box [x, y, width, height] of a sound mask: of polygons' points, of an RLE's pixels."""
    return box_of(to_rle(mask, height, width, check=None)) if isinstance(mask, dict) else polygon_bounds(mask)
