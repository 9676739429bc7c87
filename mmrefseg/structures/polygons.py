"""From vertices to a mask, by pycocotools' rasteriser (the one that COCO's own evaluation uses)."""

import numpy as np
import pycocotools.mask as mask_utils


def vertices_to_rle(
    vertices: np.ndarray,
    height: int,
    width: int,
    scale_factor: tuple[float, float] | None = None,
) -> dict:
    """Rasterise one polygon.

    Args:
        vertices (np.ndarray): (K, 2) x, y in pixels, in order. Rows with NaN (the padding of predicted
            points) are left out; parts outside the picture are cut off.
        height (int): Of the resulting mask, in pixels.
        width (int): Of the resulting mask, in pixels.
        scale_factor (tuple[float, float] | None): (x, y) by which the original picture was resized to the one
            the vertices lie in; the vertices are divided by it. Defaults to None (same frame).

    Returns:
        dict: COCO's compressed RLE, ``counts`` as bytes. Empty for fewer than three points.
    """
    vertices = np.asarray(vertices, np.float64).reshape(-1, 2)
    vertices = vertices[np.isfinite(vertices).all(axis=1)]
    if len(vertices) < 3:
        return mask_utils.encode(np.zeros((height, width), np.uint8, order='F'))
    if scale_factor is not None:
        vertices = vertices / np.asarray(scale_factor, np.float64)[:2]
    # Far outside the picture the rasteriser would walk along an edge for as long as it is.
    vertices = np.clip(vertices, (-width, -height), (2 * width, 2 * height))
    return mask_utils.frPyObjects([vertices.ravel().tolist()], height, width)[0]


def vertices_to_mask(
    vertices: np.ndarray,
    height: int,
    width: int,
    scale_factor: tuple[float, float] | None = None,
) -> np.ndarray:
    """:func:`vertices_to_rle` as an (H, W) bool array."""
    return mask_utils.decode(vertices_to_rle(vertices, height, width, scale_factor)).astype(bool)


def polygon_area(vertices: np.ndarray) -> float:
    """Area that the polygon (K, 2) encloses, in square pixels (shoelace formula)."""
    x, y = np.asarray(vertices, np.float64).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
