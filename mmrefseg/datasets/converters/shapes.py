"""Shapes of labelling tools, and the way between them and masks.

Points are [x, y] in pixels, (0, 0) being the outer corner of the top left pixel.
"""

import base64
import binascii
import io
import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ...codecs.contours import boundary_polygon
from ...structures.masks import Mask
from ...structures.polygons import polygon_area
from ...structures.rle import RLE, encode_mask
from ...utils import UserInputError
from .mask_images import decode_mask_image

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
# What labelme calls a shape that encloses something; without a type it is a polygon.
WITHOUT_AREA = ('line', 'linestrip', 'point', 'points')
# A rectangle that is turned: labelme's name, and that of its descendants.
ORIENTED = ('oriented_rectangle', 'rotation')
CIRCLE_POINTS = 64


def labelme_mask(shape: dict, size: tuple[int, int], mend: bool, where: str) -> Mask:
    """What a shape of labelme covers, by its ``shape_type``.

    Args:
        shape: With ``points`` [[x, y], ...] in pixels, ``shape_type`` (default ``polygon``), and ``mask``, a
            PNG in base64, if that is the type.
        size: (height, width) of the image in pixels.
        mend: Give what has no area (:data:`WITHOUT_AREA`) two points instead of raising; it is dropped later.
        where: File and shape, for messages.

    Raises:
        UserInputError: If it has no area, or is of no type that is known.
    """
    points, kind = shape.get('points'), str(shape.get('shape_type') or 'polygon').lower()
    if not isinstance(points, list) or not all(map(_is_point, points)):
        raise UserInputError.of(
            where, 'points that are no list of [x, y]', 'a shape of labelme', 'check the shape'
        )
    if kind == 'mask' and len(points) == 2:
        return _bitmap(shape.get('mask'), points, size, where)
    return [[float(value) for point in _outline(points, kind, mend, where) for value in point]]


def _outline(points: list, kind: str, mend: bool, where: str) -> list[tuple[float, float]]:
    """The corners x, y of what a shape encloses."""
    if kind in WITHOUT_AREA:
        if mend:
            return points[:2]  # dropped, and counted, as every polygon of fewer than 3 points
        raise UserInputError.of(
            where, f'a {kind}, which has no area', 'a polygon, rectangle or circle', 'outline or remove it'
        )
    if kind in ('rectangle', 'circle') and len(points) == 2:
        return rectangle(*points) if kind == 'rectangle' else ellipse(*_circle(*points))
    if kind in ('polygon', 'rectangle', *ORIENTED):
        return points
    raise UserInputError.of(
        where,
        f'a shape of type {kind[:30]!r} with {len(points)} points',
        'a polygon, a rectangle or mask of two corners, or a circle of centre and edge',
        'outline it by a polygon',
    )


def _bitmap(encoded: Any, corners: list[list[float]], size: tuple[int, int], where: str) -> RLE:
    """The pixels of a shape of type mask, laid into its box.

    Args:
        encoded: A mask image in base64, as large as the box.
        corners: The first and the last pixel of the box, x and y; both belong to it.
        size: (height, width) of the image.
        where: File and shape, for messages.

    Raises:
        UserInputError: If it is no such image, does not fit the box, or leaves the image.
    """
    try:
        content = base64.b64decode(encoded, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise UserInputError.of(
            where, 'a mask that is no base64', 'a PNG in base64', 'export the file again'
        ) from None
    foreground = decode_mask_image(content, f'{where} mask')
    left, top = (int(min(axis)) for axis in zip(*corners, strict=True))
    right, bottom = (int(max(axis)) for axis in zip(*corners, strict=True))
    height, width = foreground.shape
    # Some editors round the last corner, or leave its pixels out.
    if abs(right - left + 1 - width) > 1 or abs(bottom - top + 1 - height) > 1:
        raise UserInputError.of(
            where,
            f'a mask of {width} x {height} pixels',
            f'{right - left + 1} x {bottom - top + 1} as its box has',
            'export the file again',
        )
    if left < 0 or top < 0 or top + height > size[0] or left + width > size[1]:
        raise UserInputError.of(
            where,
            f'a mask of {width} x {height} pixels at ({left}, {top})',
            f'one within the image of {size[1]} x {size[0]}',
            'mend or remove it',
        )
    canvas = np.zeros(size, bool)
    canvas[top : top + height, left : left + width] = foreground
    return encode_mask(canvas)


def _is_point(point: Any) -> bool:
    return (
        isinstance(point, list)
        and len(point) == 2
        and all(isinstance(value, int | float) and abs(value) < 1e300 for value in point)
    )


def rectangle(
    first: Sequence[float],
    second: Sequence[float],
    rotation: float = 0.0,
    about: Sequence[float] | None = None,
) -> list[tuple[float, float]]:
    """The four corners of a rectangle.

    Args:
        first: A corner x, y in pixels.
        second: The opposite corner.
        rotation: Degrees, clockwise on the screen.
        about: The point that it is turned about; by default its middle.
    """
    (x1, y1), (x2, y2) = first, second
    middle = ((x1 + x2) / 2, (y1 + y2) / 2) if about is None else about
    return _turned([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], middle, rotation)


def ellipse(
    centre: Sequence[float], radii: Sequence[float], rotation: float = 0.0
) -> list[tuple[float, float]]:
    """:data:`CIRCLE_POINTS` points of an ellipse.

    Args:
        centre: x, y in pixels.
        radii: Horizontal and vertical, in pixels.
        rotation: Degrees, clockwise on the screen.
    """
    (x, y), (a, b) = centre, radii
    angles = [2 * math.pi * index / CIRCLE_POINTS for index in range(CIRCLE_POINTS)]
    return _turned([(x + a * math.cos(t), y + b * math.sin(t)) for t in angles], centre, rotation)


def _circle(centre: list[float], edge: list[float]) -> tuple[list[float], tuple[float, float]]:
    radius = math.dist(centre, edge)
    return centre, (radius, radius)


def _turned(
    points: list[tuple[float, float]], about: Sequence[float], degrees: float
) -> list[tuple[float, float]]:
    if not degrees:
        return points
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    cx, cy = about
    return [(cx + (x - cx) * cos - (y - cy) * sin, cy + (x - cx) * sin + (y - cy) * cos) for x, y in points]


def flat(points: Sequence[Sequence[float]]) -> list[float]:
    """[[x, y], ...] as x, y, x, y, ..."""
    return [float(value) for point in points for value in point]


def pairs(polygon: Sequence[float]) -> list[list[float]]:
    """x, y, x, y, ... as [[x, y], ...]."""
    return [[x, y] for x, y in zip(polygon[::2], polygon[1::2], strict=True)]


def box_around(points: Sequence[Sequence[float]], size: tuple[int, int]) -> list[float]:
    """The tightest [x, y, width, height] around some points, cut off at the image of ``size`` (height,
    width).

    What lies outside as a whole is returned as it is, for the check of boxes to tell.
    """
    xs, ys = [point[0] for point in points], [point[1] for point in points]
    left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
    if left < size[1] and top < size[0] and right > 0 and bottom > 0:
        left, right = max(left, 0), min(right, size[1])
        top, bottom = max(top, 0), min(bottom, size[0])
    return [left, top, round(right - left, 6), round(bottom - top, 6)]


def outline_bitmap(bitmap: np.ndarray, tolerance: float = 0.0) -> list[list[float]] | None:
    """Polygons x, y, x, y, ... around the parts of a mask, along the edges of its pixels.

    Args:
        bitmap: (H, W), true inside.
        tolerance: How far an edge may leave those of the pixels, in pixels. With 0 the polygons cover exactly
            the same pixels.

    Returns:
        The polygons, the largest first; None if the mask has a hole, which polygons cannot tell.
    """
    bitmap = np.ascontiguousarray(bitmap, np.uint8)
    _, hierarchy = cv2.findContours(np.pad(bitmap, 1), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if hierarchy is not None and (hierarchy[0, :, 3] >= 0).any():
        return None
    count, parts = cv2.connectedComponents(bitmap, connectivity=4)
    polygons = []
    for part in range(1, count):
        corners = boundary_polygon(parts == part)
        # Without a tolerance, what lies on a line between its neighbours goes.
        simple = cv2.approxPolyDP(corners[:, None].astype(np.int32), tolerance, True)[:, 0]
        polygons.append(simple if len(simple) >= 3 else corners)
    polygons.sort(key=lambda polygon: -polygon_area(polygon))
    return [polygon.astype(float).ravel().tolist() for polygon in polygons]


def encode_box_mask(bitmap: np.ndarray) -> tuple[list[list[float]], str]:
    """A mask as labelme's shape of type mask has it.

    Args:
        bitmap: (H, W) bool, not empty.

    Returns:
        The first and the last pixel [[x, y], [x, y]] of its box, and a PNG of the box in base64.
    """
    rows, columns = np.flatnonzero(bitmap.any(axis=1)), np.flatnonzero(bitmap.any(axis=0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])
    file = io.BytesIO()
    Image.fromarray(bitmap[top : bottom + 1, left : right + 1]).save(file, 'PNG')
    return [[left, top], [right, bottom]], base64.b64encode(file.getvalue()).decode()
