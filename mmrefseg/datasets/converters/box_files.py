"""Formats that hold boxes and sentences: SimREC / MCN json (masks apart) and csv."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from ...structures.rle import encode_mask
from ...utils import UserInputError, load_json, parse_json, read_text
from ...utils.arrays import load_npy
from ..csv_table import CsvTable
from ..images import ImageSizes
from ..validation import ID, WHOLE, Kind, fields_problem, is_whole
from .conversion import Conversion

# COCO's 80 categories have numbers up to 90; SimREC counts them from 0 without gaps.
COCO_CATEGORY_IDS = tuple(sorted(set(range(1, 91)) - {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}))
SIMREC_KEYS = {'iid', 'bbox', 'cat_id', 'refs', 'mask_id'}
_CATEGORY = Kind(
    lambda value: is_whole(value) and 0 <= value < len(COCO_CATEGORY_IDS), 'a number from 0 to 79'
)
CSV_KEYS = {'ref_id', 'img_id', 'sent_id', 'sent', 'bbox'}


def read_simrec(
    path: str | os.PathLike,
    sizes: ImageSizes,
    mask_folder: str | os.PathLike | None = None,
    skip_bad: bool = False,
) -> Conversion:
    """Read SimREC's (and MCN's, RefTeacher's, SemiRES's) ``refcoco.json``.

    ``mask_id`` is RefCOCO's ref_id. Sentences have no numbers there, so they get made-up ones.

    Args:
        path: The json file.
        sizes: Where the sizes of the images come from.
        mask_folder: Folder of ``<mask_id>.npy`` bitmaps; without it the records have boxes only.
        skip_bad: Count and list bad records instead of stopping.

    Raises:
        UserInputError: If a file or a record is wrong.
    """
    conversion = Conversion(skip_bad)
    splits = load_json(path)
    if not isinstance(splits, dict) or not all(isinstance(entries, list) for entries in splits.values()):
        raise UserInputError.of(str(path), 'no dict of splits', 'SimREC json', 'give the right file')
    for split, entries in splits.items():
        for index, entry in enumerate(entries):
            where = f'{path} [{split}] entry {index}'
            try:
                record = _simrec_record(entry, sizes, mask_folder, where)
            except UserInputError as error:
                conversion.skip(error)
            else:
                conversion.add(split, record, where)
    return conversion.finish(str(path))


def _simrec_record(entry: Any, sizes: ImageSizes, mask_folder: str | os.PathLike | None, where: str) -> dict:
    if not isinstance(entry, dict) or not entry.keys() >= SIMREC_KEYS:
        raise UserInputError.of(
            where, 'an entry of other keys', f'{sorted(SIMREC_KEYS)}', 'give the right file'
        )
    problem = fields_problem(entry, {'iid': ID, 'cat_id': _CATEGORY, 'mask_id': WHOLE})
    if problem:
        raise UserInputError.of(where, *problem)
    category = entry['cat_id']
    if category is None:
        raise UserInputError.of(where, 'no cat_id', _CATEGORY.expected, 'check the entry')
    record = {'image_id': entry['iid'], 'bbox': entry['bbox'], 'category_id': COCO_CATEGORY_IDS[category]}
    record['height'], record['width'] = sizes(record, where)
    if mask_folder is not None:
        record['mask'] = _bitmap(Path(mask_folder) / f'{entry["mask_id"]}.npy')
    record.update(expressions=entry['refs'], ref_id=entry['mask_id'])
    return record


def _bitmap(path: Path) -> dict:
    array = np.squeeze(load_npy(path, 'a bitmap'))
    if array.ndim != 2 or array.dtype.kind not in 'biuf':
        raise UserInputError.of(
            str(path),
            f'an array of shape {array.shape} and type {array.dtype}',
            'numbers (height, width)',
            'check the masks',
        )
    return encode_mask(array)


def read_boxes_csv(
    paths: dict[str, str | os.PathLike], sizes: ImageSizes, skip_bad: bool = False
) -> Conversion:
    """Read boxes and sentences from csv files with the columns ``ref_id, img_id, sent_id, sent, bbox``.

    Args:
        paths: One file per split. ``bbox`` is "[x, y, width, height]".
        sizes: Where the sizes of the images come from.
        skip_bad: Count and list bad records instead of stopping.

    Raises:
        UserInputError: If a file or a record is wrong.
    """
    conversion = Conversion(skip_bad)
    for split, path in paths.items():
        table = _table(path)
        for where, row in table:
            try:
                table.check_width(row, where)
                record = _csv_record(row, sizes, where)
            except UserInputError as error:
                conversion.skip(error)
            else:
                conversion.add(split, record, where)
    return conversion.finish(', '.join(map(str, paths.values())))


def _table(path: str | os.PathLike) -> CsvTable:
    table = CsvTable(read_text(path, 'a csv file'), str(path), CSV_KEYS, 'a csv file')
    if not set(table.columns) >= CSV_KEYS:
        raise UserInputError.of(
            str(path), f'the columns {table.columns}', f'{sorted(CSV_KEYS)}', 'name them in the first line'
        )
    return table


def _csv_record(row: dict[str, str], sizes: ImageSizes, where: str) -> dict[str, Any]:
    try:
        record = {
            'image_id': int(row['img_id']),
            'bbox': parse_json(row['bbox'], where, '[x, y, width, height]', 'mend the box'),
            'expressions': [row['sent']],
            'category_id': int(row.get('category_id') or 0),
            'ref_id': int(row['ref_id']),
            'sent_ids': [int(row['sent_id'])],
        }
    except UserInputError:
        raise
    except (ValueError, TypeError) as error:
        raise UserInputError.of(
            where, f'a value that is no number ({error})', 'ids and a box', 'mend it'
        ) from None
    record['height'], record['width'] = sizes(record, where)
    return record
