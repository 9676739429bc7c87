"""What all exports to labelling tools share: which image, which label, which polygons."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...structures.masks import to_bitmap
from ...utils import UserInputError
from ...utils.errors import printable
from ..images import name_below
from .shapes import outline_bitmap

OBJECT = 'object'


class Exported(NamedTuple):
    """A record that an export writes.

    Attributes:
        split: Its split.
        record: Of the working format, normalized.
        name: Of its image, below the folder of the images.
    """

    split: str
    record: dict
    name: str


def exported(
    splits: dict[str, list[dict]], template: str | None = None, only: Sequence[str] = ()
) -> list[Exported]:
    """The records of some splits that have something to draw; an expression without a target has not.

    Args:
        splits: Normalized records.
        template: Format string of the ``image_id`` for records without a ``file_name``.
        only: The splits to take; all by default.

    Raises:
        UserInputError: If a split is not there, nothing is left, or an image has no name or one that leads
            out of its folder.
    """
    for split in only:
        if split not in splits:
            raise UserInputError.of('--split', repr(split), f'some of {list(splits)}', 'choose one of them')
    entries = []
    for split, records in splits.items():
        if only and split not in only:
            continue
        for record in records:
            if not record.get('no_target'):
                where = f'[{split}] ref_id {record["ref_id"]}'
                entries.append(Exported(split, record, _image_name(record, template, where)))
    if not entries:
        raise UserInputError.of(
            'export', 'no object to draw', 'at least one', 'choose another file or --split'
        )
    return entries


def name_categories(splits: dict[str, list[dict]], names: Mapping[Any, str]) -> None:
    """Give records the names of their categories as ``category``, in place, where they have none.

    Args:
        splits: Normalized records.
        names: By ``category_id``.
    """
    for records in splits.values():
        for record in records:
            if not record.get('category') and record.get('category_id') in names:
                record['category'] = names[record['category_id']]


def by_image(entries: Sequence[Exported]) -> dict[str, list[Exported]]:
    """The entries of each image, by its name."""
    images: dict[str, list[Exported]] = {}
    for entry in entries:
        images.setdefault(entry.name, []).append(entry)
    return images


def check_images(entries: Sequence[Exported], folder: str | os.PathLike, option: str) -> None:
    """See that the images of all entries are below a folder.

    Args:
        entries: Of any splits.
        folder: Of the images.
        option: What named the folder, for the message.

    Raises:
        UserInputError: If one is not there.
    """
    names = list(by_image(entries))
    missing = [name for name in names if not os.path.isfile(os.path.join(folder, name))]
    if missing:
        raise UserInputError.of(
            f'{option} {os.fspath(folder)}',
            f'{len(missing)} of {len(names)} images missing (the first is {printable(missing[0])})',
            'all images that are exported',
            'name the folder that file_name is relative to, or copy them there',
        )


def _image_name(record: dict, template: str | None, where: str) -> str:
    name = record.get('file_name')
    if not name and template is None:
        raise UserInputError.of(
            where,
            f'no file_name (image_id {record["image_id"]!r})',
            'the name of its image',
            "give --img-template, for instance 'COCO_train2014_{:012d}.jpg'",
        )
    if not name:
        try:
            name = template.format(record['image_id'])
        except (ValueError, IndexError, KeyError):
            raise UserInputError.of(
                '--img-template', repr(template), 'a format string of the image_id', "for instance '{}.jpg'"
            ) from None
    return name_below('images', name, where)


def label_of(record: dict) -> str:
    """The class of a record as a labelling tool shows it: its name, or its number, or ``object``."""
    name: Any = record.get('category')
    if isinstance(name, str) and name.strip():
        return name.strip()
    number = record.get('category_id') or 0
    return f'category {number}' if number else OBJECT


def drawn_mask(record: dict, tolerance: float) -> list[list[float]] | None:
    """The polygons of a record's mask; None if it has a hole, which polygons cannot tell.

    Args:
        record: Of the working format, with a mask.
        tolerance: How far polygons that are drawn around a bitmap may leave its pixels, in pixels.
    """
    if isinstance(record['mask'], list):
        return record['mask']
    return outline_bitmap(to_bitmap(record['mask'], record['height'], record['width']), tolerance)
