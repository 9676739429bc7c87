"""Masks that a person drew for a folder of photos: a file beside the annotations, whatever their format.

The annotations stay as they are. An object is known by its image and its box, so that numbering the
annotations anew loses no mask.
"""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...structures.masks import mask_problem
from ...utils import FileLock, UserInputError, dump_json, load_json
from ...utils.errors import short
from ..validation import box_problem, name_problem, size_problem

FILE = 'drawn_masks.json'
FORMAT = 'mmrefseg-drawn-masks-1'
WAIT_SECONDS = 5.0
Key = tuple[str, float, float, float, float]


def object_key(record: Mapping[str, Any]) -> Key:
    """What names an object in the file: its image, and its box to a hundredth of a pixel."""
    return (str(record['file_name']), *(round(float(value), 2) for value in record['bbox']))


class DrawnMasks:
    """The masks of one folder; each change is on the disk before the next.

    Args:
        folder: Of the photos; the file is ``drawn_masks.json`` in it, made with the first mask.

    Raises:
        UserInputError: If the file is there and holds something else.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.path = Path(folder) / FILE
        self._entries = self._read()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, record: Mapping[str, Any]) -> bool:
        return object_key(record) in self._entries

    def mask_of(self, record: Mapping[str, Any]) -> Any:
        """The mask of an object: polygons or run lengths; None if nobody drew one."""
        entry = self._entries.get(object_key(record))
        return None if entry is None else entry['mask']

    def save(self, record: Mapping[str, Any], mask: Any, how: str) -> None:
        """Keep the mask of an object.

        What another process has saved meanwhile stays.

        Args:
            record: The object, normalised.
            mask: Polygons or run lengths, in the image's own frame.
            how: ``'accepted'`` as it was proposed, ``'changed'`` or ``'drawn'`` anew.

        Raises:
            UserInputError: If the mask is none, or another process keeps the file locked.
        """
        height, width = int(record['height']), int(record['width'])
        problem = mask_problem(mask, height, width)
        if problem:
            raise UserInputError.of(str(record['file_name']), *problem)
        entry = {
            'file_name': record['file_name'], 'bbox': list(record['bbox']), 'height': height, 'width': width,
            'mask': mask, 'how': how,
        }  # fmt: skip
        self._change(object_key(record), entry)

    def remove(self, record: Mapping[str, Any]) -> None:
        """Take the mask of an object back; nothing happens if there is none."""
        self._change(object_key(record), None)

    def apply(self, splits: Mapping[str, Sequence[dict]]) -> str:
        """Give the objects of all splits the masks that were drawn for them, instead of those they have.

        Returns:
            What may surprise, for a reader; '' if every mask has found its object.
        """
        used: set[Key] = set()
        for record in (record for records in splits.values() for record in records):
            entry = self._entries.get(object_key(record)) if record.get('file_name') else None
            if entry is not None and not record.get('no_target'):
                if (record['height'], record['width']) != (entry['height'], entry['width']):
                    continue  # another image of that name
                record['mask'] = entry['mask']
                used.add(object_key(record))
        lost = len(self._entries) - len(used)
        return f'{lost} masks of {self.path} fit no object: their image or box has changed' if lost else ''

    def _change(self, key: Key, entry: dict | None) -> None:
        lock = FileLock(self.path.with_name(f'.{FILE}.lock'))
        until = time.monotonic() + WAIT_SECONDS
        while not lock.take():
            if time.monotonic() > until:
                raise UserInputError.of(
                    str(self.path), f'a lock of {lock.holder()}', 'none', 'close the other program'
                )
            time.sleep(0.05)
        try:
            entries = self._read()
            if entry is None:
                entries.pop(key, None)
            else:
                entries[key] = entry
            dump_json({'format': FORMAT, 'masks': list(entries.values())}, self.path)
            self._entries = entries
        finally:
            lock.release()

    def _read(self) -> dict[Key, dict]:
        if not self.path.exists():
            return {}
        content = load_json(self.path)
        if not isinstance(content, dict) or content.get('format') != FORMAT:
            found = short(content.get('format')) if isinstance(content, dict) else short(content)
            raise UserInputError.of(
                str(self.path), f'format {found}', f'masks drawn with the app ({FORMAT})', 'move it away'
            )
        listed = content.get('masks')
        if not isinstance(listed, list):
            raise UserInputError.of(str(self.path), f'masks {short(listed)}', 'a list', 'mend it')
        return {object_key(self._checked(number, entry)): entry for number, entry in enumerate(listed)}

    def _checked(self, number: int, entry: Any) -> dict:
        where = f'{self.path} mask {number}'
        if not isinstance(entry, dict):
            raise UserInputError.of(where, short(entry), 'a dict', 'remove it')
        problem = name_problem(entry.get('file_name')) or size_problem(entry)
        if problem is None:
            size = int(entry['height']), int(entry['width'])
            problem = box_problem(entry.get('bbox'), *size) or mask_problem(entry.get('mask'), *size)
        if problem:
            raise UserInputError.of(where, *problem)
        return entry
