"""Masks of the working format (lists of polygons, or RLE) as values: rasterise, join, bound."""

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask


def has_three_points(polygon: Any) -> bool:
    """Whether a polygon is a list of at least three x, y pairs."""
    return isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) % 2 == 0


def to_rle(mask: list | dict, height: int, width: int) -> dict:
    """The mask as one compressed RLE with ``counts`` as text (what json can hold).

    Args:
        mask: Polygons, compressed RLE or uncompressed RLE; validated.
        height: Height of the picture in pixels.
        width: Its width.
    """
    if isinstance(mask, dict) and not isinstance(mask['counts'], list):
        rle = mask
    elif isinstance(mask, dict):
        rle = coco_mask.frPyObjects(mask, height, width)
    else:
        rle = coco_mask.merge(coco_mask.frPyObjects(mask, height, width))
    counts = rle['counts']
    return {
        'size': [height, width],
        'counts': counts.decode('ascii') if isinstance(counts, bytes) else counts,
    }


def to_array(mask: list | dict, height: int, width: int) -> np.ndarray:
    """The mask as a uint8 array (height, width) of 0 and 1."""
    return coco_mask.decode(to_rle(mask, height, width))


def from_array(array: np.ndarray) -> dict:
    """A boolean or 0/1 array (height, width) as compressed RLE."""
    rle = coco_mask.encode(np.asfortranarray(np.asarray(array, dtype=bool), dtype=np.uint8))
    return {'size': list(array.shape), 'counts': rle['counts'].decode('ascii')}


def union(masks: list[list | dict], height: int, width: int) -> list | dict:
    """All masks in one: polygons stay polygons, anything else becomes RLE."""
    if all(isinstance(mask, list) for mask in masks):
        return [polygon for mask in masks for polygon in mask]
    merged = coco_mask.merge([to_rle(mask, height, width) for mask in masks])
    return to_rle(merged, height, width)


def area(mask: list | dict, height: int, width: int) -> int:
    """Number of pixels of the mask."""
    return int(coco_mask.area(to_rle(mask, height, width)))


def bounds(mask: list | dict, height: int, width: int) -> list[float]:
    """The tightest box [x, y, width, height]: of the points of polygons, of the pixels of an RLE."""
    if isinstance(mask, dict):
        return [float(value) for value in coco_mask.toBbox(to_rle(mask, height, width))]
    xs = [x for polygon in mask for x in polygon[0::2]]
    ys = [y for polygon in mask for y in polygon[1::2]]
    return box_union([[min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]])


def box_union(boxes: list[list[float]]) -> list[float]:
    """The smallest [x, y, width, height] around some boxes."""
    x1, y1 = min(box[0] for box in boxes), min(box[1] for box in boxes)
    x2, y2 = max(box[0] + box[2] for box in boxes), max(box[1] + box[3] for box in boxes)
    # Sums of coordinates with two decimals must not grow more of them.
    return [x1, y1, round(x2 - x1, 6), round(y2 - y1, 6)]
