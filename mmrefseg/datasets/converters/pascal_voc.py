"""Pascal VOC: an xml for each image, and masks of objects as palette images."""

import os
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from PIL import Image

from ...structures.boxes import paired_box_iou, xywh_to_xyxy
from ...structures.rle import box_of, encode_mask
from ...utils import UserInputError, read_text
from ...utils.errors import short
from ...utils.safe_xml import load_xml
from ..images import read_size
from ..validation import name_problem
from .conversion import Conversion
from .image_finder import ImageFinder
from .mask_images import VOID_INDEX
from .regions import ImportOptions, Region, RegionCollector, sentences_of

EXPECTED = "Pascal VOC's xml"
# A mask belongs to the box that it fills so well.
SAME_OBJECT = 0.5


def read_voc(
    folder: str | os.PathLike,
    images: str | os.PathLike | None = None,
    options: ImportOptions | None = None,
) -> Conversion:
    """Read a folder of Pascal VOC, or of the many tools that write its xml.

    ``Annotations/*.xml`` hold boxes and classes; ``SegmentationObject/*.png``, where they are, masks, each of
    which belongs to the box that it fills (IoU of at least 0.5). ``ImageSets/Segmentation`` (else ``Main``)
    name the splits (``train.txt``, ``val.txt``, ``test.txt``). Boxes count pixels from 1 and their last pixel
    belongs to them, as in VOC, if all are whole numbers above 0; else from 0. An object's sentences are those
    of an element such as ``<expression>``, or of its ``<attributes>`` (CVAT).

    Args:
        folder: With ``Annotations``, or with the xml files themselves.
        images: Folder of the images; by default ``JPEGImages``, else ``folder``.
        options: See :class:`~mmrefseg.datasets.converters.regions.ImportOptions`.

    Raises:
        UserInputError: If there is no xml, or one is wrong.
    """
    root = Path(folder)
    listed = root / 'Annotations' if (root / 'Annotations').is_dir() else root
    files = sorted(path for path in listed.rglob('*') if path.suffix.lower() == '.xml' and path.is_file())
    if not files:
        raise UserInputError.of(
            str(folder), 'no xml', "a folder with Pascal VOC's Annotations", 'check the path'
        )
    if images is None:
        images = root / 'JPEGImages' if (root / 'JPEGImages').is_dir() else root
    collector, finder = RegionCollector(options or ImportOptions()), ImageFinder(images)
    splits = _splits(root)
    documents = []
    for path in files:
        try:
            document = _load(path)
            documents.append((path, document, _objects(document, str(path))))
        except UserInputError as error:
            collector.skip(error)
    origin = _origin([box for _, _, objects in documents for _, box in objects])
    for path, document, objects in documents:
        try:
            regions = _read_file(path, document, objects, origin, root, finder, collector)
        except UserInputError as error:
            collector.skip(error)
            continue
        for region in regions:
            region.split = splits.get(path.stem)
            collector.add(region)
    return collector.finish(str(folder))


def _splits(root: Path) -> dict[str, str]:
    """The split of each image by the stem of its name."""
    for kind in ('Segmentation', 'Main'):
        found: dict[str, str] = {}
        for split in ('train', 'val', 'test'):
            path = root / 'ImageSets' / kind / f'{split}.txt'
            if path.is_file():
                for line in read_text(path, 'a list of images').splitlines():
                    if line.strip():
                        found.setdefault(line.split()[0], split)
        if found:
            return found
    return {}


def _load(path: Path) -> Element:
    document = load_xml(path, EXPECTED)
    if document.tag != 'annotation':
        found = f'xml that begins with <{document.tag[:40]}>'
        raise UserInputError.of(str(path), found, EXPECTED, 'check the file')
    return document


def _objects(document: Element, where: str) -> list[tuple[Element, list[float]]]:
    """The objects with their corners xmin, ymin, xmax, ymax as they are written."""
    objects = []
    for number, item in enumerate(document.findall('object')):
        box = item.find('bndbox')
        place = f'{where} object {number}'
        if box is None:
            raise UserInputError.of(place, 'no bndbox', EXPECTED, 'draw a box')
        corners = [_number(box.findtext(key), key, place) for key in ('xmin', 'ymin', 'xmax', 'ymax')]
        objects.append((item, corners))
    return objects


def _origin(boxes: list[list[float]]) -> int:
    """1 if the boxes count pixels as VOC does, 0 if they do as everybody else."""
    values = [value for box in boxes for value in box]
    return int(all(value == int(value) and value >= 1 for value in values))


def _number(text: str | None, key: str, where: str) -> float:
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = float('nan')
    if not -1e9 <= value <= 1e9:
        raise UserInputError.of(where, f'{key} {short(text)}', 'a number of pixels', 'mend the file')
    return value


def _read_file(
    path: Path,
    document: Element,
    objects: list[tuple[Element, list[float]]],
    origin: int,
    root: Path,
    finder: ImageFinder,
    collector: RegionCollector,
) -> list[Region]:
    where = str(path)
    name, size = _image(path, document, finder, where)
    regions = []
    for number, (item, (x1, y1, x2, y2)) in enumerate(objects):
        place = f'{where} object {number}'
        box = [x1 - origin, y1 - origin, x2 - x1 + origin, y2 - y1 + origin]
        label = (item.findtext('name') or '').strip() or None
        attributes = {child.tag: child.text for child in item if len(child) == 0}
        for each in item.iter('attribute'):
            attributes.setdefault((each.findtext('name') or '').strip(), each.findtext('value'))
        texts = sentences_of(attributes, collector.options.text_field, place, label)
        regions.append(Region(name, size, place, label, None, box, texts))
    masks = root / 'SegmentationObject' / f'{path.stem}.png'
    if masks.is_file() and regions:
        left = _give_masks(regions, _instances(masks, size))
        for _ in range(left):
            collector.leave_out('mask without a box')
    return regions


def _image(path: Path, document: Element, finder: ImageFinder, where: str) -> tuple[str, tuple[int, int]]:
    """Name and size of the image of an xml."""
    name = (document.findtext('filename') or '').strip() or f'{path.stem}.jpg'
    problem = name_problem(name)
    if problem:
        raise UserInputError.of(where, *problem)
    name = finder.find([name, f'{path.stem}.jpg', f'{path.stem}.png', f'{path.stem}.jpeg'], where)
    said: list[Any] = []
    for key in ('height', 'width'):
        value = _number(document.findtext(f'size/{key}', '0'), key, where)
        said.append(int(value) if value >= 1 else None)  # some tools write 0 for what they do not know
    return name, finder.size(name, (said[0], said[1]), where)


def _instances(path: Path, size: tuple[int, int]) -> list[np.ndarray]:
    """The masks of a palette image: one for each index but the background's and the border's."""
    found = read_size(path)
    if found != size:
        raise UserInputError.of(
            str(path),
            f'{found[1]} x {found[0]} pixels',
            f'{size[1]} x {size[0]} as the image has',
            'use the masks of this image',
        )
    try:
        with Image.open(path) as image:
            indices = np.asarray(image)
    except (OSError, ValueError, SyntaxError) as error:
        reason = ' '.join(str(error).split())
        raise UserInputError.of(
            str(path), f'an image that cannot be decoded ({reason})', 'a complete image', 'get it again'
        ) from None
    if indices.ndim == 3:  # colours instead of a palette
        indices = indices[..., :3].astype(np.int64) @ (1 << 16, 1 << 8, 1)
        void = 224 << 16 | 224 << 8 | 192
    else:
        void = VOID_INDEX
    return [indices == index for index in np.unique(indices) if index not in (0, void)]


def _give_masks(regions: list[Region], bitmaps: list[np.ndarray]) -> int:
    """Give each object the mask that fills its box; how many masks are left over."""
    rles = [encode_mask(bitmap) for bitmap in bitmaps]
    boxes = xywh_to_xyxy(np.array([region.box for region in regions], np.float64).reshape(-1, 4))
    outlines = xywh_to_xyxy(np.array([box_of(rle) for rle in rles], np.float64).reshape(-1, 4))
    pairs = [(number, place) for number in range(len(regions)) for place in range(len(rles))]
    rows = [number for number, _ in pairs]
    columns = [place for _, place in pairs]
    ious = paired_box_iou(boxes[rows], outlines[columns])
    given, taken = set(), set()
    for index in np.argsort(-ious, kind='stable'):
        number, place = pairs[index]
        if ious[index] >= SAME_OBJECT and number not in given and place not in taken:
            regions[number].mask = rles[place]
            given.add(number)
            taken.add(place)
    return len(rles) - len(taken)
