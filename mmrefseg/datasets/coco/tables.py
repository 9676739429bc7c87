"""The three lists of a COCO file, and what their ids mean."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ...utils import UserInputError, load_json
from .findings import Findings, as_named
from .numbers import Id, Lookup, as_id, is_plain

LISTS = ('images', 'annotations', 'categories')


CHECK = 'check the path'


def check_layout(content: Any, where: str, without_objects: str | None = None) -> None:
    """The outermost layout: a dict with lists of dicts.

    Args:
        content: What the file holds.
        where: The file, for messages.
        without_objects: What to do about a file without ``annotations``; None where it needs none.

    Raises:
        UserInputError: If it is another.
    """
    needs = {'images': CHECK, 'categories': CHECK, 'annotations': without_objects}
    for key, todo in needs.items():
        if todo and (not isinstance(content, dict) or key not in content):
            raise UserInputError.of(where, f'no {key!r}', 'a COCO file', todo)
    for key in LISTS:
        entries = content.get(key, [])
        if not isinstance(entries, list):
            raise UserInputError.of(
                where, f'{key} of type {type(entries).__name__}', 'a list', 'write the file again'
            )
        wrong = {type(entry).__name__ for entry in entries if not isinstance(entry, dict)}
        if wrong and key != 'annotations':
            found = f'{min(wrong)} in {key}'
            raise UserInputError.of(where, found, 'a list of dicts', 'write the file again')


class Numbers:
    """Gives ids that are not taken, above those that are."""

    def __init__(self, taken: Iterable[Id | None]) -> None:
        self._last = max((id_ for id_ in taken if isinstance(id_, int) and 0 < id_ < 2**62), default=0)

    def __call__(self) -> int:
        self._last += 1
        return self._last


def read_categories(
    entries: list[dict], where: str, mended: Findings
) -> tuple[list[dict], Callable[[Any], Id | None]]:
    """The categories, each name once, and what finds the id that a ``category_id`` means.

    Args:
        entries: The list of the file.
        where: The file, for messages.
        mended: What was mended is added.

    Raises:
        UserInputError: If two names have one id.
    """
    number = Numbers(as_id(entry.get('id')) for entry in entries)
    kept: dict[Id, dict] = {}
    of_name: dict[str, Id] = {}
    means: dict[Id, Id] = {}
    numbered: set[Id] = set()
    for entry in entries:
        id_ = as_id(entry.get('id'))
        name = entry.get('name')
        if id_ is None:
            id_ = number()
            numbered.add(id_)
            mended.add('categories without an id, numbered', name)
        if not isinstance(name, str) or not name:
            name = as_named(name or id_)
            mended.add('categories whose name is no text', name)
        if id_ in means:
            if of_name.get(name) == means[id_]:
                continue
            found = f'categories {kept[means[id_]]["name"]!r} and {name!r} with one id {as_named(id_)}'
            todo = 'number the categories and write the annotations again'
            raise UserInputError.of(where, found, 'an id for each', todo)
        means[id_] = of_name.setdefault(name, id_)
        if means[id_] != id_:
            mended.add('categories of the same name as others, taken together', name)
        else:
            unchanged = same(entry.get('name'), name) and same(entry.get('id'), id_)
            kept[id_] = entry if unchanged else {**entry, 'id': id_, 'name': name}
    find = Lookup(means.keys() - numbered)

    def category_of(reference: Any) -> Id | None:
        found = find(reference)
        if found is None and isinstance(reference, str):
            return of_name.get(reference)
        return None if found is None else means[found]

    return list(kept.values()), category_of


def same(before: Any, after: Any) -> bool:
    """Whether a value of a file is what it should be, its type too (1 is neither 1.0 nor True)."""
    return type(before) is type(after) and before == after


def read_image_ids(
    entries: list[dict], mended: Findings, left_out: Findings
) -> tuple[dict[Id, dict], set[Id], set[Id]]:
    """The images by their ids, the ids that several images have, and those that the file does not have.

    Args:
        entries: The list of the file.
        mended: What was mended is added.
        left_out: Images that cannot be told apart are added.
    """
    number = Numbers(as_id(entry.get('id')) for entry in entries)
    images: dict[Id, dict] = {}
    ambiguous: set[Id] = set()
    numbered: set[Id] = set()
    for entry in entries:
        id_ = as_id(entry.get('id'))
        if id_ is None:
            id_ = number()
            numbered.add(id_)
            mended.add('images without an id, numbered', entry.get('file_name'))
        if id_ not in images:
            images[id_] = entry if same(entry.get('id'), id_) else {**entry, 'id': id_}
        elif images[id_].get('file_name') == entry.get('file_name'):
            mended.add('images listed twice, taken once', id_)
        else:
            ambiguous.add(id_)
            left_out.add('with an id that several images have', entry.get('file_name'))
    for id_ in ambiguous:
        left_out.add('with an id that several images have', images.pop(id_).get('file_name'))
    return images, ambiguous, numbered


def with_plain_ids(content: dict) -> dict:
    """The content with ids of images and categories that are whole numbers above 0.

    Those that were not get a new number and keep what they were as ``original_id``.

    Args:
        content: Of a checked file; it is not changed.
    """
    images, image_ids = _plain(content['images'])
    categories, category_ids = _plain(content['categories'])
    plain = {**content, 'images': images, 'categories': categories}
    if 'annotations' in content and (image_ids or category_ids):
        plain['annotations'] = [
            {
                **annotation,
                'image_id': image_ids.get(annotation['image_id'], annotation['image_id']),
                'category_id': category_ids.get(annotation['category_id'], annotation['category_id']),
            }
            for annotation in content['annotations']
        ]
    return plain


def as_objects(content: dict) -> dict:
    """The content with every crowd as an ordinary object."""
    annotations = [{**annotation, 'iscrowd': 0} for annotation in content.get('annotations', ())]
    return {**content, 'annotations': annotations}


def _plain(entries: Sequence[dict]) -> tuple[list[dict], dict]:
    """The entries, and the new ids of those that needed one."""
    number = Numbers(entry['id'] for entry in entries)
    new = {entry['id']: number() for entry in entries if not is_plain(entry['id'])}
    changed = [
        {**entry, 'id': new[entry['id']], 'original_id': entry['id']} if entry['id'] in new else entry
        for entry in entries
    ]
    return changed, new


def read_category_names(path: str | os.PathLike) -> dict[Id, str]:
    """The names of a COCO file's categories, by id.

    Raises:
        UserInputError: If the file cannot be read, is no COCO file, or has two names with one id.
    """
    content = load_json(path)
    check_layout(content, str(path))
    categories, _ = read_categories(content['categories'], str(path), Findings())
    return {category['id']: category['name'] for category in categories}
