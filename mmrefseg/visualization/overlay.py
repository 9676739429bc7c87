"""A photo with what a sentence refers to, at its own size: all else is dimmed, and not the object tinted."""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .drawing import wrap

DIM = 0.55
"""Of the brightness and of the colour outside, what stays."""
LINE = (255, 122, 0)
EDGE = (20, 20, 20)
PAPER = (255, 255, 255)


def draw_referent(
    image: np.ndarray,
    text: str | None,
    mask: np.ndarray | None = None,
    box: Sequence[float] | None = None,
) -> np.ndarray:
    """Show a mask without painting over it: inside, the photo is as it was; outside, darker and greyer.

    Args:
        image: (H, W, 3) uint8, RGB.
        text: For a strip along the upper or lower edge, whichever hides less of the object; None for none.
        mask: (H, W) bool; None for a network of boxes alone, or where nothing was found.
        box: ``[x1, y1, x2, y2]`` in pixels, drawn where there is no mask.

    Returns:
        np.ndarray: (H, W, 3) uint8, RGB.
    """
    canvas = np.ascontiguousarray(image)
    line = max(2, round(max(image.shape[:2]) / 400))
    if mask is not None and mask.any():
        canvas = np.where(mask[..., None], image, _dimmed(image))
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, contours, -1, EDGE, line + 2, cv2.LINE_AA)
        cv2.drawContours(canvas, contours, -1, LINE, line, cv2.LINE_AA)
        # The line lies outside: what is inside of the mask stays as it was, but for its edge.
        inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        canvas[inner] = image[inner]
    elif box is not None:
        canvas = canvas.copy()
        corners = np.clip(np.round(box), 0, [*image.shape[1::-1]] * 2).astype(int).tolist()
        cv2.rectangle(canvas, corners[:2], corners[2:], EDGE, line + 2)
        cv2.rectangle(canvas, corners[:2], corners[2:], LINE, line)
    return canvas if text is None else _with_strip(canvas, text, mask)


def _dimmed(image: np.ndarray) -> np.ndarray:
    grey = image.mean(axis=2, keepdims=True)
    return (DIM * (grey + DIM * (image - grey))).astype(np.uint8)


def _with_strip(image: np.ndarray, text: str, mask: np.ndarray | None) -> np.ndarray:
    height, width = image.shape[:2]
    size = int(np.clip(round(max(height, width) / 40), 9, 60))
    font, gap = ImageFont.load_default(size), max(2, size // 4)
    lines = wrap(text, font, max(width - 2 * gap, 1), max_lines=2)
    high = min(len(lines) * (size + gap) + gap, height)
    at_top = mask is None or mask[:high].sum() <= mask[height - high :].sum()
    rows = slice(0, high) if at_top else slice(height - high, height)
    canvas = image.copy()
    canvas[rows] = (0.3 * canvas[rows]).astype(np.uint8)
    drawn = Image.fromarray(canvas)
    pen = ImageDraw.Draw(drawn)
    for number, words in enumerate(lines):
        pen.text((gap, rows.start + gap + number * (size + gap)), words, font=font, fill=PAPER)
    return np.asarray(drawn)
