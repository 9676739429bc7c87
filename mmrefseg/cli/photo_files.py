"""The names of the files of ``mmrefseg predict`` in a folder that earlier runs may have written to."""

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..datasets.photo_sentences import STDIN
from ..utils import UserInputError, load_json
from ..utils.errors import printable

LONGEST_SLUG = 40
DESCRIPTION = 'predictions of mmrefseg'
"""``info.description`` of what :class:`mmrefseg.apis.prediction.CocoWriter` writes."""

Owner = tuple[str, str | None]
"""The whole path of a photo, and a sentence (None: all objects of the photo)."""


class PhotoFiles:
    """Names files by photo and sentence; those of the same photo and sentence alone are given again.

    Whose each file is stands in ``predictions.json``, from run to run: two photos of two folders may have one
    name, and so may a photo ``a_b`` with the sentence ``c`` and a photo ``a`` with ``b c``.

    Args:
        folder: Of the output.

    Raises:
        UserInputError: If it has a ``predictions.json`` that is none of this package.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        self.path = self.folder / 'predictions.json'
        self._owners: dict[str, Owner] = {}
        if os.path.lexists(self.path):
            self._owners = dict(_owners_of(load_predictions(self.path)))
        self._names: dict[Owner, list[str]] = {}
        for name, owner in self._owners.items():
            self._names.setdefault(owner, []).append(name)
        self._used: set[str] = set()

    def name(self, photo: str, sentence: str | None, digest: str = '') -> str:
        """The name of the files of a sentence, or of all objects of a photo (None), without their ending.

        It is the one of an earlier run for the same, else one that no file has.

        Args:
            photo: Its path.
            sentence: What was looked for.
            digest: Of the photo's pixels; tells apart what came through standard input.
        """
        owner = (_identity(photo, digest), sentence)
        own = (name for name in self._names.get(owner, ()) if name.casefold() not in self._used)
        stem = _stem(photo)
        base = stem if sentence is None else f'{stem}_{slug(sentence)}'.strip('_')
        name = next(own, None) or next(name for name in _numbered(base) if self._is_free(name))
        self._used.add(name.casefold())
        self._owners[name] = owner
        return name

    def left(self, photo: str, sentences: Iterable[str | None], digest: str = '') -> list[str]:
        """The names of an earlier run for a photo and any of these sentences that this run has not given."""
        owners = [(_identity(photo, digest), sentence) for sentence in sentences]
        names = [name for owner in owners for name in self._names.get(owner, ())]
        return [name for name in names if name.casefold() not in self._used]

    def owners(self) -> dict[str, dict[str, str]]:
        """Whose the files are that are there, for ``predictions.json``."""
        there = {name: owner for name, owner in self._owners.items() if self._is_there(name)}
        return {
            name: {'photo': photo} | ({} if sentence is None else {'sentence': sentence})
            for name, (photo, sentence) in there.items()
        }

    def _is_free(self, name: str) -> bool:
        return name.casefold() not in self._used and not self._is_there(name)

    def _is_there(self, name: str) -> bool:
        return any(
            os.path.lexists(self.folder / file) for file in (f'masks/{name}.png', f'overlays/{name}.jpg')
        )


def load_predictions(path: Path) -> dict[str, Any]:
    """What an earlier run has written.

    Raises:
        UserInputError: If it is another file.
    """
    try:
        content = load_json(path)
    except UserInputError:  # whatever it is, it was not written here
        content = None
    info = content.get('info') if isinstance(content, dict) else None
    if not isinstance(info, dict) or info.get('description') != DESCRIPTION:
        raise UserInputError.of(
            str(path),
            'a file that mmrefseg predict has not written',
            'none, or that of an earlier run',
            'name another --out, or move the file',
        )
    return content


def _identity(photo: str, digest: str) -> str:
    return f'{STDIN}{digest}' if photo == STDIN else os.path.realpath(photo)


def _owners_of(content: Mapping[str, Any]) -> Iterator[tuple[str, Owner]]:
    files = content.get('files')
    for name, owner in files.items() if isinstance(files, dict) else ():
        if isinstance(owner, dict) and isinstance(owner.get('photo'), str) and Path(name).name == name:
            sentence = owner.get('sentence')
            yield name, (owner['photo'], sentence if isinstance(sentence, str) else None)


def _numbered(base: str) -> Iterator[str]:
    """The name, then with a number."""
    yield base
    number = 2
    while True:
        yield f'{base}_{number}'
        number += 1


def _stem(photo: str) -> str:
    """A photo's part in the names of its files, without what would break a line."""
    if photo == STDIN:
        return 'stdin'
    return ''.join(letter if printable(letter) == letter else '-' for letter in Path(photo).stem)


def slug(text: str) -> str:
    """A sentence as a part of a file name.

    >>> slug('The man, left of the DOG!')
    'the-man-left-of-the-dog'
    """
    plain = unicodedata.normalize('NFKC', text).lower()
    return re.sub(r'[^\w]+', '-', plain).strip('-')[:LONGEST_SLUG].rstrip('-')
