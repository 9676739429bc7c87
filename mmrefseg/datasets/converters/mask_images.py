"""Masks that come as images: black and white, 0 and 1, palettes, colours, transparency.

Programs write the same mask in many ways. All of them have two values, one of which is the background.
"""

import io
import os

import numpy as np
from PIL import Image

from ...utils import UserInputError
from ..images import encoded_size, read_size

# What PASCAL VOC gives the pixels around objects, which it leaves out.
VOID_INDEX, VOID_COLOUR = 255, (224, 224, 192)
BACKGROUND_IS_DARK = 'black or transparent background, one object in one other value'


def read_mask_image(path: str | os.PathLike, where: str = '') -> np.ndarray:
    """The foreground of a mask image.

    - An alpha channel that varies is the mask: what is opaque.
    - Else the background is 0, black, and the foreground is the one other value there is, whatever it is:
      1, 38, 255, red. In a coloured palette, what PASCAL VOC leaves out (255, beige) is background, too.
    - More values are read as black and white with soft edges (JPEG, smoothed): foreground from the middle
      on. That needs both dark and bright ones.

    Args:
        path: The file.
        where: What else to name in a message, before the file.

    Returns:
        (H, W) bool.

    Raises:
        UserInputError: If it is no image, or has several values of which nobody can tell which is meant.
    """
    read_size(path, where)
    return _opened_foreground(path, f'{where} {path}'.strip())


def decode_mask_image(content: bytes, where: str) -> np.ndarray:
    """The foreground of a mask image in memory, (H, W) bool: see :func:`read_mask_image`.

    Args:
        content: The image, as a file of it would be.
        where: What to call it in a message.

    Raises:
        UserInputError: See there.
    """
    encoded_size(content, where)
    return _opened_foreground(io.BytesIO(content), where)


def _opened_foreground(source: str | os.PathLike | io.BytesIO, named: str) -> np.ndarray:
    """(H, W) bool, of an image whose size has been checked."""
    try:
        with Image.open(source) as image:
            image.load()
    except (OSError, ValueError, SyntaxError) as error:
        reason = ' '.join(str(error).split())
        raise UserInputError.of(
            named, f'an image that cannot be decoded ({reason})', 'a complete image', 'export the mask again'
        ) from None
    if image.has_transparency_data:
        alpha = np.asarray(image.convert('RGBA'))[..., 3]
        if alpha.min() < alpha.max():
            return _foreground(alpha, named)
    labels = _labels(image) if image.mode == 'P' else None
    return (
        _foreground(_brightness(image), named) if labels is None else _foreground(labels, named, soft=False)
    )


def _labels(image: Image.Image) -> np.ndarray | None:
    """(H, W) indices of a palette image, 0 where it is black or void; None if its colours are all grey."""
    indices = np.asarray(image)
    colours = np.zeros((256, 3), np.uint8)
    palette = np.asarray(image.getpalette(), np.uint8).reshape(-1, 3)
    colours[: len(palette)] = palette
    used = colours[np.unique(indices)]
    if (used == used[:, :1]).all():
        return None
    background = (colours == 0).all(axis=1) | (colours == VOID_COLOUR).all(axis=1)
    background[VOID_INDEX] = True
    labels = np.where(np.arange(256) == 0, 256, np.arange(256))  # an index may be 0 without being black
    return np.where(background, 0, labels)[indices]


def _brightness(image: Image.Image) -> np.ndarray:
    """(H, W), as many values as the image has; of colours the strongest channel, as red is no dark grey."""
    if image.mode in ('1', 'L', 'F') or image.mode.startswith('I'):
        return np.asarray(image)
    if image.mode in ('LA', 'La'):
        return np.asarray(image.convert('LA'))[..., 0]
    return np.asarray(image.convert('RGB')).max(axis=2)


def _foreground(values: np.ndarray, named: str, soft: bool = True) -> np.ndarray:
    found = np.unique(values)
    if len(found) == 1:
        return values != 0
    if len(found) == 2 and found[0] == 0:
        return values != 0
    top = 65535 if found[-1] > 255 else 255
    if soft and found[0] < top / 4 and found[-1] > 3 * top / 4:
        return values > top / 2
    few = ', '.join(f'{value:g}' for value in found[:5]) + (', ...' if len(found) > 5 else '')
    raise UserInputError.of(
        named, f'a mask image with the values {few}', BACKGROUND_IS_DARK, 'write one image for each object'
    )
