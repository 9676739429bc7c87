"""Data sets of the RefCOCO family as Hugging Face keeps them: parquet and arrow files on this disk.

Nobody has settled the names of the columns. What is known here: lmms-lab's (``answer``, ``segmentation``,
``bbox``), jxu124's (``sentences``, ``raw_anns``, ``raw_image_info``), RefCOCO-M's (``samples`` with
``sentences``, ``mask``, ``bbox``), Ref-L4's (``caption``, ``bbox``, ``file_name``), and what is called alike.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...structures.masks import Mask
from ...structures.rle import encode_mask
from ...utils import UserInputError, atomic_write, parse_json
from ...utils.errors import short
from ..images import encoded_size, name_below
from ..validation import name_problem
from .conversion import Conversion
from .image_finder import ImageFinder
from .mask_images import decode_mask_image
from .regions import (
    TEXT_FIELDS,
    ImportOptions,
    Region,
    RegionCollector,
    known_as,
    lines_of,
    sentences_of,
    whole_or_none,
)
from .shapes import SUFFIXES

IMAGE = ('image', 'images', 'img', 'raw_image')
FILE_NAME = ('file_name', 'filename', 'image_name', 'image_path', 'img_path', 'image_file')
BOX = ('bbox', 'box', 'bboxes', 'boxes', 'solution')
MASK = ('segmentation', 'mask', 'masks', 'rle', 'seg')
OBJECTS = ('samples', 'objects', 'instances', 'annotations', 'refs')
LABEL = ('category', 'category_name', 'label', 'class')
# Columns of sentences beside those of every format.
TEXT = (*TEXT_FIELDS, 'answer', 'raw_sentences', 'refs', 'sent', 'query', 'problem')
BOX_FORMS = ('xywh', 'xyxy')
SPLIT_NAMES = {'validation': 'val', 'valid': 'val', 'testa': 'testA', 'testb': 'testB'}
_SPLIT = re.compile(
    r'(?:^|[-_./])(train|validation|valid|val|test[-_]?a|test[-_]?b|test)(?=$|[-_./])', re.IGNORECASE
)
_ROWS = 64
INSTALL = 'pip install "mmrefseg[huggingface]"'


def read_hugging_face(
    path: str | os.PathLike,
    images: str | os.PathLike | None = None,
    save_images: str | os.PathLike | None = None,
    options: ImportOptions | None = None,
    box_form: str = 'xywh',
) -> Conversion:
    """Read the parquet and arrow files of a data set; nothing is downloaded.

    A row is an object, or an image with a list of objects (``samples``, ``objects``). Rows with the same
    image, box and mask are sentences of one object. A column ``split``, or else the name of a file or folder,
    names the split (``validation`` is ``val``).

    Args:
        path: A file, or a folder with such files at any depth (a snapshot, or what ``save_to_disk`` writes).
        images: Folder of the images, where the rows only name them.
        save_images: Folder to write the images to that the rows hold.
        options: See :class:`~mmrefseg.datasets.converters.regions.ImportOptions`.
        box_form: What the four numbers of a box are: ``xywh`` (COCO) or ``xyxy``. A box of ``raw_anns`` is
            COCO's.

    Raises:
        UserInputError: If pyarrow is not installed, there are no such files, or a row is wrong.
    """
    if box_form not in BOX_FORMS:
        raise UserInputError.of('--box-form', repr(box_form), f'one of {BOX_FORMS}', 'choose one')
    collector = RegionCollector(options or ImportOptions())
    reader = RowReader(ImageFinder(images), save_images, collector, box_form)
    for file in _files(Path(path)):
        for number, row in enumerate(_rows(file)):
            reader.read(row, _split_of(file, Path(path)), f'{file} row {number}')
    return collector.finish(str(path))


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    files = sorted(
        each for each in path.rglob('*') if each.suffix in ('.parquet', '.arrow') and each.is_file()
    )
    files = [each for each in files if not each.name.startswith(('cache-', '.'))]
    if not files:
        raise UserInputError.of(
            str(path), 'no parquet or arrow files', 'a data set of Hugging Face', 'check the path'
        )
    return files


def _split_of(file: Path, root: Path) -> str | None:
    """The split by the name of a file or, from the innermost on, of a folder."""
    below = file.relative_to(root).with_suffix('') if file != root else Path(file.stem)
    for part in reversed(below.parts):
        found = _SPLIT.findall(part)
        if found:
            return _known_split(found[-1])
    return None


def _known_split(name: str) -> str:
    name = name.strip()
    key = re.sub('[-_ ]', '', name.lower())
    return SPLIT_NAMES.get(key, key if key in ('train', 'val', 'test') else name)


def _rows(path: Path) -> Iterator[dict]:
    """The rows of a file, a few in memory at a time."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserInputError.of(
            'pyarrow', 'no such package', 'it, to read parquet and arrow files', INSTALL
        ) from None
    try:
        if path.suffix == '.arrow':
            yield from _arrow_rows(pyarrow, path)
            return
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_ROWS):
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        if isinstance(error, UserInputError):
            raise
        reason = ' '.join(str(error).split())[:120]
        raise UserInputError.of(
            str(path), f'a file that cannot be read ({reason})', 'a parquet or arrow file', 'get it again'
        ) from None


def _arrow_rows(pyarrow: Any, path: Path) -> Iterator[dict]:
    """The rows of an arrow file: ``save_to_disk`` writes streams, others files."""
    with pyarrow.memory_map(str(path)) as source:
        try:
            reader = pyarrow.ipc.open_stream(source)
            batches: Any = iter(reader)
        except pyarrow.ArrowInvalid:
            reader = pyarrow.ipc.open_file(source)
            batches = (reader.get_batch(index) for index in range(reader.num_record_batches))
        for batch in batches:
            for start in range(0, batch.num_rows, _ROWS):
                yield from batch.slice(start, _ROWS).to_pylist()


class RowReader:
    """Makes regions of rows, whatever library has read them.

    Args:
        finder: Of images that rows only name.
        save_images: Folder to write the images to that rows hold; None to leave them.
        collector: Takes the regions.
        box_form: One of :data:`BOX_FORMS`.
    """

    def __init__(
        self,
        finder: ImageFinder,
        save_images: str | os.PathLike | None,
        collector: RegionCollector,
        box_form: str = 'xywh',
    ) -> None:
        self.finder, self.collector, self.box_form = finder, collector, box_form
        self.folder = None if save_images is None else Path(save_images)
        self._saved: dict[str, str] = {}

    def read(self, row: Mapping[str, Any], split: str | None, where: str) -> None:
        """Hand the objects of a row to the collector.

        Args:
            row: Columns by name; values are plain, images ``{'bytes', 'path'}``.
            split: By the name of the file.
            where: File and row, for messages.

        Raises:
            UserInputError: If it is wrong, unless the collector skips what is bad.
        """
        try:
            said = row.get('split')
            split = _known_split(said) if isinstance(said, str) and said.strip() else split
            name, size = self._image(row, where)
            for number, item in enumerate(_objects(row)):
                region = self._region({**row, **item}, name, size, f'{where} object {number}')
                region.split = split
                self.collector.add(region)
        except UserInputError as error:
            self.collector.skip(error)

    def _image(self, row: Mapping[str, Any], where: str) -> tuple[str, tuple[int, int]]:
        value = next((row[key] for key in IMAGE if row.get(key) is not None), None)
        value = value[0] if isinstance(value, list) and value else value
        content = value.get('bytes') if isinstance(value, Mapping) else value
        path = value.get('path') if isinstance(value, Mapping) else value
        info = _plain(row.get('raw_image_info'), where)
        info = info if isinstance(info, Mapping) else {}
        candidates = [row.get(key) for key in FILE_NAME] + [path, info.get('file_name')]
        # The row's own image: jxu124's file_name has the number of the annotation, too.
        if 'image_path' in row:
            candidates.insert(0, row['image_path'])
        names = [each for each in candidates if isinstance(each, str) and each]
        if not isinstance(content, bytes):
            if not names:
                raise UserInputError.of(
                    where, 'no image', 'a column image or file_name', 'check the data set'
                )
            problem = name_problem(names[0])
            if problem:
                raise UserInputError.of(where, *problem)
            name = self.finder.find(names, where)
            said = [row.get(key, info.get(key)) for key in ('height', 'width')]
            return name, self.finder.size(name, (said[0], said[1]), where)
        size = encoded_size(content, where)
        return self._save(content, names, where), size

    def _save(self, content: bytes, names: list[str], where: str) -> str:
        """The name of an image that the row holds, written if a folder is given."""
        digest = hashlib.sha256(content).hexdigest()
        if digest in self._saved:
            return self._saved[digest]
        name = names[0].replace('\\', '/').rpartition('/')[2] if names else f'{digest[:16]}{_suffix(content)}'
        if not name.lower().endswith(SUFFIXES):
            name += _suffix(content)
        name = name_below(self.folder or 'images', name, where)
        if name in self._saved.values():
            name = f'{digest[:8]}_{name}'
        self._saved[digest] = name
        if self.folder is not None:
            with atomic_write(self.folder / name, 'wb') as file:
                file.write(content)
        return name

    def _region(self, row: Mapping[str, Any], name: str, size: tuple[int, int], where: str) -> Region:
        options = self.collector.options
        label = next(filter(None, (known_as(row.get(key)) for key in LABEL)), None)
        raw = _plain(row.get('raw_anns'), where)
        raw = raw if isinstance(raw, Mapping) else {}
        mask = _mask(
            next((row[key] for key in MASK if row.get(key) is not None), raw.get('segmentation')), where
        )
        box = raw.get('bbox')
        if box is None:
            box = _box(
                next((row[key] for key in BOX if row.get(key) is not None), None), self.box_form, where
            )
        texts = sentences_of(row, options.text_field, where, label)
        for key in () if options.text_field else TEXT:
            texts = texts or lines_of(_plain(row.get(key), where), where)
        if mask is None and box is None:
            raise UserInputError.of(
                where, 'neither a box nor a mask', f'a column of {BOX + MASK}', 'check the data set'
            )
        region = Region(name, size, where, label, mask, box, texts)
        region.category_id = whole_or_none(row.get('category_id', raw.get('category_id')))
        region.image_id = whole_or_none(row.get('image_id', raw.get('image_id')))
        region.group = json.dumps([box, mask], default=str)
        return region


def _suffix(content: bytes) -> str:
    return '.png' if content.startswith(b'\x89PNG') else '.webp' if content[8:12] == b'WEBP' else '.jpg'


def _objects(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The objects of a row: a list of them, lists of their fields, or the row itself."""
    for key in OBJECTS:
        value = row.get(key)
        items = value if isinstance(value, list) and all(isinstance(each, Mapping) for each in value) else []
        if any(set(each) & {*BOX, *MASK} for each in items):
            return items
        if isinstance(value, Mapping):
            columns = {name: column for name, column in value.items() if isinstance(column, list)}
            lengths = {len(column) for column in columns.values()}
            if set(columns) & {*BOX, *MASK} and len(lengths) == 1:
                return [{name: columns[name][place] for name in columns} for place in range(lengths.pop())]
    return [{}]


def _plain(value: Any, where: str) -> Any:
    """A value; of a text that is json's for a list or an object, what it holds."""
    if isinstance(value, str) and value.lstrip()[:1] in ('[', '{'):
        return parse_json(value, where, 'json', 'write it again')
    return value


def _mask(value: Any, where: str) -> Mask | None:
    """A mask as polygons or run lengths."""
    value = _plain(value, where)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], Mapping):
        value = value[0]
    content = value.get('bytes') if isinstance(value, Mapping) and 'bytes' in value else value
    if isinstance(content, bytes):
        return encode_mask(decode_mask_image(content, f'{where} mask'))
    if isinstance(value, Mapping):
        counts = value.get('counts')
        counts = counts.decode('ascii', 'replace') if isinstance(counts, bytes) else counts
        return {'size': value.get('size'), 'counts': counts}
    if not isinstance(value, list) or not value:
        return None
    if all(isinstance(each, int | float) for each in value):
        return [[float(each) for each in value]]
    if all(isinstance(row, list) and row and set(map(type, row)) <= {int, bool} for row in value):
        rows = {len(row) for row in value}
        if len(rows) == 1 and {each for row in value for each in row} <= {0, 1}:
            return encode_mask(np.array(value, bool))
    return value


def _box(value: Any, form: str, where: str) -> list[float] | None:
    value = _plain(value, where)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        value = value[0]
    if value is None:
        return None
    numbers = isinstance(value, list) and len(value) == 4
    if not numbers or not all(isinstance(each, int | float) and abs(each) < 1e9 for each in value):
        raise UserInputError.of(where, f'the box {short(value)}', 'four numbers', 'check the data set')
    x, y, a, b = (float(each) for each in value)
    return [x, y, a, b] if form == 'xywh' else [x, y, a - x, b - y]
