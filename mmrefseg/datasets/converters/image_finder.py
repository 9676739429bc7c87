"""Which of the images of a folder a labelling tool's file means, and how large it is.

Tools write a name as it was on the machine that they ran on: with another folder before it, a drive, an
address, a prefix of an upload. What they mean is the image of that name that is there.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ...utils import UserInputError
from ..images import name_below, read_size
from ..validation import size_problem
from .shapes import SUFFIXES


def image_files(folder: Path) -> Iterator[Path]:
    """The images below a folder, by their endings, in the order of their names; hidden ones are passed
    over."""
    for path in sorted(folder.rglob('*')):
        hidden = any(part.startswith('.') for part in path.relative_to(folder).parts)
        if path.suffix.lower() in SUFFIXES and not hidden and path.is_file():
            yield path


class ImageFinder:
    """Finds the images that files of annotations name.

    Args:
        folder: Of the images; None if they are not at hand. Then a file must say how large they are.
        option: What named the folder, for messages.

    Raises:
        UserInputError: If there is no such folder.
    """

    def __init__(self, folder: str | os.PathLike | None, option: str = '--images') -> None:
        if folder is not None and not os.path.isdir(folder):
            raise UserInputError.of(
                option, f'no folder {folder}', 'the folder of the images', 'check the path'
            )
        self.folder = None if folder is None else Path(folder)
        self._by_name: dict[str, list[str]] | None = None
        self._sizes: dict[str, tuple[int, int]] = {}

    def find(self, names: Iterable[str], where: str) -> str:
        """The image that one of some names means, relative to the folder.

        A name is tried as it is, then its last part anywhere below the folder if one image only has it.

        Args:
            names: The most likely first.
            where: File and entry, for messages.

        Returns:
            The name of an image that is there. If none is, or there is no folder, the first of the names.

        Raises:
            UserInputError: If a name is none of a file below the folder, or several images have it.
        """
        names = [name.replace('\\', '/') for name in names]
        if self.folder is None:
            return name_below('', names[0].lstrip('/'), where)
        for name in names:
            plain = name_below(self.folder, self._relative(name), where)
            if os.path.isfile(self.folder / plain):
                return plain
        for name in names:
            last = name.rpartition('/')[2]
            same = self._index().get(last.lower(), [])
            if len(same) > 1:
                raise UserInputError.of(
                    where, f'the image {last!r}, of which {self.folder} has {len(same)}', 'one', 'rename them'
                )
            if same:
                return same[0]
        return name_below(self.folder, self._relative(names[0]), where)

    def size(self, name: str, said: tuple[Any, Any], where: str) -> tuple[int, int]:
        """(height, width) of an image that :meth:`find` has named.

        Args:
            name: Relative to the folder.
            said: (height, width) by the file of annotations; None in it for unknown.
            where: File and entry, for messages.

        Raises:
            UserInputError: If the image is missing and nothing says its size, or is another size than it
                says.
        """
        known = None not in said
        problem = size_problem({'height': said[0], 'width': said[1]}) if known else None
        if problem:
            raise UserInputError.of(where, *problem)
        said = (int(said[0]), int(said[1])) if known else said
        if self.folder is None or (known and not os.path.isfile(self.folder / name)):
            if not known:
                raise UserInputError.of(where, 'no height and width', 'the size of the image', 'add --images')
            return said
        if name not in self._sizes:
            self._sizes[name] = read_size(self.folder / name, where)
        size = self._sizes[name]
        if known and said != size:
            raise UserInputError.of(
                where,
                f'an image of {said[1]} x {said[0]} pixels',
                f'{size[1]} x {size[0]} as {name} has',
                'use the image that was labelled',
            )
        return size

    def _relative(self, name: str) -> str:
        """A name without the folder or the drive of another machine."""
        if name.startswith('/') or name[1:3] == ':/':
            return name.rpartition('/')[2]
        # `../images/a.jpg`, as labelme writes for a json elsewhere.
        while name.startswith(('../', './')):
            name = name.partition('/')[2]
        return name

    def _index(self) -> dict[str, list[str]]:
        """Names of the images by their last part in lower case."""
        if self._by_name is None:
            self._by_name = {}
            for path in image_files(self.folder):
                self._by_name.setdefault(path.name.lower(), []).append(
                    path.relative_to(self.folder).as_posix()
                )
        return self._by_name
