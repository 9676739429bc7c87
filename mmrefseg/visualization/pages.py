"""What the HTML reports of several rooms share: templates that escape, and images within the page."""

import base64
import functools
import io
from importlib import resources

import cv2
import numpy as np
from jinja2 import Environment, FunctionLoader, StrictUndefined
from PIL import Image


def jpeg(image: np.ndarray) -> bytes:
    """(h, w, 3) uint8 RGB as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format='JPEG', quality=85, optimize=True)
    return buffer.getvalue()


def sized(image: np.ndarray, shortest: int, longest: int) -> np.ndarray:
    """A picture for a page: reduced or enlarged until its longer side is between two numbers of pixels.

    Args:
        image: (H, W, 3) uint8.
        shortest: Least length of the longer side.
        longest: Its greatest length.

    Returns:
        (h, w, 3) uint8, of the same shape but for a pixel.
    """
    longer = max(image.shape[:2])
    scale = float(np.clip(longer, shortest, longest)) / longer
    if scale == 1:
        return image
    size = tuple(max(round(side * scale), 1) for side in image.shape[1::-1])
    how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    return cv2.resize(np.ascontiguousarray(image), size, interpolation=how)


def data_uri(content: bytes, kind: str) -> str:
    """A file as the text of a ``src`` attribute; ``kind`` is ``png`` or ``jpeg``."""
    return f'data:image/{kind};base64,{base64.b64encode(content).decode("ascii")}'


def read_template(package: str, name: str) -> str:
    """The text of a file in the folder ``templates`` of a package, or of this one (``report.css``)."""
    found = resources.files(package).joinpath('templates', name)
    found = found if found.is_file() else resources.files(__package__).joinpath('templates', name)
    return found.read_text(encoding='utf-8')


def render(package: str, name: str, **values) -> str:
    """A page of a template, in which every value is escaped and a missing one is an error.

    Args:
        package: Whose folder ``templates`` holds it; what it includes may be in this package's.
        name: Of the file.
        values: What the template shows.

    Returns:
        HTML.
    """
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(functools.partial(read_template, package)),
    )
    return environment.get_template(name).render(**values)
