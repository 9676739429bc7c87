"""Draw a referring expression with its box, contour and mask: arrays in, arrays out.

Letters in the shapes: H, W the image's size, K contour points.
"""

import bisect
import io
import os
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmrefseg.utils import atomic_write

# RGB. Blue-green against orange stays apart for colour-blind readers, and over most photographs.
TRUTH = (0, 190, 160)
PREDICTION = (255, 122, 0)
PAPER = (255, 255, 255)
INK = (30, 30, 30)
FAINT = (120, 120, 120)
MARGIN = 8
# Of a panel, in widths.
TALLEST = 5


def draw_case(
    image: np.ndarray,
    expression: str,
    *,
    truth_mask: np.ndarray | None = None,
    truth_box: Sequence[float] | None = None,
    mask: np.ndarray | None = None,
    box: Sequence[float] | None = None,
    points: np.ndarray | None = None,
    score: float | None = None,
    note: str | None = None,
    width: int = 420,
) -> np.ndarray:
    """Draw one expression and what it refers to as one panel.

    The expression stands above the image; below it, the colours' meaning,
    the mask IoU (where both masks are known) and the score.

    Args:
        image: (H, W, 3) uint8, RGB.
        expression: The referring expression, wrapped to the panel's width.
        truth_mask: (H, W), true where the referent is.
        truth_box: ``[x1, y1, x2, y2]`` in pixels of ``image``.
        mask: (H, W), the predicted mask.
        box: The predicted box, ``[x1, y1, x2, y2]``.
        points: (K, 2) predicted contour vertices ``x, y`` in their order; rows
            with NaN are left out. They are numbered from 1.
        score: Of the prediction, in [0, 1].
        note: A few more words for the line below the image.
        width: Of the panel in pixels; the image is scaled to it.

    Returns:
        np.ndarray: (h, ``width``, 3) uint8, RGB.
    """
    canvas, scale = _canvas(image, width - 2 * MARGIN)
    size = canvas.shape[1::-1]
    thickness = 2

    if mask is not None:
        canvas = _tint(canvas, _resize_mask(mask, size), PREDICTION, 0.35)
    if truth_mask is not None:
        _outline(canvas, _resize_mask(truth_mask, size), TRUTH, thickness)
    if mask is not None and points is None:
        _outline(canvas, _resize_mask(mask, size), PREDICTION, thickness)
    for corners, color in ((truth_box, TRUTH), (box, PREDICTION)):
        if corners is not None:
            _dashed_box(canvas, np.asarray(corners, dtype=float) * np.tile(scale, 2), color)
    if points is not None:
        canvas = _numbered_points(canvas, np.asarray(points, dtype=float) * scale)

    has_truth = truth_mask is not None or truth_box is not None
    has_prediction = mask is not None or box is not None or points is not None
    legend = [('truth', TRUTH)] * has_truth + [('prediction', PREDICTION)] * has_prediction
    figures = _figures(mask, truth_mask, score, note)
    return np.concatenate([_title(expression, width), _pad_sides(canvas), _footer(legend, figures, width)])


def _figures(
    mask: np.ndarray | None, truth_mask: np.ndarray | None, score: float | None, note: str | None
) -> list[str]:
    """What stands below a case; what is unknown is left out."""
    figures = []
    if mask is not None and truth_mask is not None:
        figures.append(f'IoU {100 * mask_iou(mask, truth_mask):.1f}')
    if score is not None:
        figures.append(f'score {score:.2f}')
    return [*figures, note] if note else figures


def draw_overlay(
    image: np.ndarray,
    filled: Sequence[tuple[np.ndarray, tuple[int, int, int]]] = (),
    outlined: Sequence[tuple[np.ndarray, tuple[int, int, int]]] = (),
    width: int = 420,
    alpha: float = 0.5,
) -> np.ndarray:
    """Lay masks over an image: blended with their colour and outlined in it, or only outlined.

    Args:
        image: (H, W, 3) uint8, RGB.
        filled: (mask (H, W), colour) that are blended and outlined.
        outlined: (mask (H, W), colour) that are outlined.
        width: Of the result in pixels; the image is scaled to it.
        alpha: Weight of the colour inside a filled mask.

    Returns:
        np.ndarray: (h, ``width``, 3) uint8, RGB.
    """
    canvas, _ = _canvas(image, width)
    size = canvas.shape[1::-1]
    for mask, color in filled:
        canvas = _tint(canvas, _resize_mask(mask, size), color, alpha)
    for mask, color in [*filled, *outlined]:
        _outline(canvas, _resize_mask(mask, size), color, 1)
    return canvas


def crop_around(
    boxes: Sequence[Sequence[float]], height: int, width: int, margin: float = 0.3, aspect: float = 4 / 3
) -> tuple[int, int, int, int]:
    """The part of an image that shows what some boxes hold, with a margin, as near to a shape as it allows.

    Args:
        boxes: ``[x1, y1, x2, y2]`` in pixels, at least one.
        height: Of the image, in pixels.
        width: The same.
        margin: Share of what they hold, added on each side.
        aspect: Wanted width over height.

    Returns:
        x1, y1, x2, y2 in whole pixels inside the image, at least one wide and high.
    """
    corners = np.asarray(boxes, dtype=float)
    low = np.clip(corners[:, :2].min(axis=0), 0, [width - 1, height - 1])
    high = np.clip(corners[:, 2:].max(axis=0), low + 1, [width, height])
    wanted = (high - low) * (1 + 2 * margin)
    size = np.maximum(wanted, [wanted[1] * aspect, wanted[0] / aspect])
    size = np.minimum(np.ceil(size), [width, height])
    # Moved where the image ends, rather than cut.
    start = np.clip(np.floor((low + high - size) / 2), 0, [width, height] - size)
    return tuple(int(value) for value in (*start, *(start + size)))


def trace_outlines(mask: np.ndarray, tolerance: float = 0.6) -> list[np.ndarray]:
    """The borders of a mask along the edges of its pixels, holes too: to be filled even-odd.

    Args:
        mask: (H, W), true inside.
        tolerance: How far a border may leave the edges, in pixels.

    Returns:
        A (K, 2) float array of x, y in pixels for each border, K >= 3.
    """
    # Borders are found along the middles of pixels: of small ones, these are near to the edges of large ones.
    scale = 4
    fine = np.kron(np.asarray(mask, dtype=np.uint8), np.ones((scale, scale), np.uint8))
    found, _ = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    borders = []
    for border in found:
        simple = cv2.approxPolyDP(border, tolerance * scale, True)
        # One pixel would become a line.
        borders.append((simple if len(simple) >= 3 else border)[:, 0])
    return [(border + 0.5) / scale for border in borders]


def save_grid(cases: Sequence[dict | np.ndarray], path: str | os.PathLike, columns: int = 4) -> None:
    """Write panels side by side into one PNG, atomically.

    Args:
        cases: Keyword arguments of :func:`draw_case`, or panels that it made.
        path: The file to write.
        columns: Panels in a row.

    Raises:
        ValueError: If there is no case.
    """
    panels = [case if isinstance(case, np.ndarray) else draw_case(**case) for case in cases]
    buffer = io.BytesIO()
    Image.fromarray(make_grid(panels, columns)).save(buffer, format='PNG')
    with atomic_write(path, 'wb') as file:
        file.write(buffer.getvalue())


def make_grid(panels: Sequence[np.ndarray], columns: int = 4) -> np.ndarray:
    """Put panels of any size into rows, aligned at their upper edges on white.

    Args:
        panels: (h, w, 3) uint8 arrays.
        columns: Panels in a row.

    Returns:
        np.ndarray: One (h, w, 3) uint8 array.

    Raises:
        ValueError: If there is no panel.
    """
    if not panels:
        raise ValueError('a grid needs at least one panel')
    columns = min(columns, len(panels))
    cell = max(panel.shape[1] for panel in panels)
    rows = []
    for start in range(0, len(panels), columns):
        row = panels[start : start + columns]
        canvas = np.full((max(panel.shape[0] for panel in row), cell * columns, 3), PAPER, dtype=np.uint8)
        for index, panel in enumerate(row):
            canvas[: panel.shape[0], index * cell : index * cell + panel.shape[1]] = panel
        rows.append(canvas)
    return np.concatenate(rows)


def mask_iou(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two (H, W) masks, in [0, 1]; 0 where both are empty."""
    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    union = np.logical_or(first, second).sum()
    return float(np.logical_and(first, second).sum() / union) if union else 0.0


def _canvas(image: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The image at a panel's width, and the factors (x, y) of the resize.

    A strip is squeezed to :data:`TALLEST` times the width: 10 x 20000 pixels would become 800,000 high.
    """
    scale = width / image.shape[1]
    down = min(scale, TALLEST * width / image.shape[0])
    size = (width, max(round(image.shape[0] * down), 1))
    enlarge = cv2.INTER_LINEAR if scale > 1 else cv2.INTER_AREA
    canvas = cv2.resize(np.ascontiguousarray(image), size, interpolation=enlarge)
    return canvas, np.array([scale, down])


def _resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale a mask smoothly: linear interpolation of 0 and 1, cut at one half."""
    scaled = cv2.resize(np.asarray(mask, dtype=np.float32), size, interpolation=cv2.INTER_LINEAR)
    return (scaled >= 0.5).astype(np.uint8)


def _tint(image: np.ndarray, mask: np.ndarray, color: tuple[int, int, int], alpha: float) -> np.ndarray:
    blend = image * (1 - alpha) + np.array(color) * alpha
    return np.where(mask[..., None] > 0, blend, image).astype(np.uint8)


def _outline(image: np.ndarray, mask: np.ndarray, color: tuple[int, int, int], thickness: int) -> None:
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    # A dark line below the coloured one keeps it visible on any background.
    cv2.drawContours(image, contours, -1, INK, thickness + 2, cv2.LINE_AA)
    cv2.drawContours(image, contours, -1, color, thickness, cv2.LINE_AA)


def _dashed_box(image: np.ndarray, box: np.ndarray, color: tuple[int, int, int], dash: int = 7) -> None:
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (round(value) for value in np.clip(box, 0, [width - 1, height - 1] * 2))
    for (ax, ay), (bx, by) in (
        ((x1, y1), (x2, y1)),
        ((x2, y1), (x2, y2)),
        ((x2, y2), (x1, y2)),
        ((x1, y2), (x1, y1)),
    ):
        steps = max(int(np.hypot(bx - ax, by - ay)) // dash, 1)
        ends = np.linspace([ax, ay], [bx, by], steps + 1).round().astype(int)
        for begin, end in zip(ends[:-1:2], ends[1::2], strict=False):
            cv2.line(image, tuple(map(int, begin)), tuple(map(int, end)), color, 2, cv2.LINE_AA)


def _numbered_points(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The contour as a closed line, its vertices as numbered dots that fade from dark to light."""
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) == 0:
        return image
    corners = points.round().astype(np.int32)
    cv2.polylines(image, [corners], True, INK, 4, cv2.LINE_AA)
    cv2.polylines(image, [corners], True, PREDICTION, 2, cv2.LINE_AA)
    for index, corner in enumerate(corners):
        position = tuple(int(value) for value in corner)
        share = index / max(len(corners) - 1, 1)
        color = tuple(round(a + (b - a) * share) for a, b in zip((190, 20, 60), (255, 225, 120), strict=True))
        cv2.circle(image, position, 5 if index else 7, INK, -1, cv2.LINE_AA)
        cv2.circle(image, position, 4 if index else 6, color, -1, cv2.LINE_AA)

    canvas = Image.fromarray(image)
    pen, font = ImageDraw.Draw(canvas), _font(12)
    outward = points - points.mean(axis=0)
    outward = outward / np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-6)
    low, high = np.array([7, 7]), np.array([canvas.width - 8, canvas.height - 8])
    for index, (x, y) in enumerate(np.clip(points + 14 * outward, low, high)):
        pen.text((x, y), str(index + 1), font=font, fill=PAPER, anchor='mm', stroke_width=2, stroke_fill=INK)
    return np.asarray(canvas).copy()


def draw_text(text: str, width: int, size: int = 14, color: tuple[int, int, int] = FAINT) -> np.ndarray:
    """Words on white, wrapped to a panel's width: (h, ``width``, 3) uint8, RGB.

    Args:
        text: The words.
        width: Of the panel, in pixels.
        size: Of the letters, in pixels.
        color: RGB.
    """
    font, step = _font(size), size + 6
    lines = wrap(text, font, width - 2 * MARGIN)
    canvas = Image.new('RGB', (width, step * len(lines) + MARGIN + 4), PAPER)
    pen = ImageDraw.Draw(canvas)
    for index, line in enumerate(lines):
        pen.text((MARGIN, MARGIN // 2 + step * index), line, font=font, fill=color)
    return np.asarray(canvas)


def _title(text: str, width: int) -> np.ndarray:
    return draw_text(text or '(no expression)', width, 16, INK)


def _footer(
    legend: Sequence[tuple[str, tuple[int, int, int]]], figures: Sequence[str], width: int
) -> np.ndarray:
    canvas = Image.new('RGB', (width, 30), PAPER)
    pen, font = ImageDraw.Draw(canvas), _font(14)
    x = MARGIN
    for name, color in legend:
        pen.rectangle((x, 9, x + 12, 21), fill=color, outline=INK)
        pen.text((x + 17, 15), name, font=font, fill=FAINT, anchor='lm')
        x += 32 + int(font.getlength(name))
    pen.text((width - MARGIN, 15), '   '.join(figures), font=font, fill=INK, anchor='rm')
    return np.asarray(canvas)


def _pad_sides(image: np.ndarray) -> np.ndarray:
    return cv2.copyMakeBorder(image, 0, 0, MARGIN, MARGIN, cv2.BORDER_CONSTANT, value=PAPER)


def wrap(text: str, font: ImageFont.FreeTypeFont, width: float, max_lines: int = 4) -> list[str]:
    """Break ``text`` into lines no wider than ``width`` pixels, the last of ``max_lines`` with '...'."""
    lines, line = [], ''
    for word in text.split():
        longer = f'{line} {word}'.strip()
        if line and font.getlength(longer) > width:
            lines.append(line)
            longer = word
        line = longer
        while font.getlength(line) > width and len(line) > 1 and len(lines) < max_lines:
            cut = max(
                bisect.bisect_right(range(1, len(line)), width, key=lambda n: font.getlength(line[:n])), 1
            )
            lines.append(line[:cut])
            line = line[cut:]
        if len(lines) >= max_lines:
            break
    lines.append(line)
    if len(lines) > max_lines:
        last = lines[max_lines - 1]
        while last and font.getlength(f'{last} ...') > width:
            last = last[:-1]
        lines = [*lines[: max_lines - 1], f'{last.rstrip()} ...']
    return lines


def _font(size: int) -> ImageFont.FreeTypeFont:
    """The font that Pillow carries, so that images look the same everywhere."""
    return ImageFont.load_default(size)
