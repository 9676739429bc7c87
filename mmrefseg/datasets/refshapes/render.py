"""Drawing a scene (textures, anti-aliased edges, background, a little noise), and a sheet of images."""

from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from mmrefseg.structures.masks import to_bitmap
from mmrefseg.utils import UserInputError, atomic_write, load_json

from ..images import read_image
from .scene import Scene, SceneObject
from .shapes import COLORS

SUPERSAMPLING = 4
SHIFT = 4
NOISE_OF_BYTE = np.float32([(a - b) * 1.6 for a in range(16) for b in range(16)]) / 8
"""A random byte makes triangular noise of at most 3 grey levels."""


def render(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Draw a scene.

    Args:
        scene: What to draw.
        rng: Decides what the annotations do not: background, shades, noise.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    canvas = _background(scene.side, rng)
    for item in scene.objects:
        _paint(canvas, item, rng)
    canvas += NOISE_OF_BYTE[np.frombuffer(rng.bytes(canvas.size), np.uint8)].reshape(canvas.shape)
    return cv2.add(canvas, 0, dtype=cv2.CV_8U)


def _background(side: int, rng: np.random.Generator) -> np.ndarray:
    """A muted ground: even, shaded, cloudy or ruled. Float32 RGB."""
    base = rng.uniform(110, 185) + rng.uniform(-16, 16, 3)
    kind = rng.choice(['even', 'shaded', 'cloudy', 'ruled'])
    if kind == 'even':
        light = np.zeros((side, side), np.float32)
    elif kind == 'shaded':
        light = _ramp(side, side, rng.uniform(0, 2 * np.pi)) * rng.uniform(12, 30)
    elif kind == 'cloudy':
        coarse = rng.uniform(-22, 22, (6, 6)).astype(np.float32)
        light = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    else:
        period = side / rng.integers(6, 14)
        phase = np.arange(side, dtype=np.float32) / period % 1
        lines = (phase < 0.18) * rng.choice([-1, 1]) * rng.uniform(8, 16)
        light = np.add.outer(lines, lines * rng.integers(0, 2)).astype(np.float32)
    return np.ascontiguousarray(base.astype(np.float32) + light[..., None])


def _paint(canvas: np.ndarray, item: SceneObject, rng: np.random.Generator) -> None:
    x0, y0 = np.floor(item.outline.exterior.min(0)).astype(int) - 1
    x1, y1 = np.ceil(item.outline.exterior.max(0)).astype(int) + 1
    x0, y0 = max(x0, 0), max(y0, 0)
    crop = canvas[y0:y1, x0:x1]
    height, width = crop.shape[:2]
    cover, rim = _coverage(item, x0, y0, height, width)
    color = np.array(COLORS[item.color], np.float32) + rng.uniform(-8, 8, 3).astype(np.float32)
    other = _second_tone(color)
    mix = _texture(item, x0, y0, height, width, canvas.shape[0])[..., None]
    paint = color + (other - color) * mix
    paint += _ramp(height, width, rng.uniform(0, 2 * np.pi))[..., None] * 8
    paint += (_rim_color(color) - paint) * (rim[..., None] * 0.75)
    crop += (paint - crop) * cover[..., None]


def _coverage(item: SceneObject, x0: int, y0: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Share of each pixel that the object covers, and that its rim covers, in [0, 1]."""
    scale = SUPERSAMPLING
    rings = [item.outline.exterior] + ([] if item.outline.hole is None else [item.outline.hole])
    # COCO puts pixel i over [i, i + 1), cv2 puts its centre at i
    fixed = [np.round((((r - (x0, y0)) * scale) - 0.5) * (1 << SHIFT)).astype(np.int32) for r in rings]
    fine = np.zeros((2, height * scale, width * scale), np.uint8)
    cv2.fillPoly(fine[0], fixed, 255, cv2.LINE_8, SHIFT)
    cv2.polylines(fine[1], fixed, True, 255, int(1.6 * scale), cv2.LINE_8, SHIFT)
    small = [cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA) for layer in fine]
    return small[0].astype(np.float32) / 255, small[1].astype(np.float32) / 255


def _texture(item: SceneObject, x0: int, y0: int, height: int, width: int, side: int) -> np.ndarray:
    """How much of the second tone each pixel takes, in [0, 1]."""
    if item.texture == 'plain':
        return np.zeros((height, width), np.float32)
    unit = side / 128
    angle = np.radians(item.texture_angle)
    middle = item.outline.exterior.mean(0)
    x = (np.arange(width, dtype=np.float32) + (x0 + 0.5 - middle[0]))[None]
    y = (np.arange(height, dtype=np.float32) + (y0 + 0.5 - middle[1]))[:, None]
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    if item.texture == 'striped':
        return np.clip(0.5 + 1.6 * np.sin(u * (2 * np.pi / (6.5 * unit))), 0, 1)
    if item.texture == 'checkered':
        wave = np.sin(u * (np.pi / (5.5 * unit))) * np.sin(v * (np.pi / (5.5 * unit)))
        return np.clip(0.5 + 3.0 * wave, 0, 1)
    period = 6.8 * unit
    du, dv = (u / period + 0.5) % 1 - 0.5, (v / period + 0.5) % 1 - 0.5
    return np.clip((1.9 * unit - np.hypot(du, dv) * period) / unit + 0.5, 0, 1)


def _second_tone(color: np.ndarray) -> np.ndarray:
    bright = color @ np.array([0.3, 0.59, 0.11], np.float32)
    return color * 0.5 if bright > 145 else color + (255 - color) * 0.6


def _rim_color(color: np.ndarray) -> np.ndarray:
    return color * 0.55 if color.max() > 80 else color + 60


def _ramp(height: int, width: int, angle: float) -> np.ndarray:
    x = np.linspace(-1, 1, width, dtype=np.float32)[None] * np.float32(np.cos(angle))
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
    return (x + y) / 2


INK = ('#d62728', '#1f77b4', '#2a8c2a', '#9467bd', '#d97800', '#108a9c', '#8c564b', '#c2388f')
MAX_SENTENCES = 8
SIDE, GAP, LINE = 3.6, 0.25, 0.19
"""Side of an image, gap between cells and height of a line of text, in inches."""


def draw_preview(
    annotation_file: Path,
    image_dir: Path,
    target: Path,
    splits: tuple[str, ...] = ('train', 'testB'),
    columns: int = 4,
    rows: int = 2,
) -> None:
    """Draw the first images of some splits, each with the outlines of its objects and their sentences.

    Args:
        annotation_file: In the working format.
        image_dir: Where the images are.
        target: The image file to write; its suffix says the format.
        splits: Which splits to show.
        columns: Images side by side.
        rows: Rows of images for each split.

    Raises:
        UserInputError: If the target's suffix is not a format that matplotlib writes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # takes half a second
    from matplotlib.figure import Figure

    data = load_json(annotation_file)
    shown = [_first_images(data[split], columns * rows) for split in splits if split in data]
    cells = [cell for images in shown for cell in images]
    width, height = SIDE + GAP, SIDE + GAP + (MAX_SENTENCES + 1.5) * LINE
    lines = -(-len(cells) // columns)
    figure = Figure(figsize=(columns * width + GAP, lines * height + GAP), dpi=80, facecolor='white')
    FigureCanvasAgg(figure)
    sheet_width, sheet_height = figure.get_size_inches()
    for number, (name, records) in enumerate(cells):
        left = GAP + number % columns * width
        bottom = sheet_height - GAP - LINE - number // columns * height - SIDE
        box = (left / sheet_width, bottom / sheet_height, SIDE / sheet_width, SIDE / sheet_height)
        axes = figure.add_axes(box)
        axes.set_title(name, fontsize=9, color='0.4', pad=3)
        _draw_image(axes, read_image(image_dir / name)[..., ::-1], records)
    try:
        with atomic_write(target, 'wb') as file:
            figure.savefig(file, format=target.suffix[1:] or 'png')
    except ValueError as error:
        raise UserInputError.of(str(target), str(error), 'an image file', 'end its name in .png') from None


def _first_images(records: list[dict], count: int) -> list[tuple[str, list[dict]]]:
    images = defaultdict(list)
    for record in records:
        images[record['file_name']].append(record)
    return list(images.items())[:count]


def _draw_image(axes, pixels: np.ndarray, records: list[dict]) -> None:
    height, width = pixels.shape[:2]
    axes.imshow(pixels, extent=(0, width, height, 0), interpolation='nearest')
    axes.set_axis_off()
    lines = []
    for number, record in enumerate(records, start=1):
        color = INK[(number - 1) % len(INK)]
        x, y, w, h = record['bbox']
        shown = to_bitmap(record['mask'], record['height'], record['width'], f'ref_id {record["ref_id"]}')
        # pixel i is at i + 0.5 in COCO's coordinates
        grid = np.arange(width) + 0.5, np.arange(height) + 0.5
        for ink, thickness in (('white', 2.6), (color, 1.3)):
            axes.contour(*grid, shown, levels=[0.5], colors=ink, linewidths=thickness)
        label = {'boxstyle': 'circle,pad=0.15', 'facecolor': color, 'edgecolor': 'white'}
        style = {'ha': 'center', 'va': 'center', 'fontsize': 8, 'color': 'white'}
        axes.text(x + w / 2, y + h / 2, str(number), bbox=label, **style)
        lines += [(color, f'{number}  {text}') for text in record['expressions']]
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    for number, (color, text) in enumerate(_select(lines)):
        y = -(0.4 + number) * LINE / SIDE
        axes.text(
            0, y, text, color=color, fontsize=min(9, 500 / len(text)), transform=axes.transAxes, va='top'
        )


def _select(lines: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """As many sentences as there is room for, the first ones of each object before the further ones."""
    if len(lines) <= MAX_SENTENCES:
        return lines
    seen: dict[str, int] = defaultdict(int)
    order = []
    for position, (color, _) in enumerate(lines):
        order.append((seen[color], position))
        seen[color] += 1
    return [lines[position] for position in sorted(position for _, position in sorted(order)[:MAX_SENTENCES])]
