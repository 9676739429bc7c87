"""Cases drawn: the picture, the truth and the prediction, side by side.

Letters in the shapes: H, W the picture's size.
"""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..datasets.image_paths import ImagePaths
from ..structures.rle import decode_mask
from ..utils import UserInputError
from ..visualization.drawing import PREDICTION, TRUTH, draw_overlay
from .cases import Case

GAP = 6
SMALLEST_SIDE = 260
"""Pictures are enlarged or reduced to this width."""


class PictureReader:
    """Reads the picture of a case.

    Args:
        folder: Where the pictures lie.
        objects: Records of the annotation file.
        template: File name of an ``image_id`` for records without ``file_name``; COCO's by default.
    """

    def __init__(self, folder: str, objects: list[dict], template: str | None = None) -> None:
        self._path_of = ImagePaths(folder, template)
        self._records: Mapping = {record['ref_id']: record for record in objects}

    def path(self, case: Case) -> Path:
        """Where the picture is."""
        return Path(self._path_of(self._records[case.ref_id], f'ref_id {case.ref_id}'))

    def __call__(self, case: Case) -> np.ndarray:
        """(H, W, 3) uint8, RGB.

        Raises:
            UserInputError: If the file is missing, cannot be decoded, or has another size than the masks.
        """
        path = self.path(case)
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            found = 'a file that cannot be decoded' if path.exists() else 'no such file'
            raise UserInputError.of(str(path), found, 'a picture', 'check --images and --img-template')
        if list(image.shape[:2]) != list(case.truth['size']):
            raise UserInputError.of(
                str(path),
                f'{image.shape[0]} x {image.shape[1]} pixels',
                f'{case.truth["size"][0]} x {case.truth["size"][1]}, as its record says',
                'use the picture that was annotated',
            )
        return image[..., ::-1]


def draw_triptych(case: Case, image: np.ndarray) -> np.ndarray:
    """The raw picture, the truth and the prediction (with the truth's outline), side by side.

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


def jpeg(picture: np.ndarray) -> bytes:
    """(h, w, 3) uint8 RGB as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format='JPEG', quality=85, optimize=True)
    return buffer.getvalue()


def draw_cases(cases: list[Case], read: Callable[[Case], np.ndarray]) -> list[bytes]:
    """A JPEG file of each case's triptych."""
    return [jpeg(draw_triptych(case, read(case))) for case in cases]
