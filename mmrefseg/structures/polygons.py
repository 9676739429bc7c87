"""Polygons and vertices as masks, by pycocotools' rasteriser (the one that COCO's own evaluation uses).

A polygon of the working format is a list x, y, x, y, ... in pixels of the image, in ``edge`` convention: (0,
0) is the outer corner of the top left pixel. It may cross itself (filled even-odd along each row) and reach
out of the image (cut off).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from ..utils.errors import Problem, short
from .rle import RLE, decode_mask, encode_mask, merge, to_json_rle

# A vertex so many pixels outside of its image is a mistake.
FARTHEST_VERTEX = 100_000
# Of predicted points, which are resized and cut off before they are drawn.
FARTHEST_POINT = 1e9
# The rasteriser takes 80 bytes for each pixel of an outline's way (five points of four numbers), and ends the
# process if it does not get them. No outline of an image is nearly as long.
LONGEST_OUTLINE = 20_000_000


def has_three_points(polygon: Any) -> bool:
    """Whether a polygon is a list of at least three x, y pairs."""
    return isinstance(polygon, list | tuple) and len(polygon) >= 6 and len(polygon) % 2 == 0


def polygon_problem(polygon: Any, part: int, height: int, width: int) -> Problem | None:
    """What keeps polygon number ``part`` of a mask from being drawn on an image of that size, or ``None``."""
    return numbers_problem(polygon, part) or distance_problem(polygon, part, height, width)


def numbers_problem(polygon: Any, part: int) -> Problem | None:
    """The first half of :func:`polygon_problem`: whether it is a list of at least three finite points."""
    expected = '[x, y, x, y, ...] with at least 3 points'
    if not isinstance(polygon, (list, tuple)):
        return Problem(f'polygon {part} of type {type(polygon).__name__}', expected, 'write the mask again')
    if len(polygon) < 6 or len(polygon) % 2:
        return Problem(f'polygon {part} of {len(polygon)} numbers', expected, 'mend or remove it')
    try:
        finite = math.isfinite(sum(polygon))
    except TypeError:
        return Problem(f'polygon {part} with values that are no numbers', expected, 'write the mask again')
    except OverflowError:
        finite = False
    if finite:
        return None
    return Problem(f'polygon {part} with NaN or infinite values', expected, 'mend or remove it')


def distance_problem(polygon: Sequence[float], part: int, height: int, width: int) -> Problem | None:
    """The second half: whether all points are near enough to the image, and their outline short enough."""
    lowest, highest = min(polygon), max(polygon)
    if highest <= FARTHEST_VERTEX + max(height, width) and lowest >= -FARTHEST_VERTEX:
        # No outline is longer than its number of edges times the longest that its points allow.
        if len(polygon) * (highest - lowest) <= LONGEST_OUTLINE or _length(polygon) <= LONGEST_OUTLINE:
            return None
        return Problem(
            f'polygon {part} with an outline of {_length(polygon):.3g} pixels',
            f'an outline of at most {LONGEST_OUTLINE} pixels',
            'mend it, or write the mask as RLE',
        )
    farthest = highest if highest > -lowest else lowest
    return Problem(
        # A whole number may be larger than any float.
        f'polygon {part} with the coordinate {farthest:g}'
        if abs(farthest) < 1e300
        else f'polygon {part} with a coordinate of more than 300 digits',
        f'pixels of the image, which has {width} x {height}',
        'mend or remove it',
    )


def points_problem(points: Any) -> Problem | None:
    """What keeps a value from being a contour of predicted points, x, y, x, y, ... in pixels, or ``None``."""
    finite = isinstance(points, list | tuple)
    try:
        finite = finite and all(-FARTHEST_POINT <= value <= FARTHEST_POINT for value in points)
    except TypeError:
        finite = False
    if finite and len(points) % 2 == 0:
        return None
    return Problem(
        f'points {short(points)}' + (f' of {len(points)} numbers' if finite else ''),
        'finite numbers x, y, x, y, ...',
        'remove the points, or predict again',
    )


def _length(polygon: Sequence[float]) -> float:
    """How many pixels the rasteriser walks along a polygon: of each edge, the larger of width and height."""
    vertices = np.asarray(polygon, np.float64).reshape(-1, 2)
    return float(np.abs(vertices - np.roll(vertices, 1, axis=0)).max(axis=1).sum())


def polygon_rles(polygons: Sequence[Sequence[float]], height: int, width: int) -> list[RLE]:
    """One RLE for each of some drawable polygons, at least one."""
    return [to_json_rle(rle) for rle in _rasterise(polygons, height, width)]


def fill_polygons(polygons: Sequence[Sequence[float]], height: int, width: int) -> RLE:
    """The pixels inside any of some drawable polygons; none without polygons."""
    if not len(polygons):
        return encode_mask(np.zeros((height, width), bool))
    return merge(_rasterise(polygons, height, width))


def polygon_bitmaps(polygons: Sequence[Sequence[float]], height: int, width: int) -> np.ndarray:
    """(H, W, P) uint8: the inside of each of P drawable polygons, at least one."""
    return coco_mask.decode(_rasterise(polygons, height, width))


def _rasterise(polygons: Sequence[Sequence[float]], height: int, width: int) -> list[dict]:
    # pycocotools reads a first polygon of four numbers as a box, and takes lists only. It trusts them: from
    # far enough, or from NaN, it walks out of its memory. Polygons that were checked pass as they are.
    reach = FARTHEST_VERTEX + max(height, width)
    return coco_mask.frPyObjects([_within(list(polygon), reach) for polygon in polygons], height, width)


def _within(polygon: list[float], reach: float) -> list[float]:
    """A polygon whose coordinates are numbers of at most ``reach``, with an outline that is short enough."""
    lowest, highest = min(polygon), max(polygon)
    # Its own sum tells NaN, which compares as it likes.
    finite = math.isfinite(sum(polygon))
    if (
        finite
        and -reach <= lowest
        and highest <= reach
        and len(polygon) * (highest - lowest) <= LONGEST_OUTLINE
    ):
        return polygon
    if not finite or _length(polygon) > LONGEST_OUTLINE:
        raise ValueError(
            f'found a polygon with values that are not finite, or an outline of more than {LONGEST_OUTLINE} '
            'pixels, expected one that polygon_problem lets pass'
        )
    return np.clip(polygon, -reach, reach).tolist()


def polygon_bounds(polygons: Sequence[Sequence[float]]) -> list[float]:
    """The tightest [x, y, width, height] around the points of some polygons, in pixels."""
    xs = [x for polygon in polygons for x in polygon[0::2]]
    ys = [y for polygon in polygons for y in polygon[1::2]]
    # Differences of coordinates with two decimals must not grow more of them.
    return [min(xs), min(ys), round(max(xs) - min(xs), 6), round(max(ys) - min(ys), 6)]


def vertices_to_rle(
    vertices: np.ndarray,
    height: int,
    width: int,
    scale_factor: tuple[float, float] | None = None,
) -> RLE:
    """Rasterise one polygon given by its vertices.

    Args:
        vertices: (K, 2) x, y in pixels, in order. Rows with NaN (the padding of predicted points) are left
            out; parts outside the image are cut off.
        height: Of the resulting mask, in pixels.
        width: Of the resulting mask, in pixels.
        scale_factor: (x, y) by which the original image was resized to the one that the vertices lie in; the
            vertices are divided by it. Defaults to None (same frame).

    Returns:
        An RLE, empty for fewer than three points.
    """
    vertices = np.asarray(vertices, np.float64).reshape(-1, 2)
    vertices = vertices[np.isfinite(vertices).all(axis=1)]
    if len(vertices) < 3:
        return fill_polygons([], height, width)
    if scale_factor is not None:
        vertices = vertices / np.asarray(scale_factor, np.float64)[:2]
    # Far outside the image the rasteriser would walk along an edge for as long as it is.
    vertices = np.clip(vertices, (-width, -height), (2 * width, 2 * height))
    return fill_polygons([vertices.ravel().tolist()], height, width)


def vertices_to_mask(
    vertices: np.ndarray,
    height: int,
    width: int,
    scale_factor: tuple[float, float] | None = None,
) -> np.ndarray:
    """:func:`vertices_to_rle` as an (H, W) bool array."""
    return decode_mask(vertices_to_rle(vertices, height, width, scale_factor))


def polygon_area(vertices: np.ndarray) -> float:
    """Area that the polygon (K, 2) encloses, in square pixels (shoelace formula)."""
    x, y = np.asarray(vertices, np.float64).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
