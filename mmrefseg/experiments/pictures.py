"""What networks predict, drawn: those of a study, and the package's own weights before any training."""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from ..apis import RefSegInferencer
from ..datasets.annotations import load_split
from ..datasets.refshapes import PRESETS, make_image
from ..runs.config import load_config
from ..structures.masks import to_bitmap
from ..visualization.drawing import draw_case, save_grid
from .few_masks import READOUTS, PartialStudy, Variant


def draw_first_masks(path: Path, count: int) -> None:
    """Draw masks of the package's own weights on RefShapes' first test images, which needs no file of them.

    Args:
        path: The PNG to write.
        count: How many expressions, the first of as many images.
    """
    infer = RefSegInferencer()
    cases = []
    for index in range(count):
        image, about = make_image(0, 'testA', index, PRESETS['small'])
        said = next(item for item in about['objects'] if item['expressions'])
        record = {**said, 'height': about['height'], 'width': about['width'], 'mask': said['segmentation']}
        cases.append(_case(infer, image, record))
    save_grid(cases, path)


def draw_predictions(study: PartialStudy, variant: Variant, readout: str, folder: Path, count: int) -> Path:
    """Draw a variant's predictions: expression, box, mask or contour with its points in order, truth.

    Args:
        study: The finished study.
        variant: Whose network predicts; with its scores, where it has a stage that learns them.
        readout: What its masks are read from, a key of :data:`READOUTS`.
        folder: Where ``predictions.png`` goes.
        count: How many expressions, the first of as many images.

    Returns:
        The picture's path.
    """
    path, checkpoint = study.network.config('m100'), study.checkpoint(variant)
    if study.network.predicts_quality:
        path, checkpoint = study.quality_config(variant), study.quality_checkpoint(variant)
    options = dict(option.split('=', 1) for option in (*study.size_options(path), *READOUTS[readout]))
    options = {key: None if value == 'None' else value for key, value in options.items()}
    config = load_config(path, options)
    infer = RefSegInferencer(config, checkpoint)
    cases, seen = [], set()
    for record in load_split(str(study.full_annotations), study.split):
        if record['image_id'] in seen or len(cases) == count:
            continue
        seen.add(record['image_id'])
        image = cv2.imread(f'data/images/refshapes_{study.size}/{record["file_name"]}')
        cases.append(_case(infer, image[..., ::-1], record))
    path = folder / 'predictions.png'
    save_grid(cases, path)
    return path


def _case(infer: RefSegInferencer, image: np.ndarray, record: Mapping) -> np.ndarray:
    """A panel of the record's first expression; the image is (H, W, 3) uint8 RGB."""
    expression = record['expressions'][0]
    found = infer(np.ascontiguousarray(image[..., ::-1]), [expression]).pred_instances
    x, y, w, h = record['bbox']
    return draw_case(
        image,
        expression,
        truth_mask=to_bitmap(record['mask'], record['height'], record['width']),
        truth_box=[x, y, x + w, y + h],
        mask=found.masks[0].numpy(),
        box=found.bboxes[0].numpy(),
        points=found.points[0].numpy() if 'points' in found else None,
        score=float(found.scores[0]),
    )
