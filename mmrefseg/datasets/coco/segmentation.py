"""One object's ``segmentation``, in the forms that tools write, as a mask of the working format.

What COCO knows are ``[[x, y, x, y, ...], ...]`` and ``{'size', 'counts'}``. What else can be read without a
doubt is read; of anything else it is said why it is no mask.
"""

import ast
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...structures.boxes import paired_box_iou, xywh_to_xyxy
from ...structures.masks import Mask, bounds, form_problem, mask_problem, to_rle, union
from ...structures.polygons import FARTHEST_VERTEX
from ...structures.rle import decode_mask, encode_mask, rle_problem
from .numbers import as_number, as_size, from_text

EMPTY = 'mask that covers no pixel'
FAR = 'polygon with a vertex far outside the image'
_FITS = 0.5
# A vertex may reach out of its image by a rounding, in pixels.
_SLACK = 2.0


class Extent(NamedTuple):
    """How far the masks of one image reach: which size their image must have.

    Attributes:
        rle_sizes: The [height, width] of the run-length codes.
        right: The largest x of a polygon.
        bottom: The largest y of a polygon.
    """

    rle_sizes: frozenset[tuple]
    right: float
    bottom: float

    def fits(self, size: tuple[int, int]) -> bool:
        """Whether an image of (height, width) holds them, but for a rounding."""
        inside = self.right <= size[1] + _SLACK and self.bottom <= size[0] + _SLACK
        return inside and self.rle_sizes <= {size}


def extent(annotations: Sequence[dict]) -> Extent:
    """How far objects reach, from what can be read without knowing the size of their image."""
    sizes, right, bottom = set(), 0.0, 0.0
    for annotation in annotations:
        value = annotation.get('segmentation')
        if isinstance(value, dict):
            size = value.get('size')
            size = as_size(*size) if isinstance(size, (list, tuple)) and len(size) == 2 else None
            sizes |= {size} - {None}
        elif isinstance(value, (list, tuple)):
            reach = [_reach(polygon) for polygon in _flat(value)]
            right, bottom = max([right, *(x for x, _ in reach)]), max([bottom, *(y for _, y in reach)])
    return Extent(frozenset(sizes), right, bottom)


def _flat(value: Sequence) -> Sequence[Sequence]:
    """Polygons as flat lists, without a look at their values where they seem to be COCO's."""
    plain = all(type(part) is list and part and type(part[0]) in (int, float) for part in value)
    return value if plain and any(len(part) > 2 for part in value) else _as_polygons(value)[0] or ()


def _reach(polygon: Sequence) -> tuple[float, float]:
    """The largest x and y of a polygon."""
    try:
        right, bottom = max(polygon[0::2]), max(polygon[1::2])
        if math.isfinite(right + bottom):
            return right, bottom
    except (TypeError, ValueError, OverflowError):
        pass  # some value is no number: those that are, one by one
    xs = [x for x in map(as_number, polygon[0::2]) if x is not None]
    ys = [y for y in map(as_number, polygon[1::2]) if y is not None]
    return max([0.0, *xs]), max([0.0, *ys])


class Segmentation(NamedTuple):
    """What was read.

    Attributes:
        mask: Sound and not empty, or None.
        mended: What was unusual about it and could be read, or None.
        problem: Why there is no mask although the file has something, or None.
    """

    mask: Mask | None = None
    mended: str | None = None
    problem: str | None = None


def read_segmentation(value: Any, height: int, width: int, box: Sequence[float] | None) -> Segmentation:
    """Read the ``segmentation`` of an object.

    Args:
        value: Whatever the file has.
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        box: The object's [x, y, width, height] in pixels, where it has one: it decides between readings.
    """
    if isinstance(value, str):
        read = from_text(value)
        if read is not value:
            inner = read_segmentation(read, height, width, box)
            return inner._replace(mended='segmentation as text of json') if inner.mask else inner
    if value is None or (isinstance(value, (str, list, tuple, dict)) and not value):
        return Segmentation()
    if isinstance(value, dict):
        return _read_rle(value, height, width, box)
    if not isinstance(value, (list, tuple)):
        return Segmentation(problem=f'segmentation of type {type(value).__name__}')
    lengths = _lengths(value, height, width, box)
    if lengths:
        return lengths
    if _is_bitmap(value, height, width):
        bitmap = np.array(value) != 0
        return (
            Segmentation(encode_mask(bitmap), 'mask as rows of its pixels')
            if bitmap.any()
            else Segmentation(problem=EMPTY)
        )
    if _is_sound(value, height, width):
        return Segmentation(value)
    if all(isinstance(part, dict) and 'counts' in part for part in value):
        return _read_rles(value, height, width, box)
    polygons, mended = _as_polygons(value)
    if polygons is None:
        return Segmentation(problem='segmentation that is neither polygons nor RLE')
    return _read_polygons(polygons, height, width, mended)


def _is_sound(value: Sequence, height: int, width: int) -> bool:
    """Whether these are polygons as COCO has them."""
    lists = all(type(part) is list for part in value)
    return lists and not mask_problem(value, height, width) and not _in_shares(value, height, width)


def _is_bitmap(value: Sequence, height: int, width: int) -> bool:
    """Whether these are the image's rows of pixels, of background 0 and one other value."""
    if len(value) != height or not all(isinstance(row, list) and len(row) == width for row in value):
        return False
    values = {pixel for row in value for pixel in row if not isinstance(pixel, (list, dict))}
    return min(height, width) > 4 and (values <= {0, 1} or values <= {0, 255})


# Polygons


def _as_polygons(value: Sequence) -> tuple[list[list] | None, str | None]:
    """The flat coordinates of each polygon, whatever the nesting; and what was unusual about it."""
    if not any(isinstance(part, (list, tuple, dict)) for part in value):
        return [list(value)], 'polygon not in a list of polygons'
    points = [_point(part) for part in value]
    if None not in points:
        return [[number for point in points for number in point]], 'polygon as points [x, y]'
    polygons, mended = [], None
    for part in value:
        if not isinstance(part, (list, tuple)):
            return None, None
        points = [_point(item) for item in part]
        if part and None not in points:
            polygons.append([number for point in points for number in point])
            mended = 'polygon as points [x, y]'
        elif any(isinstance(item, (list, tuple)) for item in part):
            if not all(isinstance(item, (list, tuple)) for item in part):
                return None, None
            polygons += [list(item) for item in part]
            mended = 'polygons in one list too many'
        else:
            polygons.append(list(part))
    return polygons, mended


def _point(value: Any) -> tuple | None:
    if isinstance(value, dict) and {'x', 'y'} <= value.keys():
        return value['x'], value['y']
    is_point = isinstance(value, (list, tuple)) and len(value) == 2
    return tuple(value) if is_point and not any(isinstance(v, (list, dict)) for v in value) else None


def _read_polygons(polygons: list[list], height: int, width: int, mended: str | None) -> Segmentation:
    drawable = []
    for polygon in polygons:
        numbers = [as_number(value) for value in polygon]
        if None in numbers:
            return Segmentation(problem='polygon with values that are no finite numbers')
        if len(numbers) % 2:
            return Segmentation(problem='polygon with an odd number of coordinates')
        if any(isinstance(value, str) for value in polygon):
            mended = mended or 'polygon with numbers as text'
        if numbers and max(map(abs, numbers)) > FARTHEST_VERTEX:
            return Segmentation(problem=FAR)
        if len(numbers) >= 6:
            drawable.append(numbers)
    if not drawable:
        return Segmentation(problem='polygon of fewer than 3 points')
    if len(drawable) < len(polygons):
        mended = mended or 'polygons of fewer than 3 points beside others, left out'
    if _in_shares(drawable, height, width):
        sides = width, height
        drawable = [[value * sides[k % 2] for k, value in enumerate(part)] for part in drawable]
        mended = 'polygon in shares of the image, not in pixels'
    meeting = _meet(drawable, height, width)
    if not meeting:
        return Segmentation(problem='polygon outside the image')
    if len(meeting) < len(drawable):
        mended = mended or 'polygons outside the image beside others, left out'
    if form_problem(meeting, height, width):
        return Segmentation(problem=FAR)
    if mask_problem(meeting, height, width):
        return Segmentation(problem=EMPTY)
    return Segmentation(meeting, mended)


def _meet(polygons: list[list], height: int, width: int) -> list[list]:
    """Those that meet the image: the others cover no pixel of it."""
    return [
        polygon
        for polygon in polygons
        if min(polygon[0::2]) < width
        and max(polygon[0::2]) > 0
        and min(polygon[1::2]) < height
        and max(polygon[1::2]) > 0
    ]


def _in_shares(polygons: list[list], height: int, width: int) -> bool:
    """Whether polygons lie within the first pixel of a larger image: no mask, but shares of its size."""
    return min(height, width) > 4 and all(-0.01 <= value <= 1.01 for part in polygons for value in part)


# Run lengths


def _lengths(value: Sequence, height: int, width: int, box: Sequence[float] | None) -> Segmentation | None:
    """Run lengths that stand where a polygon should: their sum is the image, and as a polygon they miss."""
    counts = value[0] if len(value) == 1 and isinstance(value[0], (list, tuple)) else value
    if isinstance(counts[0] if counts else None, (list, tuple, dict)):
        return None
    try:
        if sum(counts) != height * width or not all(type(run) is int and run >= 0 for run in counts):
            return None
    except (TypeError, OverflowError):
        return None
    rle = {'size': [height, width], 'counts': list(counts)}
    polygon = [list(counts)]
    as_polygon = bounds(polygon, height, width) if not form_problem(polygon, height, width) else None
    as_rle = bounds(rle, height, width)
    fits = box is not None and [_iou(as_rle, box), _iou(as_polygon, box) if as_polygon else 0.0]
    if fits and max(fits) >= _FITS:
        better = fits[0] >= fits[1]
    else:
        right, bottom = (
            (as_polygon[0] + as_polygon[2], as_polygon[1] + as_polygon[3]) if as_polygon else (0, 0)
        )
        better = as_polygon is None or right > width or bottom > height
    return Segmentation(rle, 'RLE lengths as a polygon') if better and as_rle[2] else None


def _read_rle(rle: dict, height: int, width: int, box: Sequence[float] | None) -> Segmentation:
    counts, mended = _counts(rle.get('counts'))
    if counts is None:
        return Segmentation(problem='RLE without counts')
    size = rle.get('size')
    size = as_size(*size) if isinstance(size, (list, tuple)) and len(size) == 2 else None
    if size is None:
        size, mended = (height, width), 'RLE without its size'
    elif any(type(side) is not int for side in rle['size']):
        mended = mended or 'RLE with a size of text or decimals'
    rle = {'size': list(size), 'counts': counts}
    problem, covered = rle_problem(rle, *size)
    if problem:
        return Segmentation(problem='RLE whose runs do not fill its size')
    if not covered:
        return Segmentation(problem=EMPTY)
    if size == (height, width):
        return _by_rows(rle, box) or Segmentation(rle, mended)
    if size == (width, height):
        return _exchanged(rle, box)
    return _cropped(rle, height, width, box)


def _by_rows(rle: dict, box: Sequence[float] | None) -> Segmentation | None:
    """The mask read row by row, where only this fits the object's box."""
    height, width = rle['size']
    if box is None or _iou(bounds(rle, height, width), box) >= _FITS:
        return None
    turned = {**rle, 'size': [width, height]}
    rows = encode_mask(decode_mask(to_rle(turned, width, height, check=None)).T)
    fits = _iou(bounds(rows, height, width), box) > 0.9
    return Segmentation(rows, 'RLE encoded row by row') if fits else None


def _counts(counts: Any) -> tuple[Any, str | None]:
    """Counts as text or whole numbers, and what was unusual about them."""
    if isinstance(counts, str) and counts[:2] in ("b'", 'b"'):
        try:
            return ast.literal_eval(counts).decode('ascii'), 'RLE with counts that are text of bytes'
        except (ValueError, SyntaxError, AttributeError, UnicodeDecodeError):
            return counts, None
    if isinstance(counts, str) and len(counts.split()) > 1:
        counts = counts.split()
    elif isinstance(counts, str) and counts != counts.strip():
        return counts.strip(), 'RLE with blanks around its counts'
    if isinstance(counts, list) and any(isinstance(run, (float, str)) for run in counts):
        runs = [as_number(run) for run in counts]
        if all(run is not None and run == int(run) for run in runs):
            return [int(run) for run in runs], 'RLE with counts of text or decimals'
    return counts or None, None


def _exchanged(rle: dict, box: Sequence[float] | None) -> Segmentation:
    """``size`` is [width, height]: a slip, or the mask was encoded turned (row by row)."""
    width, height = rle['size']
    columns = {**rle, 'size': [height, width]}
    rows = encode_mask(decode_mask(to_rle(rle, width, height, check=None)).T)
    fits = [1.0, 0.0] if box is None else [_iou(bounds(m, height, width), box) for m in (columns, rows)]
    if max(fits) < _FITS:
        return Segmentation(problem='RLE of another size than its image')
    if fits[0] >= fits[1]:
        return Segmentation(columns, 'RLE with height and width exchanged')
    return Segmentation(rows, 'RLE encoded row by row')


def _cropped(rle: dict, height: int, width: int, box: Sequence[float] | None) -> Segmentation:
    """A mask of the size of the object's box belongs at its place."""
    problem = Segmentation(problem='RLE of another size than its image')
    rows, columns = rle['size']
    if box is None or abs(box[2] - columns) > 1 or abs(box[3] - rows) > 1:
        return problem
    left, top = round(box[0]), round(box[1])
    whole = np.zeros((height, width), bool)
    part = decode_mask(to_rle(rle, rows, columns, check=None))
    part = (
        part[max(-top, 0) : height - top, max(-left, 0) : width - left]
        if left < width and top < height
        else []
    )
    if not np.any(part):
        return problem
    top, left = max(top, 0), max(left, 0)
    whole[top : top + part.shape[0], left : left + part.shape[1]] = part
    return Segmentation(encode_mask(whole), 'RLE cropped to its box')


def _read_rles(parts: Sequence[dict], height: int, width: int, box: Sequence[float] | None) -> Segmentation:
    """A list of RLEs, as refer's files have it."""
    read = [_read_rle(part, height, width, box if len(parts) == 1 else None) for part in parts]
    masks = [part.mask for part in read if part.mask is not None]
    problem = next((part.problem for part in read if part.problem not in (None, EMPTY)), None)
    if problem or not masks:
        return Segmentation(problem=problem or EMPTY)
    return Segmentation(union(masks, height, width) if len(masks) > 1 else masks[0], 'RLE in a list')


def _iou(first: Sequence[float], second: Sequence[float]) -> float:
    """IoU of two boxes [x, y, width, height]."""
    return float(paired_box_iou(xywh_to_xyxy([first]), xywh_to_xyxy([second]))[0])
