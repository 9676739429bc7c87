"""What every reader of a foreign format returns: clean records by split, and what was left out."""

from collections import Counter
from typing import Any

from ...structures.masks import has_three_points
from ...utils import UserInputError
from ..annotations import normalize_records
from ..validation import place, validate_record


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
        self._seen: dict[str, set[int]] = {}

    def add(self, split: str, record: dict[str, Any], where: str) -> None:
        """Take a record into a split if it is sound.

        Raises:
            UserInputError: If it is not, and ``skip_bad`` is off.
        """
        if self.mend:
            self._mend(record)
        try:
            validate_record(record, where)
        except UserInputError as error:
            self.skip(error)
        else:
            self.splits.setdefault(split, []).append(record)

    def add_new(self, split: str, record: dict[str, Any], where: str) -> None:
        """As :meth:`add`, for formats in which a ``ref_id`` comes once in a split."""
        seen, ref_id = self._seen.setdefault(split, set()), record.get('ref_id')
        if ref_id is not None and ref_id in seen:
            self.skip(
                UserInputError.of(
                    place(record, where),
                    'a ref_id that is already there',
                    'one record for each',
                    'renumber them',
                )
            )
            return
        seen.add(ref_id)
        self.add(split, record, where)

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
        return self

    def _mend(self, record: dict[str, Any]) -> None:
        mask = record.get('mask')
        if isinstance(mask, list):
            parts = [part for part in mask if has_three_points(part)]
            if parts and len(parts) < len(mask):
                self.mended += len(mask) - len(parts)
                record['mask'] = parts


def count_objects(splits: dict[str, list[dict]]) -> dict[str, Counter]:
    """Per split: ``refs``, ``images``, ``sentences`` and ``masks``, of normalized records.

    Pictures of different ``data_source`` are different even if their numbers are equal.
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
