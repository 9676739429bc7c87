"""Draw the objects of an image as detectron2's demo does: boxes, filled masks, ``class 97%``."""

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

COLOR_MODES = ('image', 'segmentation', 'bw')
GOLDEN_RATIO = 0.61803398875
SMALL_AREA, SMALL_HEIGHT = 1000, 40
"""Below these (pixels) a label stands beside its object."""


def draw_instances(
    image: np.ndarray,
    boxes: np.ndarray,
    labels: Sequence[str],
    masks: np.ndarray | None = None,
    colors: Sequence[tuple[int, int, int]] | None = None,
    mode: str = 'image',
) -> np.ndarray:
    """Draw objects, the largest first, so that small ones are not covered.

    Args:
        image: (H, W, 3) uint8, RGB.
        boxes: (N, 4) x1, y1, x2, y2 in pixels.
        labels: N texts, such as ``person 97%``.
        masks: (N, H, W), true inside the objects.
        colors: N RGB colours, by default all different (for ``segmentation``, give those of the classes).
        mode: ``image``: the image with tinted objects; ``segmentation``: strong colours; ``bw``: grey
            outside of the masks.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    colors = distinct_colors(len(boxes)) if colors is None else colors
    canvas = image.copy()
    if mode == 'bw' and masks is not None and len(masks):
        grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
        canvas = np.where(np.any(masks, axis=0)[..., None], image, grey)
    alpha = {'image': 0.5, 'segmentation': 0.8, 'bw': 0.3}[mode]
    order = drawing_order(boxes, masks)
    for index in order:
        if masks is not None:
            _fill(canvas, np.asarray(masks[index], bool), colors[index], alpha)
        _box(canvas, boxes[index], colors[index])
    canvas = Image.fromarray(canvas)
    for index in order:
        _label(canvas, boxes[index], labels[index], colors[index])
    return np.asarray(canvas).copy()


def drawing_order(boxes: np.ndarray, masks: np.ndarray | None = None) -> list[int]:
    """Indices by area, the largest first; masks count rather than boxes."""
    if masks is not None and len(masks):
        areas = np.asarray(masks, bool).reshape(len(masks), -1).sum(1)
    else:
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return np.argsort(-areas, kind='stable').tolist()


def distinct_colors(count: int, start: int = 0) -> list[tuple[int, int, int]]:
    """RGB colours far apart from one another; ``start`` goes on where others were taken."""
    return [
        tuple(round(255 * part) for part in colorsys.hsv_to_rgb(number * GOLDEN_RATIO % 1, 0.75, 0.95))
        for number in range(start, start + count)
    ]


def _fill(image: np.ndarray, mask: np.ndarray, color: tuple[int, int, int], alpha: float) -> None:
    image[mask] = image[mask] * (1 - alpha) + np.array(color) * alpha
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, contours, -1, tuple(int(part * 0.7) for part in color), 1, cv2.LINE_AA)


def _box(image: np.ndarray, box: np.ndarray, color: tuple[int, int, int]) -> None:
    x1, y1, x2, y2 = (round(float(value)) for value in box)
    thickness = max(round(np.sqrt(image.shape[0] * image.shape[1]) / 400), 1)
    cv2.rectangle(image, (x1, y1), (x2, y2), color, thickness, cv2.LINE_AA)


def _label(canvas: Image.Image, box: np.ndarray, text: str, color: tuple[int, int, int]) -> None:
    """In the upper left corner of the box; beside a small one, where it would cover the object."""
    if not text:
        return
    x1, y1, x2, y2 = (float(value) for value in box)
    side = np.sqrt(canvas.width * canvas.height)
    growth = np.clip(((y2 - y1) / side - 0.02) / 0.08 + 1, 1.2, 2.0)  # with the height of the box
    font = ImageFont.load_default(int(max(side / 90, 10) * 0.5 * growth) + 3)
    left, top, right, bottom = font.getbbox(text)
    width, height = right - left + 4, bottom - top + 4
    if (x2 - x1) * (y2 - y1) < SMALL_AREA or y2 - y1 < SMALL_HEIGHT:
        x1, y1 = (x1, y2) if y2 + height < canvas.height else (x2, y1)
    x1 = min(max(x1, 0), max(canvas.width - width, 0))
    y1 = min(max(y1, 0), max(canvas.height - height, 0))
    plate = Image.new('RGBA', (int(width), int(height)), (0, 0, 0, 190))
    pen = ImageDraw.Draw(plate)
    light = tuple(round(part + (255 - part) * 0.55) for part in color)
    pen.text((2 - left, 2 - top), text, font=font, fill=light)
    canvas.paste(plate, (int(x1), int(y1)), plate)


class ColorTracker:
    """Keeps an object's colour from one frame of a video to the next.

    An object is the same if class and place agree: the IoU of the masks (without these, of the boxes) is over
    one half. One that is not seen for eight frames is forgotten.
    """

    LIFE, SAME = 8, 0.5

    def __init__(self) -> None:
        self._known: list[dict] = []
        self._count = 0

    def colors(
        self, boxes: np.ndarray, labels: Sequence[int], masks: np.ndarray | None = None
    ) -> list[tuple[int, int, int]]:
        """Colours of a frame's objects; arguments as for :func:`draw_instances`, ``labels`` as numbers."""
        shapes = boxes if masks is None else np.asarray(masks, bool)
        pairs = sorted(
            (-_iou(known['shape'], shape), row, index)
            for row, known in enumerate(self._known)
            for index, shape in enumerate(shapes)
            if known['label'] == labels[index]
        )
        matched: dict[int, int] = {}
        for negative, row, index in pairs:
            if -negative > self.SAME and index not in matched and row not in matched.values():
                matched[index] = row
        chosen = []
        seen = [self._known[row] for row in matched.values()]
        fresh = []
        for index, shape in enumerate(shapes):
            known = self._known[matched[index]] if index in matched else self._new()
            known.update(shape=shape, label=labels[index], age=0)
            chosen.append(known['color'])
            fresh.append(known)
        gone = [known for known in self._known if not any(known is other for other in seen)]
        for known in gone:
            known['age'] += 1
        self._known = fresh + [known for known in gone if known['age'] < self.LIFE]
        return chosen

    def _new(self) -> dict:
        self._count += 1
        return {'color': distinct_colors(1, self._count - 1)[0]}


def _iou(first: np.ndarray, second: np.ndarray) -> float:
    if first.dtype == bool:
        if first.shape != second.shape:
            return 0.0
        union = (first | second).sum()
        return float((first & second).sum() / union) if union else 0.0
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[2:], second[2:])
    inside = np.prod(np.clip(high - low, 0, None))
    union = np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2]) - inside
    return float(inside / union) if union > 0 else 0.0
