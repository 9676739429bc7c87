"""What the way a mask is written leaves of it, whatever a network learns: true masks there and back.

N masks, H W the original image, h w the network's, R pixels along each side of a window.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import cv2
import numpy as np

from ..codecs.contour_codec import ContourCodec
from ..evaluation.functional.summary import intersection_and_union, summarise_masks
from ..structures.masks import to_bitmap
from ..structures.polygons import vertices_to_mask
from ..structures.rle import encode_mask

# A window around a box with a side of less is as wide as around one of four pixels (BoxRefiner).
MIN_SIDE = 4.0
MOST_POINTS = 4


class Shown(NamedTuple):
    """A mask and its box as a network gets them.

    Attributes:
        mask: (h, w) uint8, 1 inside, in the network's frame.
        box: x, y, width, height in the network's frame.
        scale: (x, y) of the resize from the original frame.
        size: (H, W) of the original image.
    """

    mask: np.ndarray
    box: np.ndarray
    scale: tuple[float, float]
    size: tuple[int, int]


Readout = Callable[[Shown], np.ndarray]
"""From what a network gets to the mask that is read back, (H, W) bool in the original frame."""


def network_size(height: int, width: int, scale: tuple[int, int]) -> tuple[int, int]:
    """(h, w) of an image that is fitted into ``scale``, its shape kept, as ``RefResize`` does.

    Args:
        height: Of the image, in pixels.
        width: The same.
        scale: Two lengths in pixels; the image's longer side fits into the larger one.
    """
    factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
    return max(1, int(height * factor + 0.5)), max(1, int(width * factor + 0.5))


def show(record: dict, scale: tuple[int, int] | None, where: str = 'mask') -> Shown:
    """A record's mask as a pipeline loads and resizes it (nearest pixel).

    Args:
        record: Of the working format, with a mask.
        scale: See :func:`network_size`; None keeps the image's size.
        where: What to name in an error.

    Raises:
        UserInputError: If the mask cannot be drawn.
    """
    height, width = int(record['height']), int(record['width'])
    mask = to_bitmap(record['mask'], height, width, where).astype(np.uint8)
    rows, columns = network_size(height, width, scale) if scale else (height, width)
    factor = (columns / width, rows / height)
    resized = cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_NEAREST)
    return Shown(
        resized, np.asarray(record['bbox'], np.float64) * (*factor, *factor), factor, (height, width)
    )


def through_codec(codec: ContourCodec) -> Readout:
    """Encode and decode: the mask inside the decoded contour."""

    def read(shown: Shown) -> np.ndarray:
        size = shown.mask.shape
        vertices = codec.decode_mask(codec.encode_mask(shown.mask, size), size)
        return vertices_to_mask(vertices, *shown.size, scale_factor=shown.scale)

    return read


def through_window(resolution: int, margin: float) -> Readout:
    """Crop to R x R shares of pixels in a window around the true box and paste: what ``BoxRefiner`` draws at
    best.

    Bilinear both ways; where the window is larger than R pixels, a share is the mean of up to 4 x 4 points.

    Args:
        resolution: R.
        margin: Share of the box's side by which the window is wider on each side.
    """

    def read(shown: Shown) -> np.ndarray:
        """The mask that is pasted, (H, W) bool in the original frame."""
        low, side = shown.box[:2], np.maximum(shown.box[2:], MIN_SIDE)
        high = low + shown.box[2:] / 2 + side * (0.5 + margin)
        low = 2 * (low + shown.box[2:] / 2) - high
        points = int(np.clip(np.ceil((high - low).max() / resolution), 1, MOST_POINTS))
        read_x, read_y = (
            cropping(low[axis], high[axis], resolution, points, shown.mask.shape[1 - axis]) for axis in (0, 1)
        )
        draw_x, draw_y = (
            pasting(
                low[axis] / shown.scale[axis],
                high[axis] / shown.scale[axis],
                resolution,
                shown.size[1 - axis],
            )
            for axis in (0, 1)
        )
        shares = read_y @ shown.mask @ read_x.T
        return draw_y @ shares @ draw_x.T > 0.5

    return read


def cropping(low: float, high: float, resolution: int, points: int, length: int) -> np.ndarray:
    """Weights (R, length) of an image's pixels in a window's along one axis; beyond the image, its nearest.

    Args:
        low: Where the window begins, in pixels.
        high: Where it ends.
        resolution: R.
        points: So many points in each of the window's pixels.
        length: Pixels of the image.
    """
    count = resolution * points
    at = low + (high - low) * (np.arange(count) + 0.5) / count - 0.5
    weights = _linear(np.clip(at, 0, length - 1), length)
    return weights.reshape(resolution, points, length).mean(axis=1)


def pasting(low: float, high: float, resolution: int, length: int) -> np.ndarray:
    """Weights (length, R) of a window's pixels in an image's along one axis; nothing beyond the window."""
    at = (np.arange(length) + 0.5 - low) / (high - low) * resolution - 0.5
    return _linear(at, resolution)


def _linear(at: np.ndarray, length: int) -> np.ndarray:
    """(len(at), length): how much each of ``length`` pixels weighs at points between their centres."""
    return np.clip(1 - np.abs(at[:, None] - np.arange(length)), 0, None)


def measure(
    objects: Iterable[dict], readouts: dict[str, Readout], scale: tuple[int, int] | None = None
) -> dict[str, dict[str, float]]:
    """IoU of true masks with what is read back of them, in the original frame, each sentence counted.

    Args:
        objects: Records of the working format, with masks.
        readouts: By name.
        scale: See :func:`network_size`.

    Returns:
        By name, :func:`~mmrefseg.evaluation.functional.summary.summarise_masks` in percent, and ``pairs``.

    Raises:
        UserInputError: If a mask cannot be drawn.
    """
    truths, found = [], {name: [] for name in readouts}
    for record in objects:
        shown = show(record, scale, f'mask of ref_id {record.get("ref_id")}')
        sentences = len(record['expressions'])
        truth = encode_mask(to_bitmap(record['mask'], *shown.size, check=None))
        truths += [truth] * sentences
        for name, read in readouts.items():
            found[name] += [encode_mask(read(shown))] * sentences
    return {
        name: {'pairs': len(truths), **summarise_masks(*intersection_and_union(masks, truths))}
        for name, masks in found.items()
    }
