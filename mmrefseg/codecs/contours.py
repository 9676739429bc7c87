"""From a mask to a fixed number of points on the contour of its largest part.

Two conventions for coordinates meet here. In ``pixel`` convention the centre of the top left pixel is (0, 0):
that is what ``cv2.findContours`` gives and what SeqTR trains on, and its polygon lies half a pixel inside the
mask. In ``edge`` convention the top left *corner* of the top left pixel is (0, 0): that is what COCO
polygons, COCO boxes and ``pycocotools`` use, and its polygon has exactly the area of the mask.
"""

import math
from collections.abc import Callable

import cv2
import numpy as np

# Degrees away from a ray at which SeqTR also looks for the contour, in this order.
ANGLE_TOLERANCE = (1, -1, 2, -2, 3, -3, 4, -4, 5, -5)


def largest_contour(mask: np.ndarray) -> np.ndarray | None:
    """Outline of the part of the mask that encloses the largest area, in pixel convention.

    Holes are ignored: an outer contour encloses at least as much as any hole in it, so looking only at outer
    contours gives what SeqTR gets from all contours.

    Args:
        mask (np.ndarray): (H, W) uint8 or bool, non-zero inside.

    Returns:
        np.ndarray | None: (n, 2) int32 x, y of every boundary pixel in order, or None for an empty mask.
    """
    contours, _ = cv2.findContours(
        np.ascontiguousarray(mask, dtype=np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    if not contours:
        return None
    # max keeps the first of equals, as the original's stable sort does.
    return max(contours, key=cv2.contourArea)[:, 0, :]


def mass_center(contour: np.ndarray) -> np.ndarray | None:
    """Centre of mass (x, y) of the polygon, or None if it has no area (a point or a line)."""
    moments = cv2.moments(contour)
    if moments['m00'] <= 0:
        return None
    return np.array([moments['m10'] / moments['m00'], moments['m01'] / moments['m00']])


def boundary_polygon(mask: np.ndarray) -> np.ndarray | None:
    """Outline of the largest part of the mask along the edges of its pixels, in edge convention.

    A pixel becomes 2 x 2 subpixels, and each boundary subpixel stands for the corner of the pixel that it
    touches. A single pixel gives its four corners, and a line one pixel wide a polygon of width one.

    Args:
        mask (np.ndarray): (H, W) uint8 or bool, non-zero inside.

    Returns:
        np.ndarray | None: (n, 2) int64 x in [0, W] and y in [0, H], from the topmost and then leftmost point
        on; None for an empty mask.
    """
    mask = np.ascontiguousarray(mask, dtype=np.uint8)
    x, y, width, height = cv2.boundingRect(mask)
    if width == 0:
        return None
    crop = mask[y : y + height, x : x + width]
    contour = largest_contour(crop.repeat(2, axis=0).repeat(2, axis=1))
    corners = (contour.astype(np.int64) + 1) // 2 + (x, y)
    start = np.lexsort((corners[:, 0], corners[:, 1]))[0]
    return np.roll(corners, -start, axis=0)


def sample_even(mask: np.ndarray, num_points: int) -> np.ndarray:
    """Exactly ``num_points`` points at equal distances along the outline, in edge convention.

    Returns:
        np.ndarray: (num_points, 2) float32 x, y from the topmost and then leftmost point on; (0, 2) for an
        empty mask.
    """
    return _spread(mask, num_points, lambda closed, travelled: 0.0)


def sample_even_above(mask: np.ndarray, num_points: int) -> np.ndarray:
    """As :func:`sample_even`, from the highest point above the middle of the outline's box on.

    That point moves little when the object turns a little, while the topmost one of a square jumps from
    corner to corner: a decoder has less to learn.
    """
    return _spread(mask, num_points, _above_the_middle)


def _spread(
    mask: np.ndarray, num_points: int, start: Callable[[np.ndarray, np.ndarray], float]
) -> np.ndarray:
    """Points at equal distances from ``start`` on, which is given the closed outline (n + 1, 2) and the
    distance travelled (n + 1,) to each of its points."""
    polygon = boundary_polygon(mask)
    if polygon is None:
        return np.zeros((0, 2), np.float32)
    closed = np.vstack([polygon, polygon[:1]]).astype(np.float64)
    travelled = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    at = start(closed, travelled) + np.arange(num_points) * travelled[-1] / num_points
    points = [np.interp(at % travelled[-1], travelled, closed[:, axis]) for axis in (0, 1)]
    return np.stack(points, axis=1).astype(np.float32)


def _above_the_middle(closed: np.ndarray, travelled: np.ndarray) -> float:
    x, y = closed.T
    offset = x - (x.min() + x.max()) / 2
    crossing = np.nonzero((offset[:-1] <= 0) != (offset[1:] <= 0))[0]
    share = offset[crossing] / (offset[crossing] - offset[crossing + 1])
    heights = y[crossing] + share * (y[crossing + 1] - y[crossing])
    first = heights.argmin()
    step = travelled[crossing[first] + 1] - travelled[crossing[first]]
    return travelled[crossing[first]] + share[first] * step


def sample_uniform(mask: np.ndarray, num_points: int) -> np.ndarray:
    """SeqTR's sampling: every ceil(n / num_points)-th of the n boundary pixels, in pixel convention.

    This gives between num_points / 2 and num_points points.

    Returns:
        np.ndarray: (K, 2) float32 x, y with K <= num_points; (0, 2) for a mask whose outline encloses no
        area.
    """
    contour = largest_contour(mask)
    if contour is None or mass_center(contour) is None:
        return np.zeros((0, 2), np.float32)
    step = max(math.ceil(len(contour) / num_points), 1)
    return contour[::step].astype(np.float32)


def sample_angle(mask: np.ndarray, num_points: int) -> np.ndarray:
    """SeqTR's centre sampling: the farthest boundary pixel at equal angles around the centre of mass.

    A ray that finds no boundary pixel within 5 degrees is left out. Where the centre lies outside of the
    outline, or the outline has no more pixels than points are wanted, this is :func:`sample_uniform`.

    Returns:
        np.ndarray: (K, 2) float32 x, y in pixel convention with K <= num_points; (0, 2) for a mask whose
        outline encloses no area.
    """
    contour = largest_contour(mask)
    center = None if contour is None else mass_center(contour)
    if center is None or len(contour) <= num_points or cv2.pointPolygonTest(contour, center, False) <= 0:
        return sample_uniform(mask, num_points)
    offset = contour - center
    degrees = np.arctan2(offset[:, 1], offset[:, 0]) * 180 / np.pi
    degrees[degrees < 0] += 360
    radius = np.full(361, -1.0)
    np.maximum.at(radius, degrees.astype(np.int64), np.sqrt((offset**2).sum(axis=1)))

    found = []
    for ray in list(range(0, 360, 360 // num_points))[:num_points]:
        near = (ray + delta for delta in (0, *ANGLE_TOLERANCE) if 0 <= ray + delta <= 360)
        hit = next((degree for degree in near if radius[degree] >= 0), None)
        if hit is not None:
            found.append(hit)
    angles = np.array(found) / 180 * np.pi
    vertices = center + radius[found][:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    height, width = mask.shape
    return np.clip(vertices, 0, (width - 1, height - 1)).astype(np.float32)


SAMPLERS = {
    'uniform': sample_uniform,
    'angle': sample_angle,
    'even': sample_even,
    'even_above': sample_even_above,
}
