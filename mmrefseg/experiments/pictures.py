"""What a network of the study predicts, drawn."""

from pathlib import Path

import cv2

from ..apis import RefSegInferencer
from ..datasets.annotations import load_split
from ..runs.config import load_config
from ..structures.masks import to_bitmap
from ..visualization.drawing import draw_case, save_grid
from .study import PartialStudy, Variant


def draw_predictions(study: PartialStudy, variant: Variant, folder: Path, count: int) -> Path:
    """Draw a variant's predictions: expression, box, contour with its points in order, truth.

    Args:
        study: The finished study.
        variant: Whose network predicts.
        folder: Where ``predictions.png`` goes.
        count: How many expressions, the first of as many pictures.

    Returns:
        The picture's path.
    """
    options = dict(option.split('=', 1) for option in study.size_options)
    config = load_config(study.network.config('m100'), options)
    infer = RefSegInferencer(config, study.checkpoint(variant))
    cases, seen = [], set()
    for record in load_split(str(study.full_annotations), study.split):
        if record['image_id'] in seen or len(cases) == count:
            continue
        seen.add(record['image_id'])
        cases.append(_case(infer, study, record))
    path = folder / 'predictions.png'
    save_grid(cases, path)
    return path


def _case(infer: RefSegInferencer, study: PartialStudy, record: dict):
    path = Path(f'data/images/refshapes_{study.size}') / record['file_name']
    expression = record['expressions'][0]
    found = infer(path, [expression]).pred_instances
    x, y, w, h = record['bbox']
    return draw_case(
        cv2.imread(str(path))[..., ::-1],
        expression,
        truth_mask=to_bitmap(record['mask'], record['height'], record['width']),
        truth_box=[x, y, x + w, y + h],
        mask=found.masks[0].numpy(),
        box=found.bboxes[0].numpy(),
        points=found.points[0].numpy(),
        score=float(found.scores[0]),
    )
