"""Boxes of a COCO file: [x, y, width, height] in pixels, or one of the other readings that tools write.

N objects of one file. Which reading a file has, its masks say; without masks, the sizes of its images. An
object whose box and mask disagree is read by its own mask.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...structures.boxes import paired_box_iou, xywh_to_xyxy
from .numbers import as_number, from_text

COCO = 'x, y, width, height'
CORNERS = 'x1, y1, x2, y2'
_AGREES = 0.9
_DISAGREES = 0.5
# A box may reach out of its image by a rounding, in pixels.
_SLACK = 2.0


def _from_corners(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def _from_centre(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)


_FORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    COCO: lambda boxes: boxes,
    CORNERS: _from_corners,
    'centre x, centre y, width, height': _from_centre,
}
_SHARES = ' in shares of the image'


class Boxes(NamedTuple):
    """What was read.

    Attributes:
        xywh: (N, 4) float64 pixels; NaN where there is no usable box.
        mended: N times how a box was read that is not COCO's, or None.
        problems: N times why there is no usable box, or None.
        disagree: (N,) bool, box and mask have an IoU below 0.5 and no reading makes them agree.
        remark: What there is to say of the file's reading, or None.
    """

    xywh: np.ndarray
    mended: list[str | None]
    problems: list[str | None]
    disagree: np.ndarray
    remark: str | None


def four_numbers(box: Any) -> tuple[float, float, float, float] | None:
    """Four finite numbers (their text, too), or None."""
    box = from_text(box)
    if not isinstance(box, (list, tuple)) or len(box) != 4:
        return None
    if all(type(value) in (int, float) and -1e15 < value < 1e15 for value in box):
        return tuple(box)
    numbers = tuple(map(as_number, box))
    return None if None in numbers or max(map(abs, numbers)) > 1e15 else numbers


def all_readings(boxes: np.ndarray, sizes: np.ndarray) -> dict[str, np.ndarray]:
    """Each reading of the numbers as (N, 4) x, y, width, height in pixels; COCO's is the first."""
    scale = np.concatenate([sizes, sizes], axis=1)
    shares = {f'{name}{_SHARES}': form(boxes) * scale for name, form in _FORMS.items()}
    return {name: form(boxes) for name, form in _FORMS.items()} | shares


def read_boxes(raw: Sequence[Any], bounds: np.ndarray, sizes: np.ndarray) -> Boxes:
    """Read the boxes of a file.

    Args:
        raw: N values of ``bbox``, whatever they are.
        bounds: (N, 4) the masks' tightest [x, y, width, height]; NaN where there is no mask.
        sizes: (N, 2) width and height of each object's image.
    """
    numbers = [four_numbers(box) for box in raw]
    boxes = np.array([box or (np.nan,) * 4 for box in numbers], np.float64).reshape(-1, 4)
    readings = all_readings(boxes, sizes)
    fits = {name: _fit(xywh, bounds) for name, xywh in readings.items()}
    name = _reading_of_file(boxes, readings, fits, sizes)
    xywh, fit = readings[name].copy(), fits[name]
    mended = [None if name == COCO or box is None else f'boxes read as {name}' for box in numbers]
    for other in readings:  # an object's own mask
        better = (fit < _DISAGREES) & (fits[other] > _AGREES)
        xywh[better] = readings[other][better]
        fit = np.where(better, fits[other], fit)
        for place in np.flatnonzero(better):
            mended[place] = f'boxes read as {other}, by their masks' if other != COCO else None
    usable, problems = _usable(xywh, sizes)
    from_mask = ~usable & ~np.isnan(bounds[:, 0])
    xywh[from_mask] = bounds[from_mask]
    xywh[~usable & ~from_mask] = np.nan
    for place in np.flatnonzero(from_mask):
        mended[place], problems[place] = 'boxes made from the masks', None
    near = (np.abs(xywh - bounds) <= _SLACK).all(axis=1)
    remark = None
    if name != COCO and not np.isnan(fits[COCO]).all():
        mean = np.nanmean(fits[COCO])
        remark = f'boxes and masks disagree (mean IoU {mean:.2f}) until boxes are read as {name}'
    return Boxes(xywh, mended, problems, usable & (fit < _DISAGREES) & ~near, remark)


def _fit(xywh: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """(N,) IoU of box and mask; NaN where one of them is missing."""
    fit = paired_box_iou(xywh_to_xyxy(xywh), xywh_to_xyxy(bounds))
    return np.where(np.isnan(xywh[:, 0]) | np.isnan(bounds[:, 0]), np.nan, fit)


def _reading_of_file(
    boxes: np.ndarray, readings: dict[str, np.ndarray], fits: dict[str, np.ndarray], sizes: np.ndarray
) -> str:
    """The reading that most of the masks ask for, or, without masks, the images."""
    with_both = ~np.isnan(fits[COCO])
    if with_both.any():
        means = {name: fit[with_both].mean() for name, fit in fits.items()}
        best = max(means, key=means.get)
        gain = (fits[best] - fits[COCO])[with_both]
        clear = (gain > 0.05).sum() > 2 * (gain < -0.05).sum() and (gain > 0.05).sum() * 2 > len(gain)
        return best if means[best] >= _DISAGREES and clear else COCO
    known = ~np.isnan(boxes[:, 0])
    if not known.any():
        return COCO
    large = (sizes[known] > 4).all()
    shares = large and (boxes[known] >= -0.01).all() and (boxes[known] <= 1.01).all()
    # Only a reading that explains every box is taken for more than chance.
    inside = {name: _within(xywh[known], sizes[known]) for name, xywh in readings.items()}
    if shares:
        names = [name for name in readings if name.endswith(_SHARES)]
    else:
        # A few boxes may reach out of their images.
        names = [CORNERS] if inside[COCO].mean() <= 0.75 else []
    return next((name for name in names if inside[name].all()), COCO)


def _within(xywh: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(N,) whether boxes have a size and lie within their images."""
    slack = np.minimum(_SLACK, 0.02 * sizes)
    inside = (xywh[:, :2] >= -slack).all(axis=1) & (xywh[:, :2] + xywh[:, 2:] <= sizes + slack).all(axis=1)
    return inside & (xywh[:, 2:] > 0).all(axis=1)


def _usable(xywh: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, list[str | None]]:
    """(N,) whether a box can be trained on, and N times why not."""
    low, high = xywh[:, :2], xywh[:, :2] + xywh[:, 2:]
    # as the networks see it: a width of 1e-9 is none
    wide = high.astype(np.float32) > low.astype(np.float32)
    reasons = (
        (np.isnan(xywh[:, 0]), 'without a box of four numbers'),
        (~wide.all(axis=1), 'box without area'),
        (~((low < sizes) & (high > 0)).all(axis=1), 'box outside the image'),
        (~((low > -sizes) & (high < 2 * sizes)).all(axis=1), 'box that reaches far out of the image'),
    )
    usable = np.ones(len(xywh), bool)
    problems: list[str | None] = [None] * len(xywh)
    for wrong, reason in reasons:
        for place in np.flatnonzero(wrong & usable):
            problems[place] = reason
        usable &= ~wrong
    return usable, problems
