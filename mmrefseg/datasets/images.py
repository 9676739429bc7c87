"""The images of records: where they lie, how large they are, and their pixels; all images are read here.

Names and files come from strangers. A name that leads out of its folder is refused, and so is an image whose
header claims more pixels than :data:`MAX_PIXELS`, before anything is decoded.
"""

import io
import mmap
import os
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from PIL import Image, ImageOps

from ..utils import UserInputError, load_json
from ..utils.errors import Problem
from ..utils.files import unreadable
from .validation import MAX_PIXELS, name_problem

COCO_TEMPLATE = 'COCO_train2014_{:012d}.jpg'
# SeqTR's names of the sources of its mixed set that are not COCO: ReferIt, Flickr30k, Visual Genome.
PLAIN_TEMPLATE = '{}.jpg'


class ImagePaths:
    """Names the image of a record: its ``file_name``, else a template of its ``image_id``, below a folder.

    Args:
        folders: A folder, or one per ``data_source`` of a mixed set.
        template: A format string of ``image_id``, or one per ``data_source``. By default COCO's for
            sources called ``coco...`` (and where there are no sources), else ``'{}.jpg'``.
    """

    def __init__(self, folders: str | dict[str, str], template: str | dict[str, str] | None) -> None:
        self.folders = folders
        self.template = template

    def __call__(self, record: dict, where: str) -> str:
        """The path of the record's image.

        Raises:
            UserInputError: If there is no folder or template for the record, or its name is none of a file
                below the folder (:func:`name_below`).
        """
        source = record.get('data_source')
        folder = self._of_source(self.folders, source, 'data_prefix["img_path"]', where)
        name = record.get('file_name') or self._name(record['image_id'], source, where)
        return os.path.join(folder, name_below(folder, name, where))

    def _name(self, image_id: int | str, source: str | None, where: str) -> str:
        template = self.template
        if template is None:
            template = COCO_TEMPLATE if source is None or source.startswith('coco') else PLAIN_TEMPLATE
        template = self._of_source(template, source, 'img_template', where)
        try:
            return template.format(image_id)
        except (ValueError, IndexError, KeyError):
            raise UserInputError.of(
                where,
                f'img_template {template!r} that does not fit image_id {image_id!r}',
                'a format string of the image_id or a file_name in each record',
                "set img_template, for instance '{}.jpg'",
            ) from None

    def _of_source(self, by_source: str | dict, source: str | None, name: str, where: str) -> str:
        if isinstance(by_source, str):
            return by_source
        if source not in by_source:
            raise UserInputError.of(
                where, f'data_source {source!r}', f'one of {sorted(by_source)}', f'add it to {name}'
            )
        return by_source[source]


def name_below(folder: str | os.PathLike, name: Any, where: str) -> str:
    """A file's name, relative to the folder that it lies in, as this system writes it.

    The backslashes of a name from Windows become slashes, unless there is a file of just that name.

    Args:
        folder: Where the file shall lie; '' if nobody has said where (an absolute name is taken then).
        name: What a file of annotations says.
        where: File and record, for messages.

    Raises:
        UserInputError: If it is no name of a file, or leads out of the folder.
    """
    problem = name_problem(name)
    if problem:
        raise UserInputError.of(where, *problem)
    if '\\' in name and not os.path.lexists(os.path.join(folder, name)):
        name = name.replace('\\', '/')
    if name.startswith('/') and not os.fspath(folder):
        return name
    if name.startswith('/') or '..' in name:
        # Links are followed: they are the user's own.
        inside = os.path.relpath(os.path.join(folder, name), folder or os.curdir)
        if inside == os.pardir or inside.startswith(os.pardir + os.sep):
            raise UserInputError.of(
                where,
                f'the file name {name!r}, which leads out of {os.fspath(folder) or "the current folder"}',
                'the name of a file below it',
                'copy or link the file there and mend the name',
            )
    return name


_ORIENTATION = 0x0112


class ImageSizes:
    """Looks up or reads the size of an image.

    Args:
        images: Folder of the images; only their headers are read.
        instances: A COCO instances file that lists them, instead.
        template: Format string of the image_id for images without a name (as in ``RefSegDataset``).

    Raises:
        UserInputError: If neither is given.
    """

    def __init__(
        self,
        images: str | os.PathLike | None = None,
        instances: str | os.PathLike | None = None,
        template: str | None = None,
    ) -> None:
        if images is None and instances is None:
            raise UserInputError(
                'this format does not give the sizes of the images: '
                'name their folder (--images) or a COCO file that lists them (--instances)'
            )
        self._path_of = ImagePaths(os.fspath(images), template) if images is not None else None
        self._known: dict[int | str, tuple[int, int]] = {}
        if instances is not None:
            self._known = _listed_sizes(instances)

    def __call__(self, record: dict, where: str) -> tuple[int, int]:
        """(height, width) of the image that a record names by ``file_name`` or ``image_id``.

        Raises:
            UserInputError: If the image is missing or is none, or the record does not name one.
        """
        image_id = record['image_id']
        if not isinstance(image_id, int | str):
            raise UserInputError.of(
                where, f'image_id {str(image_id)[:60]}', 'a whole number or a string', 'mend it'
            )
        if image_id not in self._known:
            if self._path_of is None:
                raise UserInputError.of(
                    where, f'image_id {image_id} without a size', 'one listed in --instances', 'add --images'
                )
            self._known[image_id] = read_size(self._path_of(record, where), where)
        return self._known[image_id]


def _listed_sizes(path: str | os.PathLike) -> dict[int | str, tuple[int, int]]:
    """(height, width) by image id, from a COCO file."""
    content = load_json(path)
    listed = content.get('images') if isinstance(content, dict) else None
    try:
        return {image['id']: (image['height'], image['width']) for image in listed}
    except (TypeError, KeyError):
        raise UserInputError.of(
            str(path), 'no list "images" with id, height and width', 'a COCO file', 'give the right file'
        ) from None


def read_size(path: str | os.PathLike, where: str = '') -> tuple[int, int]:
    """(height, width) of an image as it is shown, from its header: a camera's rotation is applied.

    Raises:
        UserInputError: If the file is missing, no image, or has too many pixels to be read.
    """
    named = f'{where} {path}'.strip()
    try:
        with open(path, 'rb') as file:
            size = _header_size(file)
    except FileNotFoundError:
        raise UserInputError.of(
            named, 'no such image', 'an image file', 'check --images and the name'
        ) from None
    except (OSError, ValueError) as error:
        raise unreadable(named, error, 'an image file') from None
    return _accepted(size, named)


def encoded_size(content: bytes, where: str) -> tuple[int, int]:
    """As :func:`read_size`, of an image in memory.

    Raises:
        UserInputError: If it is no image, or has too many pixels to be read.
    """
    return _accepted(_header_size(io.BytesIO(content)), where)


def _accepted(size: tuple[int, int] | None, where: str) -> tuple[int, int]:
    """A size by a header, if it is one that can be read."""
    if size is None:
        raise UserInputError.of(where, 'no readable image', 'an image (JPEG, PNG, ...)', 'replace it')
    problem = _size_problem(*size)
    if problem:
        raise UserInputError.of(where, *problem)
    return size


def _header_size(file: IO[bytes]) -> tuple[int, int] | None:
    """(height, width) as shown, from the header; None where Pillow knows no such format."""
    with warnings.catch_warnings():
        # It warns at half of the limit that we have for ourselves.
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)
        try:
            with Image.open(file) as image:
                width, height = image.size
                try:
                    turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
                except Exception:  # whatever the bytes of a foreign camera do to Pillow's reader
                    turned = False
        except Image.DecompressionBombError:
            return _claimed_size(file)
        except (OSError, ValueError, SyntaxError, EOFError, OverflowError, struct.error):
            return None
    return (width, height) if turned else (height, width)


def _claimed_size(file: IO[bytes]) -> tuple[int, int]:
    """What a header claims that Pillow calls a bomb: PNG's own numbers, for others just too much."""
    file.seek(0)
    head = file.read(24)
    if head.startswith(b'\x89PNG') and len(head) == 24:
        width, height = struct.unpack('>II', head[16:])
        return height, width
    return MAX_PIXELS + 1, 1


def _size_problem(height: int, width: int) -> Problem | None:
    if height * width <= MAX_PIXELS:
        return None
    claimed = f'{width} x {height}' if width > 1 else f'more than {MAX_PIXELS}'
    return Problem(
        f'an image that claims {claimed} pixels',
        f'at most {MAX_PIXELS} (nothing was decoded)',
        'make it smaller, or cut it into tiles',
    )


def read_image(path: str | os.PathLike, where: str = '') -> np.ndarray:
    """The pixels of an image as it is shown, (H, W, 3) uint8 BGR.

    Args:
        path: The file.
        where: What else to name in a message, before the file.

    Raises:
        UserInputError: If it is missing, truncated, no image, or larger than :data:`MAX_PIXELS`.
    """
    named = f'{where} {path}'.strip()
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise unreadable(named, error, 'an image') from None
    return decode_image(content, named)


def _decode_bgr(content: bytes) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)


def read_annotated_image(path: str | os.PathLike, height: int, width: int) -> np.ndarray:
    """The image of a record, as large as the record says: (H, W, 3) uint8, RGB.

    Args:
        path: The file.
        height: What its record says, in pixels.
        width: The same.

    Raises:
        UserInputError: If the file is missing, cannot be decoded, or has another size.
    """
    if not os.path.exists(path):
        raise UserInputError.of(str(path), 'no such file', 'an image', 'check --images and --img-template')
    image = read_image(path)
    if image.shape[:2] != (height, width):
        raise UserInputError.of(
            str(path),
            f'{image.shape[0]} x {image.shape[1]} pixels',
            f'{height} x {width}, as its record says',
            'use the image that was annotated',
        )
    return image[..., ::-1]


def decode_image(
    content: bytes, where: str, decode: Callable[[bytes], np.ndarray | None] = _decode_bgr
) -> np.ndarray:
    """The pixels of an encoded image. A decoder fills what a truncated file lacks with grey; here it is an
    error.

    Args:
        content: The file.
        where: Its name, for messages.
        decode: The decoder; it may return None or raise. By default OpenCV's, to (H, W, 3) uint8 BGR.

    Raises:
        UserInputError: If it is empty, truncated, no image, or claims more pixels than :data:`MAX_PIXELS`.
    """
    size = _header_size(io.BytesIO(content))
    problem = _size_problem(*size) if size else None
    if problem:
        raise UserInputError.of(where, *problem)
    image, truncated = None, is_truncated(content)
    if content and not truncated:
        try:
            image = decode(content)
        except (cv2.error, OSError, ValueError, SyntaxError, EOFError, struct.error):
            image = None
    if image is not None:
        return image
    raise UserInputError.of(where, *_broken(len(content), truncated))


def _broken(num_bytes: int, truncated: bool) -> Problem:
    found = 'a truncated image' if truncated else 'a file that cannot be decoded'
    return Problem(
        f'{found if num_bytes else "an empty file"} ({num_bytes} bytes)',
        'a complete image (JPEG, PNG, ...)',
        'fetch or export the file again, or remove its records',
    )


def image_problem(path: str | os.PathLike, height: int, width: int) -> Problem | None:
    """What header and end of a record's image tell against it; nothing is decoded, so it is quick.

    Args:
        path: The file.
        height: What its record says, in pixels.
        width: The same.

    Raises:
        UserInputError: If the file cannot be opened.
    """
    try:
        with open(path, 'rb') as file:
            size, num_bytes = _header_size(file), os.fstat(file.fileno()).st_size
            if size is None:
                return _broken(num_bytes, False)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                truncated = is_truncated(content)
    except (OSError, ValueError) as error:
        raise unreadable(str(path), error, 'an image') from None
    if truncated:
        return _broken(num_bytes, True)
    if size != (height, width):
        return _size_problem(*size) or Problem(
            f'an image of {size[1]} x {size[0]} pixels',
            f'{width} x {height} as its record says',
            'use the image that was annotated',
        )
    return None


def is_truncated(content: bytes | mmap.mmap) -> bool:
    """Whether a JPEG or PNG file lacks its end. What follows the end is no part of the image.

    A JPEG has an end marker behind its last start of scan (one before it belongs to a thumbnail), a PNG an
    IEND chunk, which the chunks before it lead to. Other formats are left to the decoder.
    """
    if content[:2] == b'\xff\xd8':
        # Of a whole one nothing but the end is read.
        return content.find(b'\xff\xda', content.rfind(b'\xff\xd9') + 1) >= 0
    if content[:4] == b'\x89PNG':
        return not _has_end(content)
    return False


def _has_end(png: bytes | mmap.mmap) -> bool:
    """Whether a PNG's chunks (length, name, data, checksum) go on to a whole IEND."""
    start = 8
    while start + 12 <= len(png):
        if png[start + 4 : start + 8] == b'IEND':
            return True
        start += 12 + int.from_bytes(png[start : start + 4], 'big')
    return False


def as_bgr(image: Any, where: str = 'image') -> np.ndarray:
    """An image in memory as (H, W, 3) uint8 BGR, as a file of it would be read.

    Args:
        image: (H, W) or (H, W, 1) uint8 grey, (H, W, 3) uint8 BGR, (H, W, 4) uint8 BGR and alpha (which is
            dropped), or a PIL image of any mode.
        where: What to call it in a message.

    Raises:
        UserInputError: If it is none of these, or has no pixels.
    """
    if isinstance(image, Image.Image):
        image = np.asarray(ImageOps.exif_transpose(image).convert('RGB'))[..., ::-1]
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = f'an array of {image.dtype}' if isinstance(image, np.ndarray) else f'a {type(image).__name__}'
        raise UserInputError.of(
            where, kind, 'a file, a PIL image or an array of uint8', 'convert it to uint8 in [0, 255]'
        )
    channels = 1 if image.ndim == 2 else image.shape[-1]
    if image.ndim not in (2, 3) or channels not in (1, 3, 4) or not image.size:
        raise UserInputError.of(
            where,
            f'an array of shape {image.shape}',
            '(H, W), (H, W, 1), (H, W, 3) or (H, W, 4)',
            'reshape it',
        )
    if channels == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(image[..., :3])
