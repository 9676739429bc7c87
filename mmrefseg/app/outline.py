"""An object's outline as a person draws and mends it: vertices by clicks, and a way back.

Points are x, y in pixels of the photo, (0, 0) its upper left corner. Parts are filled even-odd: a part inside
another is a hole.
"""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from ..structures.masks import to_bitmap
from ..structures.polygons import polygon_bitmaps, polygon_rles
from ..structures.rle import RLE, encode_mask

Point = tuple[float, float]
MOST_VERTICES = 24
"""Of a proposed part: more are a burden to drag."""
MOST_POINTS = 2000
"""Of all parts together, so that no page can make an endless outline."""
MOST_STEPS = 500
SMALLEST_PART = 0.03
"""Of the largest part's area; smaller ones of a proposal are crumbs."""


class Outline:
    """Closed parts, and at most one that is being drawn; every change can be undone.

    Args:
        height: Of the photo in pixels.
        width: The same.
        parts: Closed parts to begin with, each of three points or more.
    """

    def __init__(self, height: int, width: int, parts: Sequence[Sequence[Point]] = ()) -> None:
        self.height, self.width = height, width
        self.parts: tuple[tuple[Point, ...], ...] = tuple(
            tuple(map(self._inside, part)) for part in parts if len(part) >= 3
        )
        self.open: tuple[Point, ...] = ()
        self._past: list[tuple[tuple[tuple[Point, ...], ...], tuple[Point, ...]]] = []

    @classmethod
    def of_mask(cls, mask: np.ndarray) -> 'Outline':
        """Around a bitmap (H, W): few vertices, crumbs left out; holes stay."""
        height, width = mask.shape
        if not mask.any():
            return cls(height, width)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        top, left = int(rows[0]), int(columns[0])
        part = np.asarray(mask[top : rows[-1] + 1, left : columns[-1] + 1], np.uint8)
        scale = SCALE if part.size <= LARGE else 1
        fine = np.kron(part, np.ones((scale, scale), np.uint8))
        found, _ = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        largest = max((cv2.contourArea(border) for border in found), default=0.0)
        kept = [border for border in found if cv2.contourArea(border) >= max(SMALLEST_PART * largest, 1)]
        parts = [
            [(left + (x + 0.5) / scale, top + (y + 0.5) / scale) for x, y in _few(border, scale)]
            for border in kept
        ]
        return cls(height, width, parts)

    @property
    def closed(self) -> bool:
        """Whether it can be saved: at least one part, and none that is half drawn."""
        return bool(self.parts) and not self.open

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return bool(self._past)

    def add(self, x: float, y: float) -> None:
        """A vertex of the part that is being drawn; the first one begins a part."""
        if self._count() < MOST_POINTS:
            self._change(self.parts, (*self.open, self._inside((x, y))))

    def close(self) -> None:
        """End the part that is being drawn; one of fewer than three vertices is dropped."""
        if self.open:
            self._change((*self.parts, self.open) if len(self.open) >= 3 else self.parts, ())

    def move(self, part: int, index: int, x: float, y: float) -> None:
        """Put a vertex elsewhere; an index that is none changes nothing."""
        points = self._part(part)
        if points is not None and 0 <= index < len(points):
            self._replace(part, (*points[:index], self._inside((x, y)), *points[index + 1 :]))

    def nearest(self, x: float, y: float) -> tuple[int, int] | None:
        """Part and index of the vertex of a closed part nearest to a point."""
        places = [(part, index) for part, points in enumerate(self.parts) for index in range(len(points))]
        return min(places, key=lambda at: math.dist(self.parts[at[0]][at[1]], (x, y)), default=None)

    def move_nearest(self, x: float, y: float) -> None:
        """Put the vertex nearest to a point there."""
        at = self.nearest(x, y)
        if at is not None:
            self.move(*at, x, y)

    def insert(self, x: float, y: float) -> None:
        """A new vertex on the nearest edge of a closed part, put at the point."""
        if not self.parts or self._count() >= MOST_POINTS:
            return
        edges = [(part, index) for part, points in enumerate(self.parts) for index in range(len(points))]
        part, index = min(edges, key=lambda at: self._edge_distance(*at, (x, y)))
        points = self.parts[part]
        self._replace(part, (*points[: index + 1], self._inside((x, y)), *points[index + 1 :]))

    def remove(self, part: int, index: int) -> None:
        """Take a vertex away; a part of three goes as a whole."""
        points = self._part(part)
        if points is not None and 0 <= index < len(points):
            self._replace(part, (*points[:index], *points[index + 1 :]))

    def clear(self) -> None:
        """Take everything away."""
        if self.parts or self.open:
            self._change((), ())

    def undo(self) -> None:
        """Take the last change back."""
        if self._past:
            self.parts, self.open = self._past.pop()

    def bitmap(self) -> np.ndarray:
        """(H, W) bool of the closed parts, filled even-odd."""
        polygons = self._polygons()
        if not polygons:
            return np.zeros((self.height, self.width), bool)
        return np.bitwise_xor.reduce(polygon_bitmaps(polygons, self.height, self.width).astype(bool), axis=-1)

    def rle(self) -> RLE:
        """The same as run lengths; of one part without a bitmap, which takes time in a large photo."""
        if len(self.parts) == 1:
            return polygon_rles(self._polygons(), self.height, self.width)[0]
        return encode_mask(self.bitmap())

    def mask(self) -> Any:
        """The mask for an annotation file: polygons where these say it, run lengths where there is a hole."""
        polygons = self._polygons()
        if len(polygons) == 1:
            return polygons
        bitmap = self.bitmap()
        together = polygon_bitmaps(polygons, self.height, self.width).any(-1) if polygons else bitmap
        return polygons if polygons and (together == bitmap).all() else encode_mask(bitmap)

    @classmethod
    def of_annotation(cls, mask: Any, height: int, width: int) -> 'Outline':
        """Of a mask in an annotation file, polygons as they are."""
        if isinstance(mask, list):
            parts = [list(zip(polygon[::2], polygon[1::2], strict=True)) for polygon in mask]
            return cls(height, width, parts)
        return cls.of_mask(np.asarray(to_bitmap(mask, height, width), bool))

    def _polygons(self) -> list[list[float]]:
        return [[round(value, 2) for point in part for value in point] for part in self.parts]

    def _count(self) -> int:
        return sum(map(len, self.parts)) + len(self.open)

    def _inside(self, point: Sequence[float]) -> Point:
        x, y = point
        return min(max(float(x), 0.0), float(self.width)), min(max(float(y), 0.0), float(self.height))

    def _part(self, part: int) -> tuple[Point, ...] | None:
        return self.parts[part] if 0 <= part < len(self.parts) else None

    def _replace(self, part: int, points: tuple[Point, ...]) -> None:
        middle = (points,) if len(points) >= 3 else ()
        self._change((*self.parts[:part], *middle, *self.parts[part + 1 :]), self.open)

    def _change(self, parts: tuple[tuple[Point, ...], ...], drawing: tuple[Point, ...]) -> None:
        self._past = [*self._past[-MOST_STEPS:], (self.parts, self.open)]
        self.parts, self.open = parts, drawing

    def _edge_distance(self, part: int, index: int, point: Point) -> float:
        points = np.asarray(self.parts[part])
        start, end = points[index], points[(index + 1) % len(points)]
        along = end - start
        length = float(along @ along)
        share = 0.0 if length == 0 else float(np.clip((np.asarray(point) - start) @ along / length, 0, 1))
        return float(np.hypot(*(start + share * along - point)))


# Borders run along the middles of pixels: of small ones, these are near to the edges of large ones. In a part
# of so many pixels nobody sees the difference, and enlarging it takes time.
SCALE, LARGE = 4, 200_000


def _few(border: np.ndarray, scale: int) -> list[tuple[float, float]]:
    """The vertices of a border, as many as are needed and no more than can be dragged."""
    tolerance = 0.75 * scale
    simple = cv2.approxPolyDP(border, tolerance, True)
    while len(simple) > MOST_VERTICES:
        tolerance *= 1.25
        simple = cv2.approxPolyDP(border, tolerance, True)
    return (simple if len(simple) >= 3 else border)[:, 0].tolist()
