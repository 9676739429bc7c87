"""ReasonSeg (LISA): an image and a labelme-like json of the same name, in folders train, val and test."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from ...structures.masks import Mask, bounds, form_problem, mask_problem, to_bitmap, union
from ...structures.polygons import has_three_points
from ...structures.rle import encode_mask
from ...utils import UserInputError, parse_json
from ...utils.files import unreadable
from ..images import read_size
from .conversion import Conversion
from .shapes import SUFFIXES, labelme_mask

EXPECTED = "ReasonSeg's json"


def read_reasonseg(folder: str | os.PathLike, skip_bad: bool = False, mend: bool = False) -> Conversion:
    """Read the splits below ``folder``.

    Shapes labelled ``target`` are the mask, shapes labelled ``ignore`` become ``ignore_mask`` (pixels that
    the metrics do not count), others are passed over. Polygons, and labelme's rectangles, circles and masks
    have an area; its lines and points have none and are an error, or are dropped with ``mend``. Where shapes
    overlap the smaller one counts, as in LISA. Images are numbered in the order of their names; ``file_name``
    is ``<split>/<name>``, so ``img_path`` of the data set is ``folder``.

    Args:
        folder: With a folder for each split.
        skip_bad: Count and list bad records instead of stopping.
        mend: Drop shapes without area from masks that have others.

    Raises:
        UserInputError: If there are no images, one is wrong or a json with shapes has no image beside it.
    """
    conversion = Conversion(skip_bad, mend)
    image_id = 0
    for path, images in _json_files(Path(folder)):
        try:
            record = _record(path, images, image_id, conversion)
        except UserInputError as error:
            conversion.skip(error)
            image_id += 1
            continue
        if record is not None:
            conversion.add_new(path.parent.name, record, str(path))
            image_id += 1
    if not image_id:
        raise UserInputError.of(
            str(folder),
            'no image with a json beside it',
            'folders such as train/ and val/',
            'unpack ReasonSeg there',
        )
    return conversion.finish(str(folder))


def _json_files(folder: Path) -> list[tuple[Path, list[Path]]]:
    """Each json file one level down, in order, with the images of its name, whatever the case of endings."""
    found = []
    for split in sorted(path for path in folder.glob('*') if path.is_dir()):
        files = sorted(split.iterdir())
        images: dict[str, list[Path]] = {}
        for path in files:
            if path.suffix.lower() in SUFFIXES:
                images.setdefault(path.stem, []).append(path)
        found += [
            (path, sorted(images.get(path.stem, []), key=lambda image: SUFFIXES.index(image.suffix.lower())))
            for path in files
            if path.suffix.lower() == '.json'
        ]
    return found


def _record(path: Path, images: list[Path], image_id: int, conversion: Conversion) -> dict[str, Any] | None:
    """The record of a json file; None if it is about something else (ReasonSeg's ``explanatory``)."""
    where = str(path)
    data = _load(path)
    labelled = isinstance(data, dict) and {'shapes', 'text'} <= data.keys()
    if not images and not labelled:
        return None
    if not labelled:
        raise UserInputError.of(where, 'a json without "shapes" and "text"', EXPECTED, 'check the file')
    if not images:
        raise UserInputError.of(
            where, 'no image beside it', f'{path.stem}.jpg or the like', 'copy it there, or remove the json'
        )
    height, width = read_size(images[0])
    _check_size(data, height, width, where)
    targets, ignored = _shapes(data['shapes'], (height, width), conversion.mend, where)
    targets = _mended(targets, conversion) or targets
    ignored = _mended(ignored, conversion)
    mask = _in_one(targets, height, width, where)
    text = data['text'] if isinstance(data['text'], list) else [data['text']]
    record = {
        'image_id': image_id,
        'file_name': f'{path.parent.name}/{images[0].name}',
        'height': height,
        'width': width,
        'bbox': bounds(mask, height, width),
        'mask': mask,
        'expressions': [sentence.strip() if isinstance(sentence, str) else sentence for sentence in text],
        'category_id': 0,
        'ref_id': image_id,
        'is_sentence': bool(data.get('is_sentence')),
    }
    if ignored:
        record['ignore_mask'] = _painted(ignored, targets, height, width, where)
    return record


def _mended(masks: list[Mask], conversion: Conversion) -> list[Mask]:
    """With ``mend`` without the polygons of fewer than 3 points, which are counted."""
    if not conversion.mend:
        return masks
    kept = [mask for mask in masks if isinstance(mask, dict) or has_three_points(mask[0])]
    conversion.mended += len(masks) - len(kept)
    return kept


def _in_one(masks: list[Mask], height: int, width: int, where: str) -> Mask:
    """The mask of all shapes of a label: polygons stay polygons, unless some are bitmaps.

    Raises:
        UserInputError: If a shape cannot be drawn, or all of them cover nothing.
    """
    polygons = [polygon for mask in masks if isinstance(mask, list) for polygon in mask]
    problem = form_problem(polygons, height, width) if len(polygons) < len(masks) else None
    whole = None if problem else union(masks, height, width)
    problem = problem or mask_problem(whole, height, width)
    if problem:
        raise UserInputError.of(where, *problem)
    return whole


def _load(path: Path) -> Any:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error, EXPECTED) from None
    try:
        text = content.decode('utf-8-sig')
    except UnicodeDecodeError:  # as some of the published files
        text = content.decode('cp1252', errors='replace')
    return parse_json(text, str(path), EXPECTED, 'get the file again')


def _check_size(data: dict, height: int, width: int, where: str) -> None:
    said = data.get('imageHeight'), data.get('imageWidth')
    if None not in said and said != (height, width):
        raise UserInputError.of(
            where,
            f'imageWidth and imageHeight {said[1]} x {said[0]}',
            f'{width} x {height} as the image has',
            'use the image that was labelled',
        )


def _shapes(shapes: Any, size: tuple[int, int], mend: bool, where: str) -> tuple[list[Mask], list[Mask]]:
    """The masks of the shapes labelled target, and of those labelled ignore: one polygon, or run lengths."""
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        raise UserInputError.of(where, 'shapes that are no list of objects', EXPECTED, 'check the file')
    by_label: dict[str, list[Mask]] = {'target': [], 'ignore': []}
    for number, shape in enumerate(shapes):
        label = str(shape.get('label')).strip().lower()
        if label in by_label:
            by_label[label].append(labelme_mask(shape, size, mend, f'{where} shape {number}'))
    if not by_label['target']:
        raise UserInputError.of(where, 'no shape labelled "target"', 'at least one', 'label one or remove it')
    return by_label['target'], by_label['ignore']


def _painted(ignored: list[Mask], targets: list[Mask], height: int, width: int, where: str) -> Mask:
    """What is ignored when shapes are painted from the largest to the smallest, as LISA does.

    Returns:
        The polygons as they are, unless a smaller target lies on one or one is a bitmap; then run lengths.
    """
    for mask in ignored:
        problem = form_problem(mask, height, width)
        if problem:
            raise UserInputError.of(f'{where}, ignore', *problem)
    layers = [
        (to_bitmap(mask, height, width), is_ignored)
        for masks, is_ignored in ((ignored, True), (targets, False))
        for mask in masks
    ]
    layers.sort(key=lambda layer: -int(layer[0].sum()))
    canvas = np.zeros((height, width), bool)
    for layer, is_ignored in layers:
        canvas[layer] = is_ignored
    whole = np.any([layer for layer, is_ignored in layers if is_ignored], axis=0)
    return union(ignored, height, width) if np.array_equal(canvas, whole) else encode_mask(canvas)
