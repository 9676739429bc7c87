"""What to look for in which photo: photos by path, pattern or folder, sentences from a table or the shell.

Nothing of it needs boxes, sizes or a network.
"""

import glob
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..utils import UserInputError, parse_json, read_text
from ..utils.errors import printable, short
from ..utils.files import is_zip
from .csv_table import CsvTable
from .validation import expressions_problem

STDIN = '-'
SUFFIXES = {'.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp'}
UNREAD = {
    '.arw', '.avif', '.cr2', '.cr3', '.dng', '.eps', '.gif', '.heic', '.heif', '.ico', '.jfif', '.jp2',
    '.jxl', '.nef', '.orf', '.pgm', '.psd', '.rw2', '.svg', '.tga', '.xcf',
}  # fmt: skip
"""Endings of pictures that a folder may hold and that are not looked for in it."""
PHOTO_KEYS = ('photo', 'image', 'file_name', 'path')
SENTENCE_KEYS = ('sentence', 'expression', 'text', 'sentences', 'expressions')
LAYOUT = 'rows with photo and sentence'
SPREADSHEETS = {'.ods', '.xls', '.xlsb', '.xlsm', '.xlsx'}
"""Endings of tables that are no text."""


class Wanted(NamedTuple):
    """A photo and the sentences to look for in it (none for a detector)."""

    photo: str
    sentences: tuple[str, ...]


def find_photos(inputs: Sequence[str], option: str = '') -> list[str]:
    """The photos that paths, patterns (``'a/*.jpg'``) and folders name, each once; ``~`` is your home.

    What begins with a dot in a folder is no photo: a Mac leaves a ``._a.png`` beside each ``a.png``.

    Args:
        inputs: In the order wanted; a pattern's and a folder's are sorted. ``-`` stands for itself.
        option: What named them, for a message.

    Raises:
        UserInputError: If one of them names no photo.
    """
    found: list[str] = []
    for given in inputs:
        path = Path(given).expanduser()
        if given == STDIN or path.is_file():
            here = [given if given == STDIN else str(path)]
        elif path.is_dir():
            here = sorted(str(file) for file in _shown(path) if file.suffix.lower() in SUFFIXES)
        else:
            here = sorted(file for file in glob.glob(str(path), recursive=True) if os.path.isfile(file))
        if not here:
            unread = unread_pictures([given])
            what = 'a folder without images' if path.is_dir() else 'no such file'
            what += f' that are read ({unread})' if unread else ''
            expected = "images, a pattern like 'folder/*.jpg' or a folder"
            raise UserInputError.of(f'{option} {given}'.strip(), what, expected, 'check the path')
        found += here
    return list(dict.fromkeys(found))


def unread_pictures(inputs: Sequence[str]) -> str:
    """The pictures in folders that :func:`find_photos` passes over, as they are of a kind that is not read.

    Args:
        inputs: As of :func:`find_photos`.

    Returns:
        How many of which kind, the most first (``'3 .gif, 1 .heic'``); '' if there are none.
    """
    folders = {Path(given).expanduser() for given in inputs if given != STDIN}
    names = (file for folder in folders if folder.is_dir() for file in _shown(folder))
    kinds = Counter(file.suffix.lower() for file in names if file.suffix.lower() in UNREAD)
    return ', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items(), key=_most))


def _most(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _shown(folder: Path) -> Iterator[Path]:
    return (file for file in folder.iterdir() if not file.name.startswith('.'))


def read_rows(source: str, folders: Sequence[str] = ()) -> list[Wanted]:
    """Photos and sentences of a table.

    Args:
        source: A ``.csv`` file with a head of ``photo,sentence``, or a file of json lines such as
            ``{"photo": "a.jpg", "sentence": "left guy"}`` (``sentences`` takes a list); ``-`` reads json
            lines from standard input. ``image``, ``file_name`` and ``path`` serve for ``photo``,
            ``expression`` and ``text`` for ``sentence``.
        folders: Where the photos may lie, before the folder of the table and the current one.

    Returns:
        One entry a photo, in order of first appearance; a sentence that is there twice counts once.

    Raises:
        UserInputError: If the table cannot be read, a quote is not closed, a row lacks photo or sentence, or
            a photo is missing.
    """
    if source != STDIN and (Path(source).suffix.lower() in SPREADSHEETS or is_zip(source)):
        raise UserInputError.of(source, 'a spreadsheet', f'csv or json lines: {LAYOUT}', 'save it as csv')
    content = sys.stdin.read() if source == STDIN else read_text(source, 'a table of photos and sentences')
    name = 'standard input' if source == STDIN else source
    is_csv = Path(source).suffix.lower() in ('.csv', '.tsv')  # the head of one with tabs says what to do
    rows = _csv_rows(content, name) if is_csv else _json_rows(content, name)
    places = [*folders, *([] if source == STDIN else [str(Path(source).parent)]), '.']
    wanted: dict[str, list[str]] = {}
    for where, row in rows:
        photo, sentences = _of_row(row, where)
        wanted.setdefault(_find(photo, places, where), []).extend(sentences)
    if not wanted:
        raise UserInputError.of(name, 'no row', LAYOUT, 'write what to look for')
    return [Wanted(photo, tuple(dict.fromkeys(sentences))) for photo, sentences in wanted.items()]


def _csv_rows(content: str, name: str) -> Iterator[tuple[str, dict]]:
    table = CsvTable(content, name, (*PHOTO_KEYS, *SENTENCE_KEYS), f'csv: {LAYOUT}')
    _check_head(table.columns, name)
    for where, row in table:
        table.check_width(row, where)
        row.pop(None, None)
        yield where, row


def _check_head(columns: Sequence[str], name: str) -> None:
    """See that the first line of a csv, none of an empty one, names columns, with commas between them."""
    if not columns:
        return
    for letter, called in ((';', ';'), ('\t', 'a tab')):
        if len(columns) == 1 and letter in columns[0]:
            raise UserInputError.of(
                name, f'{called} between columns', 'commas, as in photo,sentence', 'save it with commas'
            )
    # Capitals are not read, but they are a head: its row says which columns there are.
    if not {column.strip().lower() for column in columns} & {*PHOTO_KEYS, *SENTENCE_KEYS}:
        raise UserInputError.of(name, 'no head', 'the first line photo,sentence', 'add it')


def _json_rows(content: str, name: str) -> Iterator[tuple[str, dict]]:
    for number, line in enumerate(content.removeprefix('\ufeff').split('\n'), 1):
        if line.strip():
            where = f'{name} line {number}'
            yield where, parse_json(line, where, 'a json object', 'write {"photo": ..., "sentence": ...}')


def _of_row(row: object, where: str) -> tuple[str, list[str]]:
    if not isinstance(row, dict):
        raise UserInputError.of(where, short(row), LAYOUT, 'write {"photo": ..., "sentence": ...}')
    photo = next((row[key] for key in PHOTO_KEYS if row.get(key)), None)
    sentences = next((row[key] for key in SENTENCE_KEYS if row.get(key)), None)
    for kind, value in (('photo', photo), ('sentence', sentences)):
        if value is None:
            columns = ', '.join(str(key) for key in list(row)[:6]) or 'none'
            raise UserInputError.of(
                where, f'no {kind} (columns: {printable(columns)[:100]})', LAYOUT, f'add the {kind}'
            )
    if not isinstance(photo, str):
        raise UserInputError.of(where, f'photo {short(photo)}', 'the name of a file', 'mend it')
    listed = [sentences] if isinstance(sentences, str) else sentences
    problem = expressions_problem(listed) if isinstance(listed, list) else None
    if problem or not isinstance(listed, list):
        raise UserInputError.of(where, *(problem or (short(listed), 'a sentence', 'write one')))
    return photo, [text.strip() for text in listed]


def _find(photo: str, places: Sequence[str], where: str) -> str:
    for place in places:
        path = os.path.join(place, os.path.expanduser(photo))
        if '\0' not in path and os.path.isfile(path):
            return os.path.normpath(path)
    raise UserInputError.of(
        where,
        f'no photo {short(photo)}',
        'a file, below the folder given or beside the table',
        'mend its name',
    )
