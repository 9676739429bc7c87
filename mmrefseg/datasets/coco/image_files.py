"""The image files of a COCO file: where they are, how large, and how a camera held them.

The package's loaders (OpenCV's and Pillow's of mmcv) turn an image as its EXIF orientation says: as it is
shown. Some tools annotate images as they are stored.
"""

import os
import struct
import unicodedata
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

# Of more images, a part of the headers is read, evenly spread: a data set must not take minutes to open. The
# sizes of the others are compared when they are loaded.
MOST_HEADERS = 20_000


_ORIENTATION = 0x0112


class Header(NamedTuple):
    """Size and orientation of an image file.

    Attributes:
        stored: (height, width) of the pixels in the file.
        orientation: EXIF's, 1 to 8; from 5 on the image is shown with height and width exchanged.
    """

    stored: tuple[int, int]
    orientation: int

    @property
    def shown(self) -> tuple[int, int]:
        """(height, width) as loaders have it that apply the orientation."""
        return self.stored[::-1] if self.orientation >= 5 else self.stored


def read_header(path: str | os.PathLike) -> Header | None:
    """Size and orientation of an image; None if it is missing or none, or too large to be decoded."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)  # nothing is decoded here
        try:
            with Image.open(path) as image:
                width, height = image.size
                try:
                    orientation = image.getexif().get(_ORIENTATION, 1)
                except Exception:  # whatever the bytes of a foreign camera do to Pillow's reader
                    orientation = 1
        except (OSError, ValueError, SyntaxError, EOFError, OverflowError, struct.error):
            return None
        except Image.DecompressionBombError:
            return None
    return Header((height, width), orientation if orientation in range(1, 9) else 1)


class ImageFile(NamedTuple):
    """What was found.

    Attributes:
        name: Relative to the folder; not always as the file spells it.
        header: Its size and orientation, where it was read.
        mended: What was unusual about the name, or None.
        problem: Why there is no such image, or None.
        leaves_folder: Whether the name leads out of the folder, where nothing is read.
    """

    name: str | None = None
    header: Header | None = None
    mended: str | None = None
    problem: str | None = None
    leaves_folder: bool = False


class ImageFolder:
    """Finds images by the names of a COCO file, below one folder and nowhere else.

    Args:
        path: The folder.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = os.fspath(path)
        self._by_plain: dict[str, dict[str, str]] = {}

    def find(self, name: Any, with_header: bool = True) -> ImageFile:
        """The image that a ``file_name`` means.

        Args:
            name: Whatever the file has.
            with_header: Read its header, too.
        """
        if not isinstance(name, str) or not name or '\0' in name:
            return ImageFile(problem='without a file_name')
        found = self._spelled(name)
        if found is None:
            if escapes(name):
                return ImageFile(problem='whose file_name leaves the image folder', leaves_folder=True)
            return ImageFile(problem='that are missing')
        mended = None if found == name else 'file names spelled otherwise than the files'
        if not with_header:
            return ImageFile(found, mended=mended)
        header = read_header(os.path.join(self.path, found))
        return ImageFile(found, header, mended, None if header else 'that are no readable images')

    def _spelled(self, name: str) -> str | None:
        """The name of the file that is there: with its slashes and its upper and lower case."""
        for spelled in (name, name.replace('\\', '/')):
            if escapes(spelled):
                return None
            try:
                if os.path.isfile(os.path.join(self.path, spelled)):
                    return spelled
            except (OSError, ValueError):  # a name that no file system has
                return None
            folder, _, base = spelled.rpartition('/')
            other = self._names(folder).get(_plain(base))
            if other:
                return os.path.join(folder, other)
        return None

    def _names(self, folder: str) -> dict[str, str]:
        """Files of a folder by their names as of :func:`_plain`; one that two files have then is left out."""
        if folder not in self._by_plain:
            names: dict[str, list[str]] = {}
            try:
                for entry in os.listdir(os.path.join(self.path, folder)):
                    names.setdefault(_plain(entry), []).append(entry)
            except OSError:
                pass  # no such folder: none of its files is there, which is what the caller counts
            self._by_plain[folder] = {plain: same[0] for plain, same in names.items() if len(same) == 1}
        return self._by_plain[folder]


def _plain(name: str) -> str:
    """A name in lower case, with each accent in its letter: macOS writes it behind the letter."""
    return unicodedata.normalize('NFC', name).lower()


def escapes(name: str) -> bool:
    """Whether a relative name leads out of its folder, or is not relative at all."""
    parts = name.replace('\\', '/').split('/')
    return '..' in parts or Path(name).is_absolute() or parts[0].endswith(':')
