"""Sampling a scene: which objects lie where, which one covers which, and what each shows of itself.

Objects are placed one after another, each over the earlier ones, so that the
position in the list is the depth (0 is the farthest back). Pixel ``i`` covers
the interval [i, i + 1), as in COCO: a polygon is filled here as in whatever
reads the annotations later."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import shapely

from mmrefseg.structures.polygons import vertices_to_mask
from mmrefseg.structures.rle import encode_mask

from .presets import SplitRules
from .shapes import (
    CLASSES,
    COLORS,
    SIZE_WEIGHTS,
    SIZES,
    TEXTURE_WEIGHTS,
    TEXTURES,
    Outline,
    draw_angle,
    place_outline,
)

MIN_VISIBLE = 0.6
"""The smallest share of an object that others may leave visible (and never under 60 pixels at 128)."""
MIN_COVERED = 0.08
"""An object that covers another one hides at least this share of the smaller of the two."""
BORDER = 2.0
GAP = 2


@dataclass
class SceneObject:
    """One shape, with what can be said of it and what is seen of it.

    Attributes:
        diameter: Longer side of the whole object's bounding box, pixels.
        outline: The whole object, in pixels.
        full: Mask of the whole object, boolean (H, W).
        visible: Mask that its annotation decodes to, boolean (H, W).
        segmentation: COCO polygons or run lengths of ``visible``.
        box: [x, y, w, h] of ``visible``, pixels.
    """

    shape: str
    color: str
    size: str
    texture: str
    diameter: float
    outline: Outline
    full: np.ndarray
    texture_angle: float
    visible: np.ndarray = field(default=None, repr=False)
    segmentation: list | dict = field(default=None, repr=False)
    box: tuple[float, float, float, float] = None

    @property
    def center(self) -> tuple[float, float]:
        """The middle of the visible box, in pixels."""
        x, y, width, height = self.box
        return x + width / 2, y + height / 2


@dataclass
class Scene:
    """Objects from back to front on a square image of ``side`` pixels."""

    side: int
    objects: list[SceneObject]


def sample_scene(rng: random.Random, side: int, rules: SplitRules) -> Scene:
    """Draw a scene.

    Args:
        rng: The only source of chance.
        side: Height and width of the image.
        rules: How many objects, and how alike and how covered they are.
    """
    while True:
        wanted = rng.randint(*rules.num_objects)
        objects: list[SceneObject] = []
        top = np.full((side, side), -1, np.int8)
        for _ in range(wanted):
            placed = _add_object(rng, objects, top, side, rules)
            if placed is not None:
                objects.append(placed)
        if len(objects) >= rules.num_objects[0]:
            _annotate(objects, top)
            return Scene(side, objects)


def _add_object(
    rng: random.Random, objects: list[SceneObject], top: np.ndarray, side: int, rules: SplitRules
) -> SceneObject | None:
    """Place one more object over the others and enter it in ``top``; None where no room was found."""
    looks = _draw_looks(rng, objects, rules)
    cover = objects and rng.random() < rules.occlusion
    for attempt in range(24):
        if attempt == 12:
            looks['size'], cover = 'small', False
        diameter = rng.uniform(*SIZES[looks['size']]) * side
        target = rng.choice(objects) if cover else None
        center = _draw_center(rng, side, diameter, target)
        if center is None:
            continue
        outline = place_outline(looks['shape'], center, diameter, draw_angle(looks['shape'], rng))
        full = rasterise(outline, side, side)
        if not (_covers_well(full, target, objects, top) if target else _is_free(full, top)):
            continue
        top[full] = len(objects)
        return SceneObject(
            **looks, diameter=diameter, outline=outline, full=full, texture_angle=rng.uniform(0, 180)
        )
    return None


def _draw_looks(rng: random.Random, objects: list[SceneObject], rules: SplitRules) -> dict[str, str]:
    like = rng.choice(objects) if objects and rng.random() < rules.distractor else None
    twin = like is not None and rng.random() < rules.twin
    looks = {
        'shape': like.shape if like else rng.choice(CLASSES),
        'color': like.color if twin else rng.choice(tuple(COLORS)),
        'size': rng.choices(tuple(SIZES), SIZE_WEIGHTS)[0],
        'texture': rng.choices(TEXTURES, TEXTURE_WEIGHTS)[0],
    }
    if looks['size'] == 'large' and sum(other.size == 'large' for other in objects) >= 2:
        looks['size'] = 'medium'
    return looks


def _draw_center(
    rng: random.Random, side: int, diameter: float, target: SceneObject | None
) -> tuple[float, float] | None:
    low, high = diameter / 2 + BORDER, side - diameter / 2 - BORDER
    if target is None:
        return rng.uniform(low, high), rng.uniform(low, high)
    angle = rng.uniform(0, 2 * np.pi)
    distance = rng.uniform(0.5, 0.85) * (diameter + target.diameter) / 2
    middle = (target.outline.exterior.min(0) + target.outline.exterior.max(0)) / 2
    x, y = middle[0] + distance * np.cos(angle), middle[1] + distance * np.sin(angle)
    return (float(x), float(y)) if low <= x <= high and low <= y <= high else None


def _is_free(full: np.ndarray, top: np.ndarray) -> bool:
    if (full & (top >= 0)).any():
        return False
    grown = cv2.dilate(full.astype(np.uint8), np.ones((2 * GAP + 1, 2 * GAP + 1), np.uint8))
    return not ((grown > 0) & (top >= 0)).any()


def _covers_well(full: np.ndarray, target: SceneObject, objects: list[SceneObject], top: np.ndarray) -> bool:
    hidden = np.bincount(top[full].astype(np.int64) + 1, minlength=len(objects) + 1)[1:]
    index = next(i for i, other in enumerate(objects) if other is target)
    smaller = min(full.sum(), target.full.sum())
    if hidden[index] < MIN_COVERED * smaller:
        return False
    least_pixels = 60 * (top.shape[0] / 128) ** 2
    for i, other in enumerate(objects):
        left = np.count_nonzero(top == i) - hidden[i]
        if hidden[i] and (left < MIN_VISIBLE * np.count_nonzero(other.full) or left <= least_pixels):
            return False
    return True


def _annotate(objects: list[SceneObject], top: np.ndarray) -> None:
    for i, item in enumerate(objects):
        above = [other.outline for other in objects[i + 1 :] if (other.full & item.full).any()]
        item.segmentation, item.visible = segmentation_of(item.outline, above, top == i)
        rows, columns = np.flatnonzero(item.visible.any(1)), np.flatnonzero(item.visible.any(0))
        x, y = int(columns[0]), int(rows[0])
        item.box = (x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y)


MIN_PART = 8.0
"""Visible parts (and holes) under so many square pixels are slivers and are not annotated."""


def rasterise(outline: Outline, height: int, width: int) -> np.ndarray:
    """The boolean mask (height, width) of an outline, its hole left out."""
    mask = vertices_to_mask(outline.exterior, height, width)
    if outline.hole is not None:
        mask &= ~vertices_to_mask(outline.hole, height, width)
    return mask


def segmentation_of(
    outline: Outline, above: Sequence[Outline], visible: np.ndarray
) -> tuple[list[list[float]] | dict[str, Any], np.ndarray]:
    """Annotate the visible region of an object.

    Args:
        outline: The whole object.
        above: The outlines that lie over it.
        visible: Its visible pixels, boolean (H, W).

    Returns:
        The COCO segmentation and the mask it decodes to. One simple part
        without a hole becomes a polygon; several parts, or a part with a
        hole, become a run-length encoding (compressed, ``counts`` a str).
    """
    if not above and outline.hole is None:
        return [outline.exterior.ravel().tolist()], visible
    height, width = visible.shape
    region = _polygon(outline)
    if above:
        region = region.difference(shapely.union_all([_polygon(other) for other in above]))
    parts = [part for part in getattr(region, 'geoms', [region]) if part.area >= MIN_PART]
    if len(parts) == 1 and all(shapely.Polygon(hole).area < MIN_PART for hole in parts[0].interiors):
        vertices = np.round(np.asarray(parts[0].exterior.coords)[:-1], 1)
        mask = vertices_to_mask(vertices, height, width)
        # rounding can fold a needle-thin corner; the run lengths are exact then
        if shapely.Polygon(vertices).is_valid and (mask & visible).sum() >= 0.97 * (mask | visible).sum():
            return [vertices.ravel().tolist()], mask
    mask = _without_slivers(visible, parts)
    return encode_mask(mask), mask


def _polygon(outline: Outline) -> shapely.Polygon:
    return shapely.Polygon(outline.exterior, None if outline.hole is None else [outline.hole])


def _without_slivers(visible: np.ndarray, parts: list[shapely.Polygon]) -> np.ndarray:
    near = np.zeros_like(visible)
    for part in parts:
        grown = np.asarray(part.buffer(1.0, join_style='mitre').exterior.coords)
        near |= vertices_to_mask(grown, *visible.shape)
    return visible & near
