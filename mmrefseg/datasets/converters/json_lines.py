"""One object or one sentence per line, written by hand or by a labelling tool."""

import json
import os
from pathlib import Path
from typing import Any

from ...structures.masks import bounds, mask_problem
from ...structures.rle import encode_mask
from ...utils import UserInputError, parse_json, text_lines
from ...utils.errors import short
from ..images import name_below, read_size
from ..validation import named, size_problem
from .conversion import Conversion, read_boxes
from .mask_images import read_mask_image

KEYS = ('image', 'expression', 'expressions', 'bbox', 'mask', 'split', 'category_id', 'height', 'width')
NUMBERED = ('image_id', 'ref_id', 'sent_ids', 'file_name')


def read_json_lines(
    path: str | os.PathLike, images: str | os.PathLike | None = None, skip_bad: bool = False
) -> Conversion:
    """Read a file of lines such as ``{"image": "a.jpg", "expression": "the left cup", "bbox": [10, 20, 30,
    40]}``.

    Keys of a line: ``image`` (a name below ``images``); ``expression`` or ``expressions``; ``bbox`` [x, y,
    width, height], or a list of such boxes where one sentence refers to several things; ``mask``, instead or
    as well (polygons, RLE, or the name of an image beside the file:
    :func:`~mmrefseg.datasets.converters.mask_images.read_mask_image`); ``split`` (default ``train``);
    ``category_id`` (default 0); ``height`` and ``width`` where the images are not at hand. Any other key is
    kept (an id of your own as ``source_ref_id`` and so on).
    Lines with the same image, box and mask are sentences of one object. Images, objects and sentences
    are numbered from 0 in order of appearance.

    Args:
        path: The file.
        images: Folder of the images, to read their sizes.
        skip_bad: Count and list bad lines instead of stopping.

    Raises:
        UserInputError: If the file or a line is wrong.
    """
    conversion = Conversion(skip_bad)
    if images is not None and not Path(images).is_dir():
        raise UserInputError.of(
            '--images', f'no folder {images}', 'the folder of the images', 'check the path'
        )
    numbers: dict[str, int] = {}
    objects: dict[str, dict] = {}
    reader = _LineReader(Path(path), images)
    for number, text in text_lines(path):
        where = f'{path} line {number}'
        try:
            split, record = reader.record(text, where)
        except UserInputError as error:
            conversion.skip(error)
            continue
        same = json.dumps([split, record['file_name'], record.get('bbox'), record.get('mask')])
        if same in objects and isinstance(record['expressions'], list):
            objects[same]['expressions'] += _sound(record, conversion, where)
            continue
        record['image_id'] = numbers.setdefault(record['file_name'], len(numbers))
        before = len(conversion.skipped)
        conversion.add(split, record, where)
        if len(conversion.skipped) == before:
            objects[same] = record
    _number(conversion.splits)
    return conversion.finish(str(path))


class _LineReader:
    """Turns a line into a split and a record without ``image_id``."""

    def __init__(self, path: Path, images: str | os.PathLike | None) -> None:
        self._folder = path.parent
        self._images = Path(images) if images is not None else None
        self._sizes: dict[str, tuple[int, int]] = {}

    def record(self, text: str, where: str) -> tuple[str, dict[str, Any]]:
        """The split and the record of a line."""
        line = _parse(text, where)
        name = name_below('' if self._images is None else self._images, line['image'], where)
        record: dict[str, Any] = {'image_id': None, 'file_name': name}
        record['height'], record['width'] = self._size(name, line, where)
        problem = size_problem(record)
        if problem:
            raise UserInputError.of(where, *problem)
        size = int(record['height']), int(record['width'])
        record.update(read_boxes(line.get('bbox'), *size, where))
        mask = self._mask(line.get('mask'), where)
        if mask is not None:
            record['mask'] = mask
            if record['bbox'] is None:
                record['bbox'] = _bounds(mask, *size, where)
        record['expressions'] = _expressions(line)
        record['category_id'] = line.get('category_id', 0)
        for key, value in line.items():
            if key not in KEYS:
                record[f'source_{key}' if key in NUMBERED else key] = value
        return _split(line, where), record

    def _size(self, name: str, line: dict, where: str) -> tuple[int, int]:
        if 'height' in line and 'width' in line:
            return line['height'], line['width']
        if self._images is None:
            raise UserInputError.of(
                where, 'no height and width', 'the size of the image', 'add it, or --images'
            )
        if name not in self._sizes:
            self._sizes[name] = read_size(self._images / name, where)
        return self._sizes[name]

    def _mask(self, mask: Any, where: str) -> list | dict | None:
        if not isinstance(mask, str):
            return mask
        return encode_mask(read_mask_image(self._folder / name_below(self._folder, mask, where), where))


def _expressions(line: dict) -> Any:
    """The sentences of a line, of both keys where it has both."""
    one, several = line.get('expression'), line.get('expressions')
    one = [one] if isinstance(one, str) else one
    several = [several] if isinstance(several, str) else several
    if one and several and isinstance(one, list) and isinstance(several, list):
        return one + [text for text in several if text not in one]
    return one if several is None else several


def _split(line: dict, where: str) -> str:
    split = line.get('split', 'train')
    if isinstance(split, bool) or not isinstance(split, str | int) or not str(split).strip():
        raise UserInputError.of(where, f'split {short(split)}', 'a name such as "train"', 'mend it')
    return str(split)


def _bounds(mask: Any, height: int, width: int, where: str) -> list[float]:
    """The box around a mask that comes without."""
    problem = mask_problem(mask, height, width)
    if problem:
        raise UserInputError.of(where, *problem)
    return bounds(mask, height, width)


def _parse(text: str, where: str) -> dict[str, Any]:
    line = parse_json(text, where, 'one json object', 'mend the line')
    if not isinstance(line, dict) or not isinstance(line.get('image'), str) or not line['image']:
        raise UserInputError.of(where, 'no "image"', 'a json object with the name of an image', 'add it')
    if line.get('bbox') is None and line.get('mask') is None:
        raise UserInputError.of(where, 'neither "bbox" nor "mask"', 'at least one of them', 'add the box')
    return line


def _sound(record: dict, conversion: Conversion, where: str) -> list[str]:
    """The expressions of a further line of an object, less the empty ones."""
    sound = [text for text in record['expressions'] if isinstance(text, str) and text.strip()]
    if not sound or len(sound) < len(record['expressions']):
        conversion.skip(
            UserInputError.of(named(record, where), 'an empty expression', 'a sentence', 'write it')
        )
    return sound


def _number(splits: dict[str, list[dict]]) -> None:
    ref_id = sent_id = 0
    for records in splits.values():
        for record in records:
            count = len(record['expressions'])
            record.update(ref_id=ref_id, sent_ids=list(range(sent_id, sent_id + count)))
            ref_id, sent_id = ref_id + 1, sent_id + count
