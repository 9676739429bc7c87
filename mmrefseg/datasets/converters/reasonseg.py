"""ReasonSeg (LISA): an image and a labelme-like json of the same name, in folders train, val and test."""

import os
from pathlib import Path
from typing import Any

from ...structures.polygons import polygon_bounds
from ...utils import UserInputError, parse_json
from ...utils.files import unreadable
from ..images import read_size
from .conversion import Conversion

SUFFIXES = ('.jpg', '.jpeg', '.png')


def read_reasonseg(folder: str | os.PathLike, skip_bad: bool = False, mend: bool = False) -> Conversion:
    """Read the splits below ``folder``.

    Shapes labelled ``target`` are the mask, shapes labelled ``ignore`` become ``ignore_mask`` (pixels that
    a metric shall not count), others are passed over. Images are numbered in the order of their names;
    ``file_name`` is ``<split>/<name>``, so ``img_path`` of the data set is ``folder``.

    Raises:
        UserInputError: If there are no images or one is wrong.
    """
    conversion = Conversion(skip_bad, mend)
    pairs = [
        (path, image)
        for path in sorted(Path(folder).glob('*/*.json'))
        if (image := _image_beside(path)) is not None
    ]
    if not pairs:
        raise UserInputError.of(
            str(folder),
            'no image with a json beside it',
            'folders such as train/ and val/',
            'unpack ReasonSeg there',
        )
    for image_id, (path, image) in enumerate(pairs):
        try:
            record = _record(path, image, image_id)
        except UserInputError as error:
            conversion.skip(error)
        else:
            conversion.add_new(path.parent.name, record, str(path))
    return conversion.finish(str(folder))


def _image_beside(path: Path) -> Path | None:
    return next((path.with_suffix(suffix) for suffix in SUFFIXES if path.with_suffix(suffix).exists()), None)


def _record(path: Path, image: Path, image_id: int) -> dict[str, Any]:
    data = _load(path)
    height, width = read_size(image)
    targets, ignored = [], []
    for shape in data['shapes']:
        polygon = [float(value) for point in shape['points'] for value in point]
        {'target': targets, 'ignore': ignored}.get(str(shape.get('label')).lower(), []).append(polygon)
    if not targets:
        raise UserInputError.of(
            str(path), 'no shape labelled "target"', 'at least one', 'label one or remove it'
        )
    text = data['text'] if isinstance(data['text'], list) else [data['text']]
    record = {
        'image_id': image_id,
        'file_name': f'{path.parent.name}/{image.name}',
        'height': height,
        'width': width,
        'bbox': polygon_bounds(targets),
        'mask': targets,
        'expressions': [sentence.strip() for sentence in text],
        'category_id': 0,
        'ref_id': image_id,
        'is_sentence': bool(data.get('is_sentence')),
    }
    if ignored:
        record['ignore_mask'] = ignored
    return record


def _load(path: Path) -> dict:
    expected = "ReasonSeg's json"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error, expected) from None
    try:
        text = content.decode('utf-8-sig')
    except UnicodeDecodeError:  # as some of the published files
        text = content.decode('cp1252', errors='replace')
    data = parse_json(text, str(path), expected, 'get the file again')
    if not isinstance(data, dict) or not {'shapes', 'text'} <= data.keys():
        raise UserInputError.of(
            str(path), 'a json without "shapes" and "text"', "ReasonSeg's json", 'check the file'
        )
    return data
