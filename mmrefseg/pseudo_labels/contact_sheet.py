"""The list of masks to draw, as files: a sheet of pictures, a table."""

import csv
import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from ..datasets.images import ImagePaths, read_annotated_image
from ..structures.boxes import xywh_to_xyxy
from ..structures.rle import decode_mask
from ..utils import atomic_write, csv_cell
from ..visualization.drawing import crop_around, draw_case, draw_text, save_grid
from .coverage import colour_histogram
from .masks_to_draw import Choice, as_row

COLUMNS = 4
ROWS = 6
MARGIN = 0.5


class Images:
    """The images of records, read when they are needed; the last one is kept, for neighbours on it.

    Args:
        folder: Where they lie.
        template: File name of an ``image_id`` for records without ``file_name``; COCO's by default.
    """

    def __init__(self, folder: str | os.PathLike, template: str | None = None) -> None:
        self._path_of = ImagePaths(os.fspath(folder), template)
        self._last: tuple[str, np.ndarray] | None = None

    def __call__(self, record: dict) -> np.ndarray:
        """(H, W, 3) uint8, RGB.

        Raises:
            UserInputError: If it is missing, cannot be decoded, or has another size than its record says.
        """
        path = self.path(record)
        if self._last is None or self._last[0] != path:
            self._last = path, read_annotated_image(path, int(record['height']), int(record['width']))
        return self._last[1]

    def path(self, record: dict) -> str:
        """Where the image of a record lies.

        Raises:
            UserInputError: If the record or the template names no file below the folder.
        """
        return self._path_of(record, f'ref_id {record["ref_id"]}')


def colours(
    objects: Sequence[dict],
    images: Images,
    progress: Callable[[Iterable[dict]], Iterable[dict]] = iter,
) -> np.ndarray:
    """(N, 64) colour histograms inside the boxes of all objects."""
    return np.array([colour_histogram(images(record), record['bbox']) for record in progress(objects)])


def draw_panel(choice: Choice, image: np.ndarray, width: int = 300) -> np.ndarray:
    """The object with its box and what was predicted, cut out of its image; rank, sentence and reason above.

    Args:
        choice: What to draw.
        image: (H, W, 3) uint8, RGB.
        width: Of the panel, in pixels.
    """
    box = xywh_to_xyxy(np.asarray(choice.record['bbox'], float))
    left, top, right, bottom = crop_around([box], *image.shape[:2], margin=MARGIN)
    mask = None if choice.rle is None else decode_mask(choice.rle)[top:bottom, left:right]
    panel = draw_case(
        image[top:bottom, left:right],
        f'{choice.rank}. {choice.record["expressions"][0]}',
        truth_box=box - np.array([left, top, left, top]),
        mask=mask,
        width=width,
    )
    return np.concatenate([panel, draw_text(choice.why, width)])


def write_sheet(
    choices: Sequence[Choice], images: Images, path: str | os.PathLike, progress: Callable = iter
) -> list[Path]:
    """Write pages of pictures, ``<name>_1.png``, ``<name>_2.png``, ...

    Args:
        choices: What to draw, the first first.
        images: Reads the images.
        path: The name of the pages, with ``.png`` or without.
        progress: Wraps the loop over pages.
    """
    pages = sheet_pages(path, len(choices))
    for number in progress(range(len(pages))):
        start = number * COLUMNS * ROWS
        some = choices[start : start + COLUMNS * ROWS]
        save_grid([draw_panel(choice, images(choice.record)) for choice in some], pages[number], COLUMNS)
    return pages


def sheet_pages(path: str | os.PathLike, count: int) -> list[Path]:
    """The files that :func:`write_sheet` writes for so many choices."""
    stem = Path(path).with_suffix('') if Path(path).suffix == '.png' else Path(path)
    pages = range(1, math.ceil(count / (COLUMNS * ROWS)) + 1)
    return [stem.with_name(f'{stem.name}_{page}.png') for page in pages]


def write_table(choices: Sequence[Choice], path: str | os.PathLike) -> None:
    """Write the list as csv; lists within a cell as json, no cell a formula."""
    rows = [as_row(choice) for choice in choices]
    names = list(dict.fromkeys(name for row in rows for name in row))
    with atomic_write(path) as file:
        writer = csv.DictWriter(file, names, lineterminator='\n')
        writer.writeheader()
        for row in rows:
            writer.writerow({name: csv_cell(_cell(value)) for name, value in row.items()})


def _cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
