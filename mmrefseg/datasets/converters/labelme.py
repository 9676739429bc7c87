"""Labelme: a json of shapes beside each image, in and out."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ...structures.masks import to_bitmap
from ...utils import UserInputError, dump_json, load_json
from ...utils.errors import short
from ..validation import name_problem
from .conversion import Conversion
from .exports import Exported, by_image, drawn_mask, label_of
from .image_finder import ImageFinder
from .regions import (
    SPLITS,
    ImportOptions,
    Region,
    RegionCollector,
    known_as,
    lines_of,
    sentences_of,
    whole_or_none,
)
from .shapes import ORIENTED, SUFFIXES, WITHOUT_AREA, box_around, encode_box_mask, labelme_mask, pairs

EXPECTED = "labelme's json"
# The version whose files these are; labelme reads those of others.
VERSION = '5.5.0'
BOXES = ('rectangle', *ORIENTED)


def read_labelme(
    folder: str | os.PathLike,
    images: str | os.PathLike | None = None,
    options: ImportOptions | None = None,
) -> Conversion:
    """Read the json files of labelme below a folder.

    A polygon, a circle and a mask are masks; a rectangle, turned or not, is a box without one. Lines and
    points have no area and are counted. Shapes of one ``group_id`` and label are one object; a rectangle
    among them is its box. Its sentences are the lines of ``description``; with ``text_field='flags'`` the
    names of the flags that are set. A folder called ``train``, ``val`` or ``test`` (``testA``, ``testB``)
    right below names the split.

    Args:
        folder: With json files, at any depth.
        images: Folder of the images; by default, they lie in ``folder``.
        options: See :class:`~mmrefseg.datasets.converters.regions.ImportOptions`.

    Raises:
        UserInputError: If there is no such folder or no json in it, or one is wrong.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserInputError.of(
            str(folder), 'no folder', "a folder of labelme's json files", 'check the path'
        )
    collector = RegionCollector(options or ImportOptions())
    finder = ImageFinder(folder if images is None else images)
    count = 0
    for path in sorted(root.rglob('*')):
        if path.suffix.lower() != '.json' or not path.is_file():
            continue
        try:
            data = _load(path)
            if data is None:
                collector.leave_out('json without shapes')
                continue
            count += 1
            _read_file(data, path, root, finder, collector)
        except UserInputError as error:
            collector.skip(error)
    if not count:
        raise UserInputError.of(
            str(folder), 'no json with shapes', "labelme's json files", 'save the annotations there'
        )
    return collector.finish(str(folder))


def _load(path: Path) -> dict | None:
    """The content; None for a json that is about something else."""
    data = load_json(path)
    if not isinstance(data, dict) or 'shapes' not in data:
        return None
    shapes = data['shapes']
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        raise UserInputError.of(str(path), 'shapes that are no list of objects', EXPECTED, 'check the file')
    return data


def _read_file(data: dict, path: Path, root: Path, finder: ImageFinder, collector: RegionCollector) -> None:
    below = path.relative_to(root)
    name = _image_name(data, below, finder, str(path))
    size = finder.size(name, (data.get('imageHeight'), data.get('imageWidth')), str(path))
    split = below.parts[0] if len(below.parts) > 1 and below.parts[0] in SPLITS else None
    split = _split(data) or split
    for number, shape in enumerate(data['shapes']):
        where = f'{path} shape {number}'
        try:
            region = _region(shape, size, collector, where)
        except UserInputError as error:
            collector.skip(error)
            continue
        if region is not None:
            region.file_name, region.split = name, _split(shape) or split
            region.image_id = data.get('image_id') if _is_id(data.get('image_id')) else None
            collector.add(region)


def _split(data: dict) -> str | None:
    split = data.get('split')
    return split if isinstance(split, str) and split.strip() else None


def _is_id(value: Any) -> bool:
    return (isinstance(value, str) and bool(value)) or whole_or_none(value) is not None


def _image_name(data: dict, below: Path, finder: ImageFinder, where: str) -> str:
    """The image of a json: what ``imagePath`` says, or what is called as the json."""
    said = data.get('imagePath')
    problem = name_problem(said) if said else None
    if problem:
        raise UserInputError.of(where, *problem)
    folder = PurePosixPath(below.parent.as_posix())
    said = said.replace('\\', '/') if said else None
    names = [(folder / said).as_posix(), said] if said else []
    names += [(folder / f'{below.stem}{suffix}').as_posix() for suffix in SUFFIXES]
    if said and '..' in said:
        names = [said, *names[2:]]
    return finder.find(names, where)


def _region(shape: dict, size: tuple[int, int], collector: RegionCollector, where: str) -> Region | None:
    """The region of a shape; None if it has no area."""
    kind = str(shape.get('shape_type') or 'polygon').lower()
    if kind in WITHOUT_AREA:
        collector.leave_out(f'shape without area ({kind})')
        return None
    label = known_as(shape.get('label'))
    mask = labelme_mask(shape, size, False, where)
    if kind in BOXES:
        polygon = mask[0]
        if len(polygon) < 4:
            raise UserInputError.of(
                where, f'a {kind} of {len(polygon) // 2} points', 'two corners, or four', 'draw it again'
            )
        box = box_around(pairs(polygon), size)
        mask = None
    else:
        box = None
    region = Region('', size, where, label, mask, box, _sentences(shape, label, collector.options, where))
    region.group = whole_or_none(shape.get('group_id'))
    region.ref_id = whole_or_none(shape.get('ref_id'))
    return region


def _sentences(shape: dict, label: str | None, options: ImportOptions, where: str) -> list[str]:
    if options.text_field == 'flags':
        flags = shape.get('flags') or {}
        if not isinstance(flags, Mapping):
            raise UserInputError.of(where, f'flags {short(flags)}', 'names with true or false', 'mend them')
        return [line for name, value in flags.items() if value is True for line in lines_of(name, where)]
    return sentences_of(shape, options.text_field, where, label)


def write_labelme(
    entries: Sequence[Exported],
    folder: str | os.PathLike,
    images: str | os.PathLike | None = None,
    tolerance: float = 0.5,
    bitmaps: bool = False,
) -> int:
    """Write a json for each image, which labelme opens, and :func:`read_labelme` reads again.

    A mask becomes its polygons, or with a hole a shape of type mask; an object without a mask a rectangle.
    Shapes of an object have its ``ref_id`` as ``group_id``, and its sentences, one a line, as
    ``description``.

    Args:
        entries: See :func:`~mmrefseg.datasets.converters.exports.exported`.
        folder: To write to; a json lies where its image would.
        images: Folder of the images; the json files point there. By default the images lie beside them.
        tolerance: How far the polygons of a mask that is no polygon may leave its pixels, in pixels.
        bitmaps: Write every mask as a shape of type mask.

    Returns:
        The number of files.

    Raises:
        UserInputError: If two images differ in their ending only.
    """
    named: dict[Path, str] = {}
    for name, members in by_image(entries).items():
        path = Path(folder, f'{os.path.splitext(name)[0]}.json')
        if path in named:
            raise UserInputError.of(
                str(path), f'two images, {named[path]} and {name}', 'one for each json', 'rename one of them'
            )
        named[path] = name
        split, first, _ = members[0]
        target = Path(name).name if images is None else os.path.relpath(Path(images, name), path.parent)
        content = {
            'version': VERSION,
            'flags': {},
            'shapes': [shape for entry in members for shape in _shapes(entry, split, tolerance, bitmaps)],
            'imagePath': Path(target).as_posix(),
            'imageData': None,
            'imageHeight': int(first['height']),
            'imageWidth': int(first['width']),
            # Labelme keeps what it does not know.
            'split': split,
            'image_id': first['image_id'],
        }
        dump_json(content, path, indent=2)
    return len(named)


def _shapes(entry: Exported, split: str, tolerance: float, bitmaps: bool) -> list[dict]:
    record = entry.record
    common = {
        'label': label_of(record),
        'group_id': record['ref_id'],
        'description': '\n'.join(record['expressions']),
        'flags': {},
        'ref_id': record['ref_id'],
    }
    if entry.split != split:
        common['split'] = entry.split
    if record.get('mask') is None:
        x, y, width, height = record['bbox']
        corners = [[x, y], [x + width, y + height]]
        return [{**common, 'points': corners, 'shape_type': 'rectangle', 'mask': None}]
    polygons = None if bitmaps else drawn_mask(record, tolerance)
    if polygons is None:
        bitmap = to_bitmap(record['mask'], record['height'], record['width'])
        points, png = encode_box_mask(bitmap)
        return [{**common, 'points': points, 'shape_type': 'mask', 'mask': png}]
    return [
        {**common, 'points': pairs(polygon), 'shape_type': 'polygon', 'mask': None} for polygon in polygons
    ]
