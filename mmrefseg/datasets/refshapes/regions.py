"""From outlines to masks and COCO segmentations: what each object shows of itself.

Pixel ``i`` covers the interval [i, i + 1), as in COCO: a polygon is filled
by pycocotools, here as in whatever reads the annotations later.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely

from mmrefseg.structures.polygons import vertices_to_mask
from mmrefseg.structures.rle import encode_mask

from .shapes import Outline

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
