"""What every reader of a foreign format returns, and how many objects the published files have."""

import os
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from ...structures.boxes import box_union
from ...structures.masks import bounds
from ...structures.polygons import has_three_points
from ...utils import UserInputError
from ..annotations import load_annotation_file, normalize_records
from ..coco import boxes as coco_boxes
from ..validation import box_problem, named, validate_record


class Conversion:
    """Collects records of the working format while a foreign file is read.

    Args:
        skip_bad: Count and list bad records instead of stopping at the first.
        mend: Drop the parts of a mask that have fewer than 3 points where other parts remain.
    """

    def __init__(self, skip_bad: bool = False, mend: bool = False) -> None:
        self.skip_bad = skip_bad
        self.mend = mend
        self.splits: dict[str, list[dict]] = {}
        self.skipped: list[str] = []
        self.mended = 0
        self.remarks: list[str] = []
        self._seen: dict[str, set[int]] = {}

    def add(self, split: str, record: dict[str, Any], where: str) -> None:
        """Take a record into a split if it is sound.

        Raises:
            UserInputError: If it is not, and ``skip_bad`` is off.
        """
        if self._is_sound(record, where):
            self.splits.setdefault(split, []).append(record)

    def add_new(self, split: str, record: dict[str, Any], where: str) -> None:
        """As :meth:`add`, for formats in which a ``ref_id`` comes once in a split."""
        if not self._is_sound(record, where):
            return
        seen, ref_id = self._seen.setdefault(split, set()), record.get('ref_id')
        if ref_id is not None and ref_id in seen:
            self.skip(
                UserInputError.of(
                    named(record, where),
                    'a ref_id that is already there',
                    'one record for each',
                    'renumber them',
                )
            )
            return
        seen.add(ref_id)
        self.splits.setdefault(split, []).append(record)

    def _is_sound(self, record: dict[str, Any], where: str) -> bool:
        if self.mend:
            self._mend(record)
        try:
            validate_record(record, where)
        except UserInputError as error:
            self.skip(error)
            return False
        return True

    def skip(self, error: UserInputError) -> None:
        """Note an error, or raise it if ``skip_bad`` is off."""
        if not self.skip_bad:
            raise error
        self.skipped.append(str(error))

    def finish(self, where: str) -> 'Conversion':
        """Merge and number the records of each split.

        Raises:
            UserInputError: If nothing is left or two objects share a ``ref_id``.
        """
        if not any(self.splits.values()):
            tail = f' ({len(self.skipped)} bad ones were skipped)' if self.skipped else ''
            raise UserInputError.of(where, f'no records{tail}', 'at least one', 'check the source')
        for split, records in self.splits.items():
            self.splits[split] = normalize_records(records, f'{where} [{split}]', self.skip)
        everything = [record for records in self.splits.values() for record in records]
        self.remarks = [f'{where}: {remark}' for remark in disagreements(everything)]
        return self

    def _mend(self, record: dict[str, Any]) -> None:
        mask = record.get('mask')
        if isinstance(mask, list):
            parts = [part for part in mask if has_three_points(part)]
            if parts and len(parts) < len(mask):
                self.mended += len(mask) - len(parts)
                record['mask'] = parts


def disagreements(records: list[dict]) -> list[str]:
    """What boxes and masks of sound records say against one another; nothing where they agree.

    A box is taken as it is, but one of corners [x1, y1, x2, y2] passes every other check.
    """
    both = [record for record in records if record.get('mask') is not None and not record.get('no_target')]
    sizes = np.array([(record['width'], record['height']) for record in both], np.float64).reshape(-1, 2)
    outlines = [bounds(record['mask'], int(record['height']), int(record['width'])) for record in both]
    boxes = coco_boxes.read_boxes([record['bbox'] for record in both], np.reshape(outlines, (-1, 4)), sizes)
    if boxes.remark:
        return [f'{boxes.remark}; they were kept as they are']
    count, first = int(boxes.disagree.sum()), int(boxes.disagree.argmax()) if len(both) else 0
    if not count:
        return []
    example = f'the first is ref_id {both[first]["ref_id"]}'
    return [f'boxes and masks of {count} of {len(both)} objects disagree (IoU below 0.5; {example})']


def read_boxes(box: Any, height: int, width: int, where: str) -> dict[str, Any]:
    """The fields of what may be several boxes of one sentence: ``bbox`` around all, and ``boxes``, each.

    Args:
        box: [x, y, width, height], or a list of such, or None.
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        where: File and line, for messages.

    Raises:
        UserInputError: If one of several boxes is wrong; a single one is looked at later.
    """
    if not isinstance(box, list) or not box or not all(isinstance(each, list) for each in box):
        return {'bbox': box}
    if len(box) == 1:
        return {'bbox': box[0]}
    for each in box:
        problem = box_problem(each, height, width)
        if problem:
            raise UserInputError.of(where, *problem)
    return {'bbox': box_union(box), 'boxes': box}


def count_objects(splits: dict[str, list[dict]]) -> dict[str, Counter]:
    """Per split: ``refs``, ``images``, ``sentences`` and ``masks``, of normalized records.

    Images of different ``data_source`` are different even if their numbers are equal.
    """
    counts = {}
    for split, records in splits.items():
        counts[split] = Counter(
            refs=len(records),
            images=len({(record.get('data_source'), record['image_id']) for record in records}),
            sentences=sum(len(record['expressions']) for record in records),
            masks=sum(record.get('mask') is not None for record in records),
        )
    return counts


def read_instances(path: str | os.PathLike, skip_bad: bool = False, mend: bool = False) -> Conversion:
    """Read all splits of a file of the working format (SeqTR's and Partial-RES's ``instances.json`` too).

    Raises:
        UserInputError: If the file or a record is wrong.
    """
    conversion = Conversion(skip_bad, mend)
    for split, records in load_annotation_file(path).items():
        for index, record in enumerate(records):
            conversion.add(split, record, f'{path} [{split}] record {index}')
    return conversion.finish(str(path))


class Size(NamedTuple):
    """Number of referred objects, images and sentences of a split."""

    refs: int
    images: int
    sentences: int


# Counted in the official files; images and sentences as in the papers of UNC, UMD and Google.
PUBLISHED: dict[str, dict[str, Size]] = {
    'refcoco-unc': {
        'train': Size(42404, 16994, 120624),
        'val': Size(3811, 1500, 10834),
        'testA': Size(1975, 750, 5657),
        'testB': Size(1810, 750, 5095),
    },
    'refcocoplus-unc': {
        'train': Size(42278, 16992, 120191),
        'val': Size(3805, 1500, 10758),
        'testA': Size(1975, 750, 5726),
        'testB': Size(1798, 750, 4889),
    },
    'refcocog-umd': {
        'train': Size(42226, 21899, 80512),
        'val': Size(2573, 1300, 4896),
        'test': Size(5023, 2600, 9602),
    },
    'refcocog-google': {'train': Size(44822, 24698, 85474), 'val': Size(5000, 4650, 9536)},
}


class Comparison(NamedTuple):
    """One number of a split, as published and as found."""

    split: str
    quantity: str
    expected: int
    found: int

    @property
    def equal(self) -> bool:
        """Whether the file has as many as were published."""
        return self.expected == self.found


def compare_counts(
    splits: dict[str, list[dict]], dataset: str, only: list[str] | None = None
) -> list[Comparison]:
    """Compare normalized records with the published sizes.

    Args:
        splits: Records by split. Splits that were never published are not looked at.
        dataset: A key of :data:`PUBLISHED`.
        only: The splits to compare; all published ones by default, a missing one counting as 0.

    Raises:
        UserInputError: If the data set or a split is not in the table.
    """
    if dataset not in PUBLISHED:
        raise UserInputError.of('dataset', repr(dataset), f'one of {sorted(PUBLISHED)}', 'choose one of them')
    published = PUBLISHED[dataset]
    for split in only or ():
        if split not in published:
            raise UserInputError.of(
                dataset, f'split {split!r}', f'one of {list(published)}', 'choose one of them'
            )
    counts = count_objects(splits)
    return [
        Comparison(split, quantity, expected, counts[split][quantity] if split in counts else 0)
        for split, size in published.items()
        if not only or split in only
        for quantity, expected in size._asdict().items()
    ]


def format_comparison(rows: list[Comparison]) -> str:
    """A table for people: one line a number, the differing ones marked."""
    lines = [f'{"split":<8}{"":<11}{"published":>10}{"found":>10}']
    for row in rows:
        mark = '' if row.equal else f'  differs by {row.found - row.expected:+d}'
        lines.append(f'{row.split:<8}{row.quantity:<11}{row.expected:>10}{row.found:>10}{mark}')
    return '\n'.join(lines)
