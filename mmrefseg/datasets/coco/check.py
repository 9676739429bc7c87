"""One check for every reader of COCO instance files."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...utils import load_json
from ..annotations import paused_gc
from .boxes import Boxes
from .findings import Findings
from .image_files import ImageFolder
from .image_table import UNSIZED, Size, read_images
from .numbers import Id
from .objects import NO_MASK, CocoObject, finish, read_owners, read_shapes, repetitions
from .tables import check_layout, read_categories, read_image_ids


@dataclass
class CheckedCoco:
    """A COCO file, and what is to be said about it.

    Attributes:
        where: The file, for messages.
        content: As COCO defines it: images with an id, ``height`` and ``width``; categories with a name each;
            annotations with an id of their own, a usable ``bbox``, ``area`` and ``iscrowd``, and a
            ``segmentation`` that is a sound mask or empty. Extra keys are kept; what was sound is the same
            object. Ids of images and categories are the file's.
        num_objects: Annotations in the file.
        unusable: Annotations that were left out, by reason.
        without_mask: Annotations that keep their box only, by reason.
        lost_masks: Why annotations (by their ids in ``content``) have no mask that have a ``segmentation``.
        mended: What was mended, by kind.
        images_left_out: Images that cannot be used, by reason.
        remarks: What may surprise.
    """

    where: str
    content: dict
    num_objects: int = 0
    unusable: Findings = field(default_factory=lambda: Findings(keep_all=True))
    without_mask: Findings = field(default_factory=Findings)
    lost_masks: dict[int, str] = field(default_factory=dict)
    mended: Findings = field(default_factory=Findings)
    images_left_out: Findings = field(default_factory=Findings)
    remarks: list[str] = field(default_factory=list)

    @property
    def annotations(self) -> list[dict]:
        """Those that are left."""
        return self.content.get('annotations', [])

    @property
    def num_crowds(self) -> int:
        """Annotations that mark a crowd, of which nothing is learned."""
        return sum(annotation['iscrowd'] for annotation in self.annotations)

    def name_of(self, category_id: Id) -> str:
        """Of a category."""
        return next(each['name'] for each in self.content['categories'] if each['id'] == category_id)

    @property
    def unsized(self) -> bool:
        """Whether there are images whose size nothing tells."""
        return UNSIZED in self.images_left_out.counts

    def count_untrained(self) -> None:
        """Count what is sound, but that mmdet's data sets leave out of training, as unusable too."""
        for annotation in self.annotations:
            if annotation.get('ignore'):
                self.unusable.add('marked ignore', annotation['id'])
            elif min(annotation['bbox'][2:]) < 1:
                self.unusable.add('narrower than a pixel', annotation['id'])

    def sentences(self) -> list[str]:
        """What a reader must know before the first step; nothing for a sound file."""
        said = []
        if self.unusable:
            said.append(self.unusable_sentence())
        if self.images_left_out:
            said.append(f'{self.images_left_out.total} images left out: {self.images_left_out}')
        if self._says_box_only():
            count = self.without_mask.total
            said.append(f'{count} of {self.num_objects} objects have a box and no mask: {self.without_mask}')
        if self.mended:
            said.append(f'mended in reading: {self.mended}')
        return [f'{self.where}: {sentence}' for sentence in (*said, *self.remarks)]

    def unusable_sentence(self, others: int = 0) -> str:
        """``N of M objects unusable: why``, the crowds too where nothing else is left.

        Args:
            others: Objects of classes that nobody asked for.
        """
        reasons = self.unusable.lines()
        total = self.unusable.total + others
        if others:
            reasons.append(f'{others} of other classes')
        elif self.num_crowds == len(self.annotations) > 0:
            reasons.append(f'{self.num_crowds} marked iscrowd')
            total += self.num_crowds
        return f'{total} of {self.num_objects} objects unusable: {", ".join(reasons)}'

    def _says_box_only(self) -> bool:
        """Whether objects without a mask are worth a word: not in a file of boxes."""
        plain = self.without_mask.counts.get(NO_MASK, 0)
        return bool(self.without_mask) and plain < len(self.annotations)


def read_coco(
    path: str | os.PathLike, folder: str | os.PathLike | None = None, where: str | None = None, **options
) -> CheckedCoco:
    """:func:`check_coco` of a file, which messages call ``where`` (default: its path).

    Raises:
        UserInputError: See there; or if there is no such file, or no json.
    """
    with paused_gc():
        return check_coco(load_json(path), where or os.fspath(path), folder, **options)


def check_coco(
    content: Any,
    where: str = 'COCO file',
    folder: str | os.PathLike | None = None,
    sizes: Mapping[Id, Size] | None = None,
    keep_images: bool = False,
) -> CheckedCoco:
    """Check the content of a COCO instance file, mend what is certain, and count what is not.

    Args:
        content: What the file holds; it is not changed.
        where: The file, for messages.
        folder: The folder of the images, if it is to be looked into: for sizes that are missing or wrong, for
            images that are missing, and for their EXIF orientation.
        sizes: (height, width) by the id of the image, of images that were loaded: they have the last word.
        keep_images: Whether images whose files are missing or broken stay, if their size is known.

    Raises:
        UserInputError: If the layout is another, or two categories have one id.
    """
    check_layout(content, where)
    checked = CheckedCoco(where, dict(content), len(content.get('annotations', ())))
    images, ambiguous, numbered = read_image_ids(content['images'], checked.mended, checked.images_left_out)
    categories, category_of = read_categories(content['categories'], where, checked.mended)
    annotations = content.get('annotations', ())
    known = images.keys() - numbered
    objects = read_owners(annotations, known, ambiguous, category_of, checked.unusable, checked.mended)
    annotations_of: dict[Id, list[dict]] = {}
    for item in objects:
        annotations_of.setdefault(item.image_id, []).append(item.annotation)
    files = ImageFolder(folder) if folder is not None else None
    table = read_images(images, annotations_of, checked.mended, files, sizes or {}, keep_images)
    for id_, reason in table.left_out.items():
        checked.images_left_out.add(reason, images[id_].get('file_name', id_))
    checked.remarks += table.remarks
    checked.content.update(images=list(table.images.values()), categories=categories)
    objects = _of_images(objects, table.images, table.left_out, checked.unusable)
    boxes = read_shapes(objects, checked.unusable, checked.mended, checked.without_mask)
    _add_remarks(checked, objects, boxes)
    if 'annotations' in content:
        checked.content['annotations'] = finish(objects, boxes, checked.mended)
        checked.lost_masks = _lost_masks(checked.annotations, objects, boxes)
    return checked


def _add_remarks(checked: CheckedCoco, objects: list[CocoObject], boxes: Boxes) -> None:
    """Note what is odd about shapes and is kept as it is."""
    if boxes.remark:
        checked.remarks.append(boxes.remark)
    if boxes.disagree.any():
        names = Findings()
        for place in np.flatnonzero(boxes.disagree):
            names.add(
                'objects whose box and mask disagree (IoU below 0.5), kept as they are', objects[place].name
            )
        checked.remarks.append(str(names))
    repeated = repetitions(objects, boxes)
    if repeated:
        checked.remarks.append(str(repeated))


def _lost_masks(annotations: Sequence[dict], objects: Sequence[CocoObject], boxes: Boxes) -> dict[int, str]:
    """Why an object lost its mask, by the id of its annotation."""
    kept = (item for item, problem in zip(objects, boxes.problems, strict=True) if not problem)
    return {
        annotation['id']: item.no_mask
        for item, annotation in zip(kept, annotations, strict=True)
        if item.mask is None and item.no_mask != NO_MASK
    }


def _of_images(
    objects: list[CocoObject], images: Mapping[Id, dict], left_out: Mapping[Id, str], unusable: Findings
) -> list[CocoObject]:
    """The objects of images that can be used, with their sizes; others are counted."""
    kept = []
    for item in objects:
        image = images.get(item.image_id)
        if image is None:
            unusable.add(f'of images {left_out[item.image_id]}', item.name)
        else:
            item.size = (image['height'], image['width'])
            kept.append(item)
    return kept
