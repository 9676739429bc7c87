"""One HTML page of a failure study, with its drawn cases."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..datasets.images import ImagePaths, read_annotated_image
from ..structures.rle import decode_mask
from ..visualization.drawing import PREDICTION, TRUTH, draw_overlay
from ..visualization.pages import data_uri, jpeg, render
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
        return read_annotated_image(self.path(case), *case.truth['size'])


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


def draw_cases(cases: list[Case], read: Callable[[Case], np.ndarray]) -> list[bytes]:
    """A JPEG file of each case's triptych."""
    return [jpeg(draw_triptych(case, read(case))) for case in cases]


TITLES = {
    'all_density': 'Density of IoU, all cases',
    'failure_density': 'Density of IoU, failures',
    'cumulative': 'Cases that reach a threshold',
}


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
    return render(
        __package__,
        'failures.html',
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
