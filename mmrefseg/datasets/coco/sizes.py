"""Which size an image has: its file's, its record's, or the one that its masks fit."""

from collections.abc import Sequence
from typing import NamedTuple

from ..images import Header
from .numbers import as_size
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
