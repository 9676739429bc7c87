"""YOLO's text files: a line for each object, in shares of the image; boxes and polygons."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ...utils import UserInputError, read_text
from ...utils.errors import short
from ..images import name_below, read_size
from .conversion import Conversion
from .image_finder import image_files
from .regions import ImportOptions, Region, RegionCollector
from .shapes import box_around, pairs

EXPECTED = 'a folder with data.yaml, images/ and labels/'
SPLITS = ('train', 'val', 'test')


def read_yolo(path: str | os.PathLike, options: ImportOptions | None = None) -> Conversion:
    """Read a data set of YOLO: boxes (``class x y width height``) and polygons (``class x1 y1 x2 y2 ...``).

    The file of an image ``images/a.jpg`` is ``labels/a.txt``; one that is missing or empty holds no object.
    Lines of four numbers are boxes, of six and more polygons. There are no sentences: the name of the class
    is one (``without_sentence``).

    Args:
        path: ``data.yaml``, or the folder that it lies in. Without one, the classes are those of
            ``classes.txt``, or have numbers, and the images those of ``images/``, of each of its folders
            ``train``, ``val`` and ``test``.
        options: See :class:`~mmrefseg.datasets.converters.regions.ImportOptions`.

    Raises:
        UserInputError: If there are no images, or a line is wrong.
    """
    root, description = _description(Path(path))
    collector = RegionCollector(options or ImportOptions())
    names = _class_names(description, root, str(path))
    images = 0
    for split, image in _images(root, description, str(path)):
        images += 1
        try:
            _read_image(image, root, split, names, collector)
        except UserInputError as error:
            collector.skip(error)
    if not images:
        raise UserInputError.of(str(path), 'no images', EXPECTED, 'check the paths')
    return collector.finish(str(path))


def _description(path: Path) -> tuple[Path, dict]:
    """The folder of the data set and the content of its yaml file; nothing without one."""
    if os.path.isdir(path):
        files = sorted([*path.glob('*.yaml'), *path.glob('*.yml')])
        files = [file for file in files if file.stem in ('data', 'dataset', path.name)] or files
        if not files:
            return path, {}
        path = files[0]
    try:
        content = yaml.safe_load(read_text(path, EXPECTED))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, UserInputError):
            raise
        reason = ' '.join(str(error).split())[:120]
        raise UserInputError.of(str(path), f'no yaml ({reason})', EXPECTED, 'mend the file') from None
    if not isinstance(content, dict):
        raise UserInputError.of(str(path), f'a yaml {type(content).__name__}', 'names, train, val', 'mend it')
    root = content.get('path')
    if isinstance(root, str) and root and os.path.isdir(path.parent / root):
        return path.parent / root, content
    return path.parent, content


def _class_names(description: dict, root: Path, where: str) -> dict[int, str]:
    """The classes by number."""
    names: Any = description.get('names')
    if names is None:
        file = next(
            (root / each for each in ('classes.txt', 'labels/classes.txt') if os.path.isfile(root / each)),
            None,
        )
        names = read_text(file).splitlines() if file else []
    entries = (
        names.items() if isinstance(names, dict) else enumerate(names) if isinstance(names, list) else None
    )
    if entries is None:
        raise UserInputError.of(where, f'names {short(names)}', 'the classes, in order', 'mend them')
    return {
        number: str(name).strip()
        for number, name in entries
        if isinstance(number, int) and isinstance(name, str | int) and str(name).strip()
    }


def _images(root: Path, description: dict, where: str) -> Iterator[tuple[str | None, Path]]:
    """The images with their splits."""
    listed = {split: description[split] for split in SPLITS if description.get(split)}
    if not listed:
        folders = {split: root / 'images' / split for split in SPLITS}
        listed = {split: f'images/{split}' for split, folder in folders.items() if folder.is_dir()}
    if not listed and (root / 'images').is_dir():
        for image in image_files(root / 'images'):
            yield None, image
    for split, places in listed.items():
        for place in places if isinstance(places, list) else [places]:
            if not isinstance(place, str):
                raise UserInputError.of(where, f'{split}: {short(place)}', 'a folder or a file', 'mend it')
            for image in _listed(root, place, where):
                yield split, image


def _listed(root: Path, place: str, where: str) -> Iterator[Path]:
    """The images of a folder, or of a text file with their names."""
    # Roboflow writes ../train/images for what lies in train/images.
    plain = place.removeprefix('../') if not os.path.exists(root / place) else place
    path = root / name_below(root, plain, where)
    if os.path.isdir(path):
        yield from image_files(path)
    elif path.suffix == '.txt':
        for line in read_text(path, 'a list of images').splitlines():
            if line.strip():
                yield root / name_below(root, line.strip().removeprefix('./'), str(path))
    else:
        raise UserInputError.of(
            where, f'no {place}', 'a folder of images, or a list of them', 'check the path'
        )


def _read_image(
    image: Path, root: Path, split: str | None, names: dict[int, str], collector: RegionCollector
) -> None:
    name = image.relative_to(root).as_posix()
    labels = _labels_of(Path(name))
    if not os.path.isfile(root / labels):
        return
    size = read_size(image)
    for number, line in enumerate(read_text(root / labels).splitlines(), start=1):
        if not line.strip():
            continue
        where = f'{root / labels} line {number}'
        try:
            region = _region(line, size, names, where)
        except UserInputError as error:
            collector.skip(error)
            continue
        region.file_name, region.split = name, split
        collector.add(region)


def _labels_of(image: Path) -> Path:
    """`images/train/a.jpg` -> `labels/train/a.txt`: the last folder called images."""
    parts = list(image.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == 'images':
            parts[place] = 'labels'
            break
    return Path(*parts).with_suffix('.txt')


def _region(line: str, size: tuple[int, int], names: dict[int, str], where: str) -> Region:
    try:
        category, *values = [float(word) for word in line.split()]
        number = int(category)
    except (ValueError, OverflowError):
        category = number = -1
        values = []
    # The fifth number of a box is the score of a prediction.
    is_box = len(values) in (4, 5)
    if number < 0 or number != category or not (is_box or (len(values) >= 6 and len(values) % 2 == 0)):
        raise UserInputError.of(
            where,
            f'the line {short(line)}',
            'class x y width height, or class x1 y1 x2 y2 x3 y3 ...',
            'mend or remove it',
        )
    if not all(-1 <= value <= 2 for value in values[:4] + ([] if is_box else values[4:])):
        raise UserInputError.of(
            where, 'numbers beyond the image', 'shares of it, from 0 to 1', 'divide by its size'
        )
    height, width = size
    region = Region('', size, where, names.get(number, str(number)))
    region.category_id = number + 1  # 0 is no category
    if is_box:
        x, y, w, h = values[:4]
        corners = [[(x - w / 2) * width, (y - h / 2) * height], [(x + w / 2) * width, (y + h / 2) * height]]
        region.box = box_around(corners, size)
    else:
        polygon = [value * (width, height)[place % 2] for place, value in enumerate(values)]
        region.mask, region.box = [polygon], box_around(pairs(polygon), size)
    return region
