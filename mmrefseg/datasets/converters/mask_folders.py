"""A folder of images and one of masks: for each image a file, several files, or a folder of them."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...structures.rle import encode_mask
from ...utils import UserInputError, parse_json, read_text, text_lines
from ...utils.errors import short
from ..csv_table import CsvTable
from ..images import read_size
from .conversion import Conversion
from .image_finder import image_files
from .mask_images import VOID_COLOUR, VOID_INDEX, read_mask_image
from .regions import SPLITS, ImportOptions, Region, RegionCollector, known_as, lines_of

# More values than objects of a picture: it is a photograph, or a mask with soft edges.
MOST_OBJECTS = 254
COLUMNS = ('image', 'mask', 'sentence')
# Between the name of the image and what tells its masks apart.
_SEPARATORS = '_-. '
_NUMBER = re.compile(r'^(?:mask|masks|object|obj|instance|seg|segmentation|gt)?[ _.-]*\d*$', re.IGNORECASE)


def read_mask_folders(
    images: str | os.PathLike,
    masks: str | os.PathLike,
    options: ImportOptions | None = None,
    sentences: str | os.PathLike | None = None,
) -> Conversion:
    """Read masks that are images of the size of their photographs.

    The masks of ``a.jpg`` are ``a.png`` and ``a_*.png``, or the images in a folder ``a``. A file of two
    values (black and white, transparent and not) is one object; one of several is one object for each value
    but 0, black, and what PASCAL VOC leaves out (255, beige). Sentences come from ``sentences``; else a
    mask's name is one, as far as it is
    words: ``a_left-cup.png`` and ``a/left cup.png`` are "left cup". Folders ``train``, ``val`` and ``test``
    in both places name the split.

    Args:
        images: Folder of the photographs.
        masks: Folder of the masks.
        options: See :class:`~mmrefseg.datasets.converters.regions.ImportOptions`.
        sentences: A csv file with the columns ``image`` and ``sentence``, or json lines with these keys.
            ``mask`` tells which of several masks of an image is meant: its file's name, or its value (1, 2,
            ...) in its file. A row without it speaks of the image's only mask.

    Raises:
        UserInputError: If there are no masks, one is wrong, or a sentence has no mask.
    """
    for folder, what in ((images, 'images'), (masks, 'masks')):
        if not Path(folder).is_dir():
            raise UserInputError.of(str(folder), 'no folder', f'the folder of the {what}', 'check the path')
    collector = RegionCollector(options or ImportOptions())
    texts = _Sentences(sentences) if sentences is not None else None
    named = _mask_files(Path(images), Path(masks))
    for image, files in named.items():
        try:
            regions = _read_image(Path(images), image, files, Path(masks))
            _give_sentences(regions, image, texts)
        except UserInputError as error:
            collector.skip(error)
            continue
        for region in regions:
            collector.add(region)
    if texts is not None:
        for error in texts.unused():
            collector.skip(error)
    for _ in range(sum(not files for files in named.values())):
        collector.leave_out('image without a mask')
    return collector.finish(str(masks))


def _give_sentences(regions: list[Region], image: str, texts: '_Sentences | None') -> None:
    """Give an image's masks their sentences, from the file of these or from their names."""
    if texts is not None:
        texts.give(image, regions)
    for region in regions:
        if texts is None:
            region.sentences = lines_of(region.extra.get('said'), region.where)
        for key in ('said', 'mask_file', 'mask_value'):
            region.extra.pop(key, None)


def _mask_files(images: Path, masks: Path) -> dict[str, list[tuple[Path, str]]]:
    """The masks of each image by its name, each with what its name says beside the image's.

    Raises:
        UserInputError: If a mask belongs to no image.
    """
    found: dict[str, list[tuple[Path, str]]] = {}
    by_stem: dict[str, str] = {}
    for path in image_files(images):
        name = path.relative_to(images).as_posix()
        if not path.is_relative_to(masks) or masks == images:
            found[name] = []
            by_stem.setdefault(os.path.splitext(name)[0], name)
    for path in image_files(masks):
        stem = path.relative_to(masks).with_suffix('').as_posix()
        if masks == images and stem in by_stem and by_stem[stem] == path.relative_to(masks).as_posix():
            raise UserInputError.of(str(masks), 'images and masks in one folder', 'two folders', 'part them')
        owner, said = _owner(stem, by_stem)
        if owner is None:
            raise UserInputError.of(
                str(path),
                'a mask of no image',
                f'a name that begins as one of {images}',
                'rename or remove it',
            )
        found[owner].append((path, said))
    return found


def _owner(stem: str, by_stem: dict[str, str]) -> tuple[str | None, str]:
    """The image of a mask by the longest beginning of its name, and the rest of the name."""
    if stem in by_stem:
        return by_stem[stem], ''
    folder, _, last = stem.rpartition('/')
    if folder in by_stem:
        return by_stem[folder], last
    for length in range(len(stem) - 1, len(stem) - len(last), -1):
        if stem[length] in _SEPARATORS and stem[:length] in by_stem:
            return by_stem[stem[:length]], stem[length + 1 :]
    return None, ''


def _read_image(images: Path, name: str, files: list[tuple[Path, str]], masks: Path) -> list[Region]:
    if not files:
        return []
    size = read_size(images / name)
    first = name.split('/')[0]
    split = first if first in SPLITS else None
    regions = []
    for path, said in files:
        where = str(path)
        found = read_size(path)
        if found != size:
            raise UserInputError.of(
                where,
                f'a mask of {found[1]} x {found[0]} pixels',
                f'{size[1]} x {size[0]} as {name} has',
                'use the masks of this image',
            )
        words = '' if _NUMBER.match(said) else re.sub('[_-]+', ' ', said).strip()
        for value, bitmap in _objects(path):
            region = Region(name, size, where, 'object', encode_mask(bitmap), split=split)
            region.extra = {'said': words or None, 'mask_file': path.relative_to(masks).as_posix()}
            region.extra['mask_value'] = value
            regions.append(region)
    return regions


def _objects(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """The objects of a mask image: a number from 1 on, or the value it has, and (H, W) bool."""
    values = _values(path)
    if values is not None:
        found = [int(value) for value in np.unique(values) if value != 0]
        whole = len(found) > 1 or (len(found) == 1 and found[0] < VOID_INDEX and values.min() == 0)
        if whole and len(found) <= MOST_OBJECTS and not _is_soft(values, found):
            for value in found:
                yield value, values == value
            return
    bitmap = read_mask_image(path)
    if bitmap.any():
        yield 1, bitmap


def _values(path: Path) -> np.ndarray | None:
    """(H, W) whole numbers of an image of indices or of colours, 0 where it is background; None of others."""
    try:
        with Image.open(path) as image:
            if image.has_transparency_data or image.mode not in ('P', 'L', 'I', 'I;16', 'RGB'):
                return None
            pixels = np.asarray(image)
            palette = image.mode == 'P'
    except (OSError, ValueError, SyntaxError):
        return None  # who reads it again says what is wrong
    if pixels.ndim == 3:
        colours = pixels.astype(np.int64) @ (1 << 16, 1 << 8, 1)
        void = VOID_COLOUR[0] << 16 | VOID_COLOUR[1] << 8 | VOID_COLOUR[2]
        order = np.unique(colours[(colours != 0) & (colours != void)])
        if len(order) > MOST_OBJECTS:
            return None
        numbers = np.searchsorted(order, colours) + 1
        return np.where((colours == 0) | (colours == void), 0, numbers)
    pixels = pixels.astype(np.int64)
    return np.where(pixels == VOID_INDEX, 0, pixels) if palette else pixels


def _is_soft(values: np.ndarray, found: list[int]) -> bool:
    """Whether grey values are those of one mask with soft edges: bright and dark, most of them the
    extremes."""
    if max(found) < 200 or len(found) < 3:
        return False
    inside = values[values > 0]
    return bool((inside >= 250).mean() > 0.5)


class _Sentences:
    """The rows of a file of sentences, given to the masks that they speak of."""

    def __init__(self, path: str | os.PathLike) -> None:
        self.rows: dict[str, list[tuple[str, Any, list[str]]]] = {}
        rows = _csv_rows(path) if str(path).lower().endswith(('.csv', '.tsv')) else _json_rows(path)
        for where, row in rows:
            image, texts = row.get('image'), lines_of(row.get('sentence') or row.get('expression'), where)
            if not isinstance(image, str) or not image.strip() or not texts:
                raise UserInputError.of(
                    where, 'no image or no sentence', f'{COLUMNS}', 'write both, or remove it'
                )
            self.rows.setdefault(image.strip(), []).append((where, known_as(row.get('mask')), texts))

    def give(self, image: str, regions: list[Region]) -> None:
        """Give an image's masks their sentences."""
        stem = os.path.splitext(image)[0]
        keys = dict.fromkeys([image, stem, image.rpartition('/')[2], stem.rpartition('/')[2]])
        for row in [row for key in keys for row in self.rows.pop(key, [])]:
            where, mask, texts = row
            meant = [region for region in regions if mask is None or _means(mask, region)]
            if len(meant) != 1:
                found = f'{len(meant)} masks of {image}' + ('' if mask is None else f' that are {mask!r}')
                raise UserInputError.of(where, found, 'one', 'name it in the column "mask"')
            meant[0].sentences += texts

    def unused(self) -> Iterator[UserInputError]:
        """An error for each image that is not there."""
        for image, rows in self.rows.items():
            yield UserInputError.of(
                rows[0][0], f'the image {short(image)}', 'one of the images', 'mend the name'
            )


def _means(mask: str, region: Region) -> bool:
    file = region.extra['mask_file']
    names = (
        file,
        os.path.splitext(file)[0],
        file.rpartition('/')[2],
        os.path.splitext(file.rpartition('/')[2])[0],
    )
    return mask in names or mask == str(region.extra['mask_value'])


def _csv_rows(path: str | os.PathLike) -> Iterator[tuple[str, dict]]:
    text = read_text(path, 'a csv file')
    head = text.partition('\n')[0]
    delimiter = next((mark for mark in '\t;' if mark in head and ',' not in head), ',')
    table = CsvTable(text, str(path), (*COLUMNS, 'expression'), f'the columns {COLUMNS}', delimiter)
    for where, row in table:
        table.check_width(row, where)
        yield where, {key.lower(): value for key, value in row.items() if key}


def _json_rows(path: str | os.PathLike) -> Iterator[tuple[str, dict]]:
    for number, line in text_lines(path):
        where = f'{path} line {number}'
        row = parse_json(line, where, 'one json object', 'mend the line')
        if not isinstance(row, dict):
            raise UserInputError.of(where, f'a {type(row).__name__}', 'one json object', 'mend the line')
        yield where, row
