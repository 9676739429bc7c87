"""The annotations of a COCO file: whose they are, their masks, boxes, areas and ids."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...structures.masks import Mask, bounds, to_rle
from ...structures.rle import areas
from .boxes import Boxes, four_numbers, read_boxes
from .findings import Findings, as_named
from .image_table import Size
from .numbers import Id, Lookup, as_flag, as_id, as_number, is_plain
from .segmentation import read_segmentation
from .tables import Numbers, same

NO_MASK = 'without a segmentation'


@dataclass(slots=True)
class CocoObject:
    """An annotation on its way through the check.

    Attributes:
        annotation: As it is in the file.
        name: Its id, or its place in the file, for messages.
        image_id: Of its image, as the image has it.
        category_id: Of its category, as the category has it.
        size: (height, width) of its image.
        mask: Sound and not empty, or None.
        no_mask: Why it has none.
        redrawn: Whether the mask is another than that of the file.
    """

    annotation: dict
    name: str
    image_id: Id
    category_id: Id
    size: Size | None = None
    mask: Mask | None = None
    no_mask: str | None = None
    redrawn: bool = False


def read_owners(
    annotations: Sequence[Any],
    images: Collection[Id],
    ambiguous: Collection[Id],
    category_of: Callable[[Any], Id | None],
    unusable: Findings,
    mended: Findings,
) -> list[CocoObject]:
    """Image and category of each annotation; others are counted.

    Args:
        annotations: The list of the file.
        images: Ids of images in the file.
        ambiguous: Ids that several images have.
        category_of: What a ``category_id`` means.
        unusable: What has none is added.
        mended: What is listed twice is added.
    """
    image_of = Lookup([*images, *ambiguous])
    objects = []
    first: dict[Id | None, dict] = {}
    for place, annotation in enumerate(annotations):
        if not isinstance(annotation, dict):
            unusable.add('that are no dicts', f'place {place}')
            continue
        name = as_named(annotation.get('id', f'place {place}'))
        id_ = as_id(annotation.get('id'))
        if (
            id_ is not None
            and first.setdefault(id_, annotation) is not annotation
            and first[id_] == annotation
        ):
            mended.add('annotations listed twice, taken once', name)
            continue
        image_id = image_of(annotation.get('image_id'))
        category_id = category_of(annotation.get('category_id'))
        if image_id is None:
            unusable.add('whose image_id no image has', name)
        elif image_id in ambiguous:
            unusable.add('whose image_id several images have', name)
        elif category_id is None:
            unusable.add('whose category_id no category has', name)
        else:
            objects.append(CocoObject(annotation, name, image_id, category_id))
    return objects


def read_shapes(objects: list[CocoObject], unusable: Findings, mended: Findings, without: Findings) -> Boxes:
    """Masks and boxes of objects whose images have a size; masks are written into the objects.

    Args:
        objects: N objects; those without box and mask stay, with a NaN for a box.
        unusable: Objects without both are added.
        mended: What was mended is added.
        without: Objects that have a box only are added.

    Returns:
        The N boxes.
    """
    outlines = np.full((len(objects), 4), np.nan)
    for place, item in enumerate(objects):
        read = read_segmentation(
            item.annotation.get('segmentation'), *item.size, four_numbers(item.annotation.get('bbox'))
        )
        item.mask, item.no_mask = read.mask, read.problem or NO_MASK
        item.redrawn = read.mended is not None
        if read.mended:
            mended.add(f'masks mended: {read.mended}', item.name)
        if read.mask is not None:
            outlines[place] = _within(bounds(read.mask, *item.size), *item.size)
    sizes = np.array([item.size for item in objects], np.float64).reshape(-1, 2)[:, ::-1]
    boxes = read_boxes([item.annotation.get('bbox') for item in objects], outlines, sizes)
    for item, kind, problem in zip(objects, boxes.mended, boxes.problems, strict=True):
        if problem:
            unusable.add(problem if item.no_mask == NO_MASK else f'{problem}, {item.no_mask}', item.name)
            continue
        if item.mask is None:
            without.add(item.no_mask, item.name)
        if kind:
            mended.add(kind, item.name)
    return boxes


def repetitions(objects: list[CocoObject], boxes: Boxes) -> Findings:
    """Objects that are in the file twice: of the same image, category, box and mask as one before them.

    They stay, as other readers keep them; no prediction can find both.
    """
    repeated = Findings()
    first: dict[tuple, CocoObject] = {}
    for item, box, problem in zip(objects, boxes.xywh.tolist(), boxes.problems, strict=True):
        if problem:
            continue
        other = first.setdefault((item.image_id, item.category_id, *box), item)
        if other is not item and other.mask == item.mask:
            repeated.add('objects of the same image, category, box and mask as another, kept', item.name)
    return repeated


def _within(box: list[float], height: int, width: int) -> list[float]:
    """The part of a mask's [x, y, width, height] that lies within the image."""
    x, y, w, h = box
    if x >= 0 and y >= 0 and x + w <= width and y + h <= height:
        return box
    left, top = max(x, 0), max(y, 0)
    return [left, top, min(x + w, width) - left, min(y + h, height) - top]


def finish(objects: list[CocoObject], boxes: Boxes, mended: Findings) -> list[dict]:
    """The annotations as COCO defines them; what was so already is the same object.

    Args:
        objects: N objects.
        boxes: Theirs.
        mended: What was mended is added.
    """
    given = [item.annotation.get('id') for item in objects]
    number = Numbers(given_id for given_id in given if type(given_id) is int)
    taken: set[int] = set()
    annotations = []
    for place, item in enumerate(objects):
        if boxes.problems[place]:
            continue
        id_ = given[place]
        if type(id_) is not int or not is_plain(id_) or id_ in taken:
            id_ = number()
            mended.add('annotation ids that are missing, repeated or no numbers above 0', item.name)
        taken.add(id_)
        fields = {'id': id_, 'image_id': item.image_id, 'category_id': item.category_id}
        changed_box = boxes.mended[place] is not None
        given_box = item.annotation.get('bbox')
        if changed_box or type(given_box) is not list or any(type(value) is str for value in given_box):
            fields['bbox'] = [round(float(value), 6) for value in boxes.xywh[place]]
        if item.redrawn or (item.mask is None and item.annotation.get('segmentation')):
            fields['segmentation'] = item.mask or []
        _finish_numbers(item, boxes.xywh[place], changed_box, fields, mended)
        changed = {key for key, value in fields.items() if not same(item.annotation.get(key), value)}
        if changed & {'image_id', 'category_id'}:
            mended.add('image or category ids written otherwise than in their lists', item.name)
        annotations.append({**item.annotation, **fields} if changed else item.annotation)
    return annotations


def _finish_numbers(
    item: CocoObject, box: np.ndarray, changed_box: bool, fields: dict, mended: Findings
) -> None:
    """``area``, ``iscrowd`` and ``ignore``."""
    crowd = item.annotation.get('iscrowd')
    if type(crowd) is not int or crowd not in (0, 1):
        fields['iscrowd'] = int(as_flag(crowd))
        if crowd is None:
            mended.add('without iscrowd, taken for 0', item.name)
    if isinstance(item.annotation.get('ignore'), str):
        fields['ignore'] = int(as_flag(item.annotation['ignore']))
    wrong = _area_problem(item.annotation.get('area'), box, item.size)
    if not (wrong or changed_box or item.redrawn):
        return
    if wrong:
        mended.add(wrong, item.name)
    if item.mask is None:
        fields['area'] = float(box[2] * box[3])
    else:
        fields['area'] = float(areas([to_rle(item.mask, *item.size, check=None)])[0])


def _area_problem(area: Any, box: np.ndarray, size: Size) -> str | None:
    """Why an ``area`` cannot be that of an object."""
    number = None if isinstance(area, str) else as_number(area)
    if number is None or number <= 0:
        return 'without an area above 0, computed'
    if number > size[0] * size[1]:
        return 'with an area larger than the image, computed'
    # A mask may be a line across its box, but not one pixel of hundreds.
    if number <= 1 and box[2] * box[3] > 100:
        return 'with an area in shares of the image, computed'
    return None
