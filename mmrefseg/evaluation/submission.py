"""COCO result files of instance segmentation: how they are written, and what can be wrong with one."""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..structures.boxes import is_box, xyxy_to_xywh
from ..structures.rle import area, to_json_rle
from ..utils import UserInputError, dump_json
from ..utils.errors import short

# What mmdet 2.x and 3.x write for each instance, in its order.
SUBMISSION_KEYS = ('image_id', 'bbox', 'score', 'category_id', 'segmentation')
# Kinds of files: what a line must have.
REQUIRED = {
    'segm': ('image_id', 'category_id', 'score', 'segmentation'),
    'bbox': ('image_id', 'category_id', 'score', 'bbox'),
}


def result_records(
    image_id: int | str,
    boxes: np.ndarray,
    scores: Sequence[float],
    category_ids: Sequence[int | str],
    rles: Sequence[Mapping] | None = None,
) -> list[dict]:
    """The lines of one image.

    Args:
        image_id: Of the annotation file.
        boxes: (N, 4) xyxy in pixels of the image.
        scores: N numbers in [0, 1].
        category_ids: N ids of the annotation file.
        rles: N masks; without them the lines are those of a ``.bbox.json``.

    Returns:
        Plain numbers, lists and text, ready for json; ``counts`` is text.
    """
    xywh = xyxy_to_xywh(np.asarray(boxes, np.float64).reshape(-1, 4)).tolist()
    records = []
    for place, (box, score, category) in enumerate(zip(xywh, scores, category_ids, strict=True)):
        record = dict(image_id=_id(image_id), bbox=box, score=float(score), category_id=_id(category))
        if rles is not None:
            record['segmentation'] = to_json_rle(rles[place])
        records.append(record)
    return records


def write_results(
    records: Iterable[Mapping], path: str | os.PathLike, keys: Sequence[str] | None = None
) -> int:
    """Write a result file: sorted by image and falling score, each instance once, all or nothing.

    Args:
        records: From :func:`result_records`.
        path: The file.
        keys: Keep these keys of each line, in this order (default: all).

    Returns:
        Number of lines.
    """
    # The same instance comes twice where a sampler pads; a detector's own two are never equal in all numbers.
    ordered = sorted({_identity(record): record for record in records}.items(), key=_order)
    lines = [record if keys is None else {key: record[key] for key in keys} for _, record in ordered]
    dump_json(lines, path)
    return len(lines)


def check_keys(keys: Sequence[str]) -> tuple[str, ...]:
    """The keys of ``--submission-keys``.

    Raises:
        UserInputError: For an unknown, a repeated or no key.
    """
    wrong = [key for key in keys if key not in SUBMISSION_KEYS]
    if wrong or not keys or len(set(keys)) != len(keys):
        found = f'{wrong[0]!r}' if wrong else f'{",".join(keys)!r}'
        raise UserInputError.of(
            'submission keys', found, f'some of {",".join(SUBMISSION_KEYS)}, each once', 'correct the list'
        )
    return tuple(keys)


def _identity(record: Mapping) -> tuple:
    """What makes a line another line, in the order of the file: image, best first."""
    mask = record.get('segmentation') or {}
    box = tuple(record.get('bbox') or ())
    return record['image_id'], -record['score'], record['category_id'], box, mask.get('counts', '')


def _order(item: tuple[tuple, Mapping]) -> tuple:
    """Sorts lines by their identity; ids that are text come after numbers."""
    image, score, category, *rest = item[0]
    return isinstance(image, str), image, score, isinstance(category, str), category, *rest


def _id(value: int | str) -> int | str:
    return value if isinstance(value, str) else int(value)


class SubmissionChecker:
    """Says what is wrong with the lines of a result file.

    Args:
        test: Content of the file that the submission is for: ``images, categories``.
        kind: ``'segm'`` or ``'bbox'``.
    """

    def __init__(self, test: Mapping[str, Any], kind: str = 'segm') -> None:
        self.sizes = {image['id']: [image['height'], image['width']] for image in test['images']}
        self.categories = {category['id'] for category in test['categories']}
        self.kind = kind

    def problems(self, entries: Sequence[Any]) -> Iterator[tuple[int, str]]:
        """Place (from 0) and fault, one for each thing that is wrong."""
        first: dict[tuple, int] = {}
        for place, entry in enumerate(entries):
            faults = list(self._faults(entry))
            yield from ((place, fault) for fault in faults)
            if faults:
                continue
            same = first.setdefault(_identity(entry), place)
            if same != place:
                yield place, f'the same as entry {same}; write each instance once'

    def remarks(self, entries: Sequence[Any]) -> list[str]:
        """What is allowed and may surprise; call it for entries without problems only."""
        per_image = Counter(entry['image_id'] for entry in entries)
        remarks = []
        silent = len(self.sizes) - len(per_image)
        if silent:
            remarks.append(f'{silent} of {len(self.sizes)} images have no entry')
        crowded = sum(count > 100 for count in per_image.values())
        if crowded:
            remarks.append(f'{crowded} images have more than 100 entries, of which COCO counts the best 100')
        if self.kind == 'segm':
            empty = sum(_area(entry['segmentation']) == 0 for entry in entries)
            if empty:
                remarks.append(f'{empty} masks are empty')
        return remarks

    def _faults(self, entry: Any) -> Iterator[str]:
        if not isinstance(entry, dict):
            yield f'a {type(entry).__name__}, expected an object with {", ".join(REQUIRED[self.kind])}'
            return
        missing = [key for key in REQUIRED[self.kind] if key not in entry]
        if missing:
            yield f'no {", ".join(missing)}; write {", ".join(REQUIRED[self.kind])}'
        if 'image_id' in entry:
            yield from _id_faults('image_id', entry['image_id'], self.sizes)
        if 'category_id' in entry:
            yield from _id_faults('category_id', entry['category_id'], self.categories)
        if 'score' in entry and not (_is_number(entry['score']) and 0 <= entry['score'] <= 1):
            yield f'score {short(entry["score"])}, expected a number from 0 to 1'
        if 'bbox' in entry:
            yield from _box_faults(entry['bbox'])
        if 'segmentation' in entry:
            image = entry.get('image_id')
            yield from _mask_faults(
                entry['segmentation'], self.sizes.get(image) if isinstance(image, int | str) else None
            )


def _id_faults(name: str, value: Any, known: Iterable[int]) -> Iterator[str]:
    if not _is_int(value) and not (isinstance(value, str) and value in known):
        yield f'{name} {short(value)} ({type(value).__name__}), expected a whole number'
    elif value not in known:
        yield f'{name} {short(value)}, which the test file does not have'


def _box_faults(box: Any) -> Iterator[str]:
    if not is_box(box):
        yield f'bbox {short(box)}, expected 4 finite numbers x, y, width, height'
    elif box[2] < 0 or box[3] < 0:
        yield f'bbox of {box[2]:g} x {box[3]:g} pixels; write x, y, width, height'


def _mask_faults(mask: Any, size: list[int] | None) -> Iterator[str]:
    """Faults of a segmentation on an image of ``size`` [h, w] (None: unknown)."""
    if not isinstance(mask, dict) or not {'size', 'counts'} <= mask.keys():
        yield f'segmentation {short(mask)}, expected an RLE with size and counts'
        return
    found = mask['size']
    if not isinstance(found, list) or len(found) != 2 or not all(map(_is_int, found)):
        yield f'segmentation of size {short(found)}, expected [height, width]'
    elif size is not None and found != size:
        turned = ' (height and width are exchanged)' if found == size[::-1] else ''
        yield f'segmentation of size {short(found)}, but the image has [height, width] = {size}{turned}'
    elif not isinstance(mask['counts'], str):
        yield f'counts of type {type(mask["counts"]).__name__}, expected text (compressed run lengths)'
    else:
        try:
            area(mask['counts'], *found)
        except ValueError as error:
            yield f'segmentation with {error}, expected the run lengths of {found[0]} x {found[1]} pixels'


def _area(mask: Mapping) -> int:
    return area(mask['counts'], *mask['size'])


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    # The comparison is false for NaN, and exact for whole numbers that no float can hold.
    largest = sys.float_info.max
    return isinstance(value, int | float) and not isinstance(value, bool) and -largest <= value <= largest
