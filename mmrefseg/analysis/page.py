"""One HTML page of a failure study, with its drawn cases."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path

import numpy as np
from jinja2 import Environment, StrictUndefined
from PIL import Image

from ..datasets.images import ImagePaths, read_image
from ..structures.rle import decode_mask
from ..utils import UserInputError
from ..visualization.drawing import PREDICTION, TRUTH, draw_overlay
from .cases import Case
from .failure_study import FailureStudy

GAP = 6
SMALLEST_SIDE = 260
"""Images are enlarged or reduced to this width."""


class ImageReader:
    """Reads the image of a case.

    Args:
        folder: Where the images lie.
        objects: Records of the annotation file.
        template: File name of an ``image_id`` for records without ``file_name``; COCO's by default.
    """

    def __init__(self, folder: str, objects: list[dict], template: str | None = None) -> None:
        self._path_of = ImagePaths(folder, template)
        self._records: Mapping = {record['ref_id']: record for record in objects}

    def path(self, case: Case) -> Path:
        """Where the image is."""
        return Path(self._path_of(self._records[case.ref_id], f'ref_id {case.ref_id}'))

    def __call__(self, case: Case) -> np.ndarray:
        """(H, W, 3) uint8, RGB.

        Raises:
            UserInputError: If the file is missing, cannot be decoded, or has another size than the masks.
        """
        path = self.path(case)
        if not path.exists():
            raise UserInputError.of(
                str(path), 'no such file', 'an image', 'check --images and --img-template'
            )
        image = read_image(path)
        if list(image.shape[:2]) != list(case.truth['size']):
            raise UserInputError.of(
                str(path),
                f'{image.shape[0]} x {image.shape[1]} pixels',
                f'{case.truth["size"][0]} x {case.truth["size"][1]}, as its record says',
                'use the image that was annotated',
            )
        return image[..., ::-1]


def draw_triptych(case: Case, image: np.ndarray) -> np.ndarray:
    """The raw image, the truth and the prediction (with the truth's outline), side by side.

    Args:
        case: What to draw.
        image: (H, W, 3) uint8, RGB.

    Returns:
        (h, w, 3) uint8, RGB; each part ``SMALLEST_SIDE`` pixels wide.
    """
    truth, prediction = decode_mask(case.truth), decode_mask(case.prediction)
    parts = [
        draw_overlay(image, width=SMALLEST_SIDE),
        draw_overlay(image, [(truth, TRUTH)], width=SMALLEST_SIDE),
        draw_overlay(image, [(prediction, PREDICTION)], [(truth, TRUTH)], width=SMALLEST_SIDE),
    ]
    gap = np.full((parts[0].shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([parts[0], gap, parts[1], gap, parts[2]], axis=1)


def jpeg(image: np.ndarray) -> bytes:
    """(h, w, 3) uint8 RGB as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format='JPEG', quality=85, optimize=True)
    return buffer.getvalue()


def draw_cases(cases: list[Case], read: Callable[[Case], np.ndarray]) -> list[bytes]:
    """A JPEG file of each case's triptych."""
    return [jpeg(draw_triptych(case, read(case))) for case in cases]


TITLES = {
    'all_density': 'Density of IoU, all cases',
    'failure_density': 'Density of IoU, failures',
    'cumulative': 'Cases that reach a threshold',
}


def data_uri(content: bytes, kind: str) -> str:
    """A file as the text of a ``src`` attribute; ``kind`` is ``png`` or ``jpeg``."""
    return f'data:image/{kind};base64,{base64.b64encode(content).decode("ascii")}'


def render_page(
    study: FailureStudy,
    plots: Mapping[str, bytes],
    sections: Sequence[tuple[str, Sequence[tuple[Case, bytes]]]],
    title: str,
) -> str:
    """The whole page.

    Args:
        study: Its numbers and groups.
        plots: PNG files by name (:meth:`FailureStudy.plots`).
        sections: Title and drawn cases (:meth:`FailureStudy.draw`); may be empty.
        title: Of the page.

    Returns:
        HTML.
    """
    template = resources.files(__package__).joinpath('templates', 'failures.html').read_text(encoding='utf-8')
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(template).render(
        title=title,
        study=study,
        numbers=study.numbers,
        uri=data_uri,
        plots=plots,
        overview=[(TITLES[name], content) for name, content in plots.items() if name in TITLES],
        sections=sections,
        categories=study.categories or {},
        num_images=len(plots) + sum(len(members) for _, members in sections),
    )
