"""CVAT's own xml, of images and of videos."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from ...structures.masks import Mask
from ...structures.rle import encode_mask
from ...utils import UserInputError
from ...utils.errors import short
from ...utils.safe_xml import load_xml
from ..validation import name_problem
from .conversion import Conversion
from .image_finder import ImageFinder
from .regions import ImportOptions, Region, RegionCollector, sentences_of, whole_or_none
from .shapes import box_around, ellipse, flat, rectangle

EXPECTED = "CVAT's xml"
WITH_AREA = ('polygon', 'box', 'ellipse', 'mask')
WITHOUT_AREA = ('polyline', 'points', 'cuboid', 'skeleton')
FRAME = 'frame_{:06d}.png'


def read_cvat(
    path: str | os.PathLike,
    images: str | os.PathLike | None = None,
    options: ImportOptions | None = None,
    frame_template: str = FRAME,
) -> Conversion:
    """Read what CVAT exports as "CVAT for images" or "CVAT for video".

    A polygon, an ellipse and a mask are masks; a box, turned or not, is a box without one. Shapes of one
    group and label in an image are one object; a box among them is its box. Polylines, points, cuboids and
    skeletons have no area and are counted, as are tags. The sentences are the texts of an attribute such as
    ``expression`` (:data:`~mmrefseg.datasets.converters.regions.TEXT_FIELDS`; ``expression_2`` and so on are
    more of them). Of a track, each frame in which it is seen is an object. An image's ``subset`` names the
    split.

    Args:
        path: ``annotations.xml``, or the folder that it lies in.
        images: Folder of the images; by default the sizes in the xml are taken as they are.
        options: See :class:`~mmrefseg.datasets.converters.regions.ImportOptions`.
        frame_template: Format string of the number of a frame, for videos.

    Raises:
        UserInputError: If there is no such file, it is no CVAT's, or a shape is wrong.
    """
    path = Path(path, 'annotations.xml') if os.path.isdir(path) else Path(path)
    root = load_xml(path, EXPECTED)
    if root.tag != 'annotations':
        raise UserInputError.of(
            str(path), f'xml that begins with <{root.tag[:40]}>', EXPECTED, 'check the file'
        )
    collector = RegionCollector(options or ImportOptions())
    reader = _Reader(ImageFinder(images), collector, frame_template, str(path))
    for number, image in enumerate(root.iter('image')):
        reader.read_image(image, number)
    for number, track in enumerate(root.iter('track')):
        reader.read_track(track, number, _video_size(root))
    return collector.finish(str(path))


def _video_size(root: Element) -> tuple[str | None, str | None]:
    """(height, width) of the frames as the file writes them."""
    original = next(root.iter('original_size'), None)
    if original is None:
        return None, None
    return original.findtext('height'), original.findtext('width')


class _Reader:
    """Hands the shapes of images and tracks to a collector."""

    def __init__(self, finder: ImageFinder, collector: RegionCollector, template: str, where: str) -> None:
        self.finder, self.collector, self.template, self.where = finder, collector, template, where

    def read_image(self, image: Element, number: int) -> None:
        """The shapes of an ``<image>``."""
        where = f'{self.where} image {number}'
        try:
            name = self.finder.find([self._name(image.get('name'), where)], where)
            said = tuple(_whole(image.get(key), key, where) for key in ('height', 'width'))
            size = self.finder.size(name, said, where)
        except UserInputError as error:
            self.collector.skip(error)
            return
        split = (image.get('subset') or '').strip() or None
        split = None if split in (None, 'default') else split.lower()
        for place, shape in enumerate(image):
            self._read_shape(shape, f'{where} shape {place}', name, size, split, shape.get('label'))

    def read_track(self, track: Element, number: int, said: tuple[str | None, str | None]) -> None:
        """The shapes of a ``<track>``: one of each frame in which it is seen."""
        for place, shape in enumerate(track):
            where = f'{self.where} track {number} shape {place}'
            if shape.get('outside') == '1':
                continue
            try:
                name = self.finder.find([self._frame(shape.get('frame'), where)], where)
                size = tuple(
                    _whole(each, key, where) for each, key in zip(said, ('height', 'width'), strict=True)
                )
                size = self.finder.size(name, size, where)
            except UserInputError as error:
                self.collector.skip(error)
                continue
            label = track.get('label')
            self._read_shape(shape, where, name, size, None, label, track.get('group_id'))

    def _name(self, name: str | None, where: str) -> str:
        problem = name_problem(name)
        if problem:
            raise UserInputError.of(where, *problem)
        return name

    def _frame(self, frame: str | None, where: str) -> str:
        number = whole_or_none(frame)
        if number is None:
            raise UserInputError.of(where, f'the frame {short(frame)}', 'a number', 'export the file again')
        try:
            return self.template.format(number)
        except (ValueError, IndexError, KeyError):
            raise UserInputError.of(
                '--img-template',
                repr(self.template),
                'a format string of a number',
                f'for instance {FRAME!r}',
            ) from None

    def _read_shape(
        self,
        shape: Element,
        where: str,
        name: str,
        size: tuple[int, int],
        split: str | None,
        label: str | None,
        group: str | None = None,
    ) -> None:
        if shape.tag not in WITH_AREA:
            known = shape.tag if shape.tag in (*WITHOUT_AREA, 'tag') else 'unknown'
            self.collector.leave_out(f'shape without area ({known})')
            return
        try:
            mask, box = _area(shape, size, where)
            attributes = {each.get('name') or '': each.text or '' for each in shape.iter('attribute')}
            sentences = sentences_of(attributes, self.collector.options.text_field, where, label)
        except UserInputError as error:
            self.collector.skip(error)
            return
        region = Region(name, size, where, (label or '').strip() or None, mask, box, sentences, split=split)
        group = whole_or_none(group or shape.get('group_id'))
        region.group = group or None  # 0 is none
        region.ref_id = whole_or_none(attributes.get('ref_id'))
        self.collector.add(region)


def _area(shape: Element, size: tuple[int, int], where: str) -> tuple[Mask | None, list[float] | None]:
    """Mask and box of a shape, one of the two."""
    if shape.tag == 'box':
        corners = [_number(shape.get(key), key, where) for key in ('xtl', 'ytl', 'xbr', 'ybr')]
        rotation = _number(shape.get('rotation', '0'), 'rotation', where)
        return None, box_around(rectangle(corners[:2], corners[2:], rotation), size)
    if shape.tag == 'polygon':
        return [flat(_points(shape.get('points'), where))], None
    if shape.tag == 'ellipse':
        x, y, a, b = (_number(shape.get(key), key, where) for key in ('cx', 'cy', 'rx', 'ry'))
        return [flat(ellipse((x, y), (a, b), _number(shape.get('rotation', '0'), 'rotation', where)))], None
    return encode_mask(_bitmap(shape, size, where)), None


def _points(text: str | None, where: str) -> Iterator[tuple[float, float]]:
    """`x,y;x,y` as points."""
    for point in (text or '').split(';'):
        x, comma, y = point.partition(',')
        if not comma:
            raise UserInputError.of(where, f'the point {short(point)}', 'x,y', 'draw the polygon again')
        yield _number(x, 'x', where), _number(y, 'y', where)


def _bitmap(shape: Element, size: tuple[int, int], where: str) -> np.ndarray:
    """The pixels of a `<mask>`: runs row by row in its box, the background first."""
    left, top, width, height = (
        _whole(shape.get(key), key, where, required=True) for key in ('left', 'top', 'width', 'height')
    )
    if width < 1 or height < 1 or left + width > size[1] or top + height > size[0]:
        raise UserInputError.of(
            where,
            f'a mask of {width} x {height} pixels at ({left}, {top})',
            f'one within the image of {size[1]} x {size[0]}',
            'draw it again',
        )
    runs = [_whole(run, 'rle', where, required=True) for run in (shape.get('rle') or '').split(',')]
    if sum(runs) != width * height:
        raise UserInputError.of(
            where,
            f'runs that cover {short(sum(runs))} pixels',
            f'{width * height} as its box has',
            'draw it again',
        )
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    canvas = np.zeros(size, bool)
    canvas[top : top + height, left : left + width] = values.reshape(height, width)
    return canvas


def _number(text: str | None, key: str, where: str) -> float:
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise UserInputError.of(where, f'{key} {short(text)}', 'a number of pixels', 'export the file again')
    return value


def _whole(text: str | None, key: str, where: str, required: bool = False) -> int | None:
    if text is None and not required:
        return None
    value = whole_or_none(text.strip() if text else text)
    if value is None:
        raise UserInputError.of(where, f'{key} {short(text)}', 'a whole number', 'export the file again')
    return value
