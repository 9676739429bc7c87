"""Reading annotation files of the working format: one list of clean, numbered records per split."""

import contextlib
import gc
import os
from collections.abc import Callable, Iterator
from typing import Any

from ..utils import UserInputError, load_json
from .validation import named, validate_records

LAYOUT = 'a dict of splits, {"train": [objects], "val": [objects], ...}'
CONVERT = 'convert it with tools/dataset_converters/convert.py'


def load_annotation_file(path: str | os.PathLike) -> dict[str, list]:
    """Read an annotation file and check its outermost layout only.

    Returns:
        The splits by name, with the records as they are in the file.

    Raises:
        UserInputError: If the file is missing, is not json or has another layout.
    """
    with paused_gc():
        splits = load_json(path)
    if isinstance(splits, dict) and {'images', 'annotations'} <= splits.keys():
        raise UserInputError.of(str(path), 'COCO instances (images, annotations)', LAYOUT, CONVERT)
    if not isinstance(splits, dict):
        raise UserInputError.of(str(path), f'a json {type(splits).__name__}', LAYOUT, CONVERT)
    for name, records in splits.items():
        if not isinstance(records, list):
            raise UserInputError.of(f'{path} [{name}]', f'a {type(records).__name__}', LAYOUT, CONVERT)
    return splits


def load_split(path: str | os.PathLike, split: str) -> list[dict]:
    """Read one split: validated, one record per object, every object and sentence with an id.

    Everything that needs to agree on ids (datasets, metrics, selection, offline evaluation) reads through
    here.

    Args:
        path: An annotation file of the working format.
        split: The name of one of its splits.

    Returns:
        The records in the order of the file, with all their keys; ``ref_id``, ``sent_ids`` and
        ``category_id`` are filled in where the file has none (:func:`normalize_records`).

    Raises:
        UserInputError: If the split is missing or empty, or a record is bad; the sentence names the first
            one.
    """
    with paused_gc():
        return _load_split(path, split)


def _load_split(path: str | os.PathLike, split: str) -> list[dict]:
    splits = load_annotation_file(path)
    where = f'{path} [{split}]'
    if split not in splits:
        known = ', '.join(repr(name) for name in splits) or 'none'
        raise UserInputError.of(
            str(path), f'no split {split!r}', f'one of its splits ({known})', 'choose one of them'
        )
    if not splits[split]:
        raise UserInputError.of(where, 'an empty split', 'at least one object', 'convert the data again')
    errors = validate_records(splits[split], where)
    if errors:
        tail = f' ({len(errors)} of {len(splits[split])} records are bad)' if len(errors) > 1 else ''
        raise UserInputError(f'{errors[0]}{tail}')
    return normalize_records(splits[split], where)


def normalize_records(
    records: list[dict], where: str, on_bad: Callable[[UserInputError], None] | None = None
) -> list[dict]:
    """Merge records of one sentence each into objects, and number what has no number.

    SeqTR's files have one record per sentence in their test splits. Records with one expression each, the
    same ``ref_id``, image and box are sentences of one object; without a ``ref_id``, neighbours with the
    same image and box are. A missing ``ref_id`` becomes the object's position and missing ``sent_ids``
    the sentences' positions in the split, above the ids that are there; a function of the order of the
    split and nothing else.

    Args:
        records: Validated records of one split. They are changed in place.
        where: File and split, for messages.
        on_bad: Called with each error instead of raising it; the record is then left out.

    Returns:
        One record per object, in order of first appearance.

    Raises:
        UserInputError: If two different objects share a ``ref_id``, or a record is there twice.
    """
    groups: dict[Any, list[tuple[int, dict]]] = {}
    key = None
    for index, record in enumerate(records):
        if record.get('ref_id') is not None:
            key = record['ref_id']
        elif not (isinstance(key, tuple) and _same_object(groups[key][-1][1], record)):
            key = ('unnumbered', index)
        groups.setdefault(key, []).append((index, record))
    objects = [_merge(members, where, on_bad) for members in groups.values()]
    _number(objects)
    return objects


def _same_object(a: dict, b: dict) -> bool:
    """Whether two records are sentences of one object: one expression each, the same image and box."""
    if len(a['expressions']) != 1 or len(b['expressions']) != 1:
        return False
    return all(a.get(key) == b.get(key) for key in ('image_id', 'bbox', 'data_source'))


def _merge(
    members: list[tuple[int, dict]], where: str, on_bad: Callable[[UserInputError], None] | None
) -> dict:
    first = members[0][1]
    if len(members) == 1:
        return first
    sentences: dict[Any, dict] = {}
    for index, record in members:
        sentence = (record['sent_ids'][0], record['expressions'][0]) if record.get('sent_ids') else index
        if record is first or (_same_object(first, record) and sentence not in sentences):
            sentences[sentence] = record
            continue
        error = UserInputError.of(
            named(record, f'{where} record {index}'),
            f'the ref_id of record {members[0][0]}',
            'a ref_id of its own for each object',
            'renumber the objects or remove the copy',
        )
        if on_bad is None:
            raise error
        on_bad(error)
    if len(sentences) == 1:
        return first
    kept = list(sentences.values())
    merged = {**first, 'expressions': [record['expressions'][0] for record in kept]}
    ids = [record['sent_ids'][0] for record in kept if record.get('sent_ids')]
    merged['sent_ids'] = ids if len(set(ids)) == len(kept) else None
    return merged


def _number(objects: list[dict]) -> None:
    """Fill in missing ``ref_id``, ``sent_ids``, ``category_id`` and, without a target, ``bbox``, in place."""
    first_ref = 1 + max((r['ref_id'] for r in objects if r.get('ref_id') is not None), default=-1)
    first_sent = 1 + max((i for r in objects for i in r.get('sent_ids') or ()), default=-1)
    sentence = 0
    for position, record in enumerate(objects):
        count = len(record['expressions'])
        if record.get('ref_id') is None:
            record['ref_id'] = first_ref + position
        if record.get('sent_ids') is None:
            record['sent_ids'] = list(range(first_sent + sentence, first_sent + sentence + count))
        if record.get('category_id') is None:
            record['category_id'] = 0
        if record.get('no_target') and record.get('bbox') is None:
            record['bbox'] = [0, 0, 0, 0]
        sentence += count


@contextlib.contextmanager
def paused_gc() -> Iterator[None]:
    """Without the cyclic collector: building millions of small json objects takes a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
