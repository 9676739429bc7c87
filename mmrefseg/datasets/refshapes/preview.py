"""A sheet of pictures with mask outlines and sentences, to see what a set is like."""

from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmrefseg.structures.masks import to_bitmap
from mmrefseg.utils import UserInputError, load_json

INK = ('#d62728', '#1f77b4', '#2a8c2a', '#9467bd', '#d97800', '#108a9c', '#8c564b', '#c2388f')
MAX_SENTENCES = 8
PICTURE, GAP, LINE = 3.6, 0.25, 0.19
"""Side of a picture, gap between cells and height of a line of text, in inches."""


def draw_preview(
    annotation_file: Path,
    image_dir: Path,
    target: Path,
    splits: tuple[str, ...] = ('train', 'testB'),
    columns: int = 4,
    rows: int = 2,
) -> None:
    """Draw the first pictures of some splits, each with the outlines of its objects and their sentences.

    Args:
        annotation_file: In the working format.
        image_dir: Where the pictures are.
        target: The picture file to write; its suffix says the format.
        splits: Which splits to show.
        columns: Pictures side by side.
        rows: Rows of pictures for each split.

    Raises:
        UserInputError: If the target's suffix is not a format that matplotlib writes.
    """
    data = load_json(annotation_file)
    shown = [_first_pictures(data[split], columns * rows) for split in splits if split in data]
    cells = [cell for pictures in shown for cell in pictures]
    width, height = PICTURE + GAP, PICTURE + GAP + (MAX_SENTENCES + 1.5) * LINE
    lines = -(-len(cells) // columns)
    figure = Figure(figsize=(columns * width + GAP, lines * height + GAP), dpi=80, facecolor='white')
    FigureCanvasAgg(figure)
    sheet_width, sheet_height = figure.get_size_inches()
    for number, (name, records) in enumerate(cells):
        left = GAP + number % columns * width
        bottom = sheet_height - GAP - LINE - number // columns * height - PICTURE
        box = (left / sheet_width, bottom / sheet_height, PICTURE / sheet_width, PICTURE / sheet_height)
        axes = figure.add_axes(box)
        axes.set_title(name, fontsize=9, color='0.4', pad=3)
        _draw_picture(axes, cv2.imread(str(image_dir / name))[..., ::-1], records)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        figure.savefig(target)
    except ValueError as error:
        raise UserInputError.of(str(target), str(error), 'a picture file', 'end its name in .png') from None


def _first_pictures(records: list[dict], count: int) -> list[tuple[str, list[dict]]]:
    pictures = defaultdict(list)
    for record in records:
        pictures[record['file_name']].append(record)
    return list(pictures.items())[:count]


def _draw_picture(axes, pixels: np.ndarray, records: list[dict]) -> None:
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
        place = {'ha': 'center', 'va': 'center', 'fontsize': 8, 'color': 'white'}
        axes.text(x + w / 2, y + h / 2, str(number), bbox=label, **place)
        lines += [(color, f'{number}  {text}') for text in record['expressions']]
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    for number, (color, text) in enumerate(_select(lines)):
        y = -(0.4 + number) * LINE / PICTURE
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
