"""A sheet of pictures with mask outlines and sentences, to see what a set is like."""

from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pycocotools import mask as coco_mask

from mmrefseg.utils import UserInputError, load_json

INK = ('#d62728', '#1f77b4', '#2ca02c', '#9467bd', '#e08a00', '#17a2b8', '#8c564b')
MAX_SENTENCES = 7


def draw_preview(
    annotation_file: Path,
    image_dir: Path,
    target: Path,
    splits=('train', 'testB'),
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
    splits = [split for split in splits if split in data]
    figure = Figure(figsize=(4.1 * columns, 5.9 * rows * len(splits)), dpi=75)
    axes = figure.subplots(rows * len(splits), columns, squeeze=False)
    for number, split in enumerate(splits):
        pictures = defaultdict(list)
        for record in data[split]:
            pictures[record['file_name']].append(record)
        cells = axes[number * rows : (number + 1) * rows].ravel()
        for cell in cells:
            cell.set_axis_off()
        for cell, (name, records) in zip(cells, pictures.items(), strict=False):
            _draw_picture(cell, cv2.imread(str(image_dir / name))[..., ::-1], records)
            cell.set_title(name, fontsize=9, color='0.4')
    figure.subplots_adjust(
        left=0.01, right=0.99, top=0.985, bottom=0.10 / (rows * len(splits)) * 2, hspace=0.45, wspace=0.05
    )
    FigureCanvasAgg(figure)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target)
    except ValueError as error:
        raise UserInputError.of(str(target), str(error), 'a picture file', 'end its name in .png') from None


def _draw_picture(axes, pixels: np.ndarray, records: list[dict]) -> None:
    height, width = pixels.shape[:2]
    axes.imshow(pixels, extent=(0, width, height, 0), interpolation='nearest')
    lines = []
    for number, record in enumerate(records):
        color = INK[number % len(INK)]
        axes.contour(
            _mask(record), levels=[0.5], colors='white', linewidths=3.2, extent=(0, width, 0, height)
        )
        axes.contour(_mask(record), levels=[0.5], colors=color, linewidths=1.8, extent=(0, width, 0, height))
        x, y, w, h = record['bbox']
        label = dict(boxstyle='circle,pad=0.15', facecolor=color, edgecolor='white')
        axes.text(
            x + w / 2,
            y + h / 2,
            str(number + 1),
            color='white',
            fontsize=8,
            ha='center',
            va='center',
            bbox=label,
        )
        lines += [(color, f'{number + 1}  {text}') for text in record['expressions']]
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    for line, (color, text) in enumerate(_select(lines)):
        axes.text(
            0, -0.03 - 0.052 * line, text, color=color, fontsize=8.5, transform=axes.transAxes, va='top'
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


def _mask(record: dict) -> np.ndarray:
    segmentation = record['mask']
    if isinstance(segmentation, list):
        encoded = coco_mask.merge(coco_mask.frPyObjects(segmentation, record['height'], record['width']))
    else:
        encoded = segmentation
    return coco_mask.decode(encoded)
