"""The images of a COCO file, each with the size that its masks are drawn on."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .findings import Findings
from .image_files import MOST_HEADERS, Header, ImageFile, ImageFolder
from .numbers import Id, as_size
from .segmentation import Extent, extent

Size = tuple[int, int]
UNSIZED = 'without width and height'
EXCHANGED = 'images with width and height exchanged'


class ImageSize(NamedTuple):
    """What was found.

    Attributes:
        size: (height, width) in pixels, or None.
        mended: What was wrong with the record and could be told, or None.
        problem: Why the size is not known, or None.
        as_stored: Whether this is the size of the pixels in the file while a loader that follows the EXIF
            orientation, as the package's do, has height and width exchanged.
    """

    size: Size | None = None
    mended: str | None = None
    problem: str | None = None
    as_stored: bool = False


def size_of(image: dict, header: Header | None, objects: Sequence[dict]) -> ImageSize:
    """The size of an image.

    Args:
        image: Its entry in the file.
        header: Of the image file, or None where that is not at hand.
        objects: Its annotations; how far their masks reach decides in doubt.
    """
    recorded = as_size(image.get('height'), image.get('width'))
    if header is not None and recorded == header.shown == header.stored:
        return ImageSize(recorded)
    reach = extent(objects)
    if header is None:
        return _from_record(recorded, reach)
    frames = list(dict.fromkeys([header.shown, header.stored]))
    if recorded in frames:
        frames.sort(key=recorded.__ne__)  # the record's own first
    fitting = next((frame for frame in frames if reach.fits(frame)), None)
    exchanged = recorded is not None and recorded[::-1] in frames
    exact = fitting is not None and reach.rle_sizes == {fitting}
    # Exchanged numbers are a slip unless the masks fit them: then the image was turned afterwards.
    slip = exchanged and (fitting or not reach.fits(recorded))
    if recorded is not None and recorded not in frames and not exact and not slip:
        return ImageSize(problem='of another size than their records say')
    size = fitting or frames[0]
    mended = None
    if recorded is None:
        mended = 'images without width and height, read from the files'
    elif size != recorded:
        mended = EXCHANGED if exchanged else 'images of another size than their records say'
    return ImageSize(size, mended, as_stored=size != header.shown)


def _from_record(recorded: Size | None, reach: Extent) -> ImageSize:
    if recorded is None:
        if len(reach.rle_sizes) == 1:
            (size,) = reach.rle_sizes
            return ImageSize(size, 'images without width and height, taken from their masks')
        return ImageSize(problem=UNSIZED)
    if not reach.fits(recorded) and reach.fits(recorded[::-1]):
        return ImageSize(recorded[::-1], EXCHANGED)
    return ImageSize(recorded)


class ImageTable(NamedTuple):
    """What was found.

    Attributes:
        images: The images that can be used, by id, with ``height`` and ``width``.
        left_out: Why others cannot be used, by id.
        remarks: What may surprise.
    """

    images: dict[Id, dict]
    left_out: dict[Id, str]
    remarks: list[str]


def read_images(
    images: Mapping[Id, dict],
    annotations_of: Mapping[Id, list[dict]],
    mended: Findings,
    folder: ImageFolder | None,
    sizes: Mapping[Id, Size],
    keep: bool,
) -> ImageTable:
    """Find files and sizes.

    Args:
        images: The entries of the file by their ids.
        annotations_of: The annotations of each image.
        mended: What was mended is added.
        folder: Where the files are, or None not to look.
        sizes: (height, width) that images have for certain.
        keep: Whether images whose files cannot be read stay, where their size is known.
    """
    table = ImageTable({}, {}, [])
    step = math.ceil(len(images) / MOST_HEADERS)
    turned: list[dict] = []
    for place, (id_, image) in enumerate(images.items()):
        sized = image.get('height') is not None and image.get('width') is not None
        with_header = place % step == 0 or not sized
        file = ImageFile() if folder is None else folder.find(image.get('file_name'), with_header)
        own = annotations_of.get(id_, ())
        found = _certain(image, sizes[id_]) if id_ in sizes else size_of(image, file.header, own)
        problem = found.problem if keep and found.size else file.problem or found.problem
        if problem or file.leaves_folder:
            table.left_out[id_] = file.problem or problem
            continue
        for kind in filter(None, (file.mended, found.mended)):
            mended.add(kind, image.get('file_name', id_))
        table.images[id_] = _with(image, file, found.size)
        if found.as_stored:
            turned.append(table.images[id_])
    if turned:
        table.remarks.append(_turned(turned))
    return table


def _certain(image: dict, size: Size) -> ImageSize:
    recorded = as_size(image.get('height'), image.get('width'))
    differs = recorded not in (None, size)
    return ImageSize(size, 'images of another size than their records say' if differs else None)


def _with(image: dict, file: ImageFile, size: Size) -> dict:
    """The entry with what was found; the same object if it said so already."""
    found = {'height': size[0], 'width': size[1]} | ({'file_name': file.name} if file.name else {})
    same = all(image.get(key) == value and type(image[key]) is type(value) for key, value in found.items())
    return image if same else {**image, **found}


def _turned(images: list[dict]) -> str:
    first = images[0]
    stored = f'{first["width"]} x {first["height"]}'
    shown = f'{first["height"]} x {first["width"]}'
    return (
        f'{len(images)} images are turned by their EXIF orientation, their objects are not: '
        f'{first["file_name"]} is {shown} as shown, its record says {stored} as stored; '
        'CocoInstanceDataset loads these images as stored'
    )
