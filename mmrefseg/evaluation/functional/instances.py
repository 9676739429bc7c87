"""Average precision of instances, as COCO defines it: AP, AP50, AP75, APs, APm, APl, and AP of each category.

The definition is pycocotools' (https://cocodataset.org/#detection-eval); ``faster-coco-eval`` computes the
same numbers in C++. Detections are plain dicts: this module needs no model and no dataset class.
"""

import contextlib
import copy
import importlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from ...utils import UserInputError

# The columns by mmdet's names: which thresholds (of 0.5, 0.55, ...), which size (all, small, medium, large).
COLUMNS = {
    'mAP': (slice(None), 0),
    'mAP_50': (slice(0, 1), 0),
    'mAP_75': (slice(5, 6), 0),
    'mAP_s': (slice(None), 1),
    'mAP_m': (slice(None), 2),
    'mAP_l': (slice(None), 3),
}
BACKENDS = {
    'pycocotools': ('pycocotools.coco', 'pycocotools.cocoeval', 'COCOeval'),
    'faster-coco-eval': ('faster_coco_eval', 'faster_coco_eval', 'COCOeval_faster'),
}
IOU_TYPES = ('bbox', 'segm')


@dataclass(frozen=True)
class AveragePrecision:
    """What one kind of IoU (boxes or masks) gives.

    Attributes:
        columns: ``mAP, mAP_50, mAP_75, mAP_s, mAP_m, mAP_l`` in [0, 1]; -1 where there is no ground truth of
            that size, as in pycocotools.
        per_category: Category id -> AP over the ten thresholds; -1 where the category has no ground truth.
    """

    columns: dict[str, float]
    per_category: dict[int, float]


def average_precision(
    truth: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    iou_type: str,
    image_ids: Iterable[int] | None = None,
    category_ids: Iterable[int] | None = None,
    backend: str = 'pycocotools',
) -> AveragePrecision:
    """Score detections against the annotations of a COCO file.

    Args:
        truth: Content of the annotation file: ``images, annotations, categories``.
        detections: ``{image_id, category_id, score, bbox or segmentation}`` each; ``bbox`` is xywh in pixels,
            ``segmentation`` an RLE. The hundred best of an image and category count.
        iou_type: ``'bbox'`` or ``'segm'``, by which the size of a detection is its mask's too.
        image_ids: Score these images only (default: all).
        category_ids: Score these categories only (default: all).
        backend: One of ``BACKENDS``.

    Raises:
        UserInputError: For another backend or one that is not installed, or a detection on an unknown image.
    """
    coco_module, evaluator = _load_backend(backend)
    images = {image['id'] for image in truth['images']}
    chosen = sorted(images if image_ids is None else image_ids)
    strangers = {detection['image_id'] for detection in detections} - images
    if strangers:
        raise UserInputError.of(
            'detections',
            f'image_id {min(strangers)}',
            'the images of the annotation file',
            'check that both belong to the same data',
        )
    names = [category['id'] for category in truth['categories']]
    categories = sorted(names if category_ids is None else category_ids)
    scored = _stripped(iou_type, detections)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        targets = _coco(coco_module, truth)
        found = targets.loadRes(scored) if scored else _coco(coco_module, {**truth, 'annotations': []})
        run = evaluator(targets, found, iou_type)
        run.params.imgIds = chosen
        run.params.catIds = categories
        run.evaluate()
        run.accumulate()
    # thresholds x recalls x categories x sizes, at the last limit (a hundred detections). pycocotools adds
    # 2.2e-16 to a number of detections before it divides, faster-coco-eval does not: rounded, both are equal.
    precision = np.round(np.ascontiguousarray(run.eval['precision'][..., -1]), 14)
    summary = {name: _mean(precision[rows, :, :, size]) for name, (rows, size) in COLUMNS.items()}
    per_category = {id_: _mean(precision[:, :, place, 0]) for place, id_ in enumerate(categories)}
    return AveragePrecision(summary, per_category)


def _load_backend(name: str) -> tuple[ModuleType, type]:
    if name not in BACKENDS:
        raise UserInputError.of(
            'backend of the COCO evaluation', repr(name), ' or '.join(BACKENDS), 'choose one of them'
        )
    coco, evaluation, evaluator = BACKENDS[name]
    try:
        return importlib.import_module(coco), getattr(importlib.import_module(evaluation), evaluator)
    except ImportError:
        raise UserInputError.of(
            f'backend {name!r} of the COCO evaluation',
            'a package that is not installed',
            'it installed',
            f'run pip install {name}, or take the default backend, which gives the same numbers',
        ) from None


def _coco(module: ModuleType, content: Mapping[str, Any]) -> Any:
    """A COCO object of what a file holds; the evaluation adds keys to the annotations of its own copy."""
    coco = module.COCO()
    coco.dataset = {**content, 'annotations': copy.deepcopy(content.get('annotations', []))}
    coco.createIndex()
    return coco


def _stripped(iou_type: str, detections: Sequence[Mapping[str, Any]]) -> list[dict]:
    """Copies with what ``iou_type`` is about: a box beside a mask would decide about its size."""
    shape = 'segmentation' if iou_type == 'segm' else 'bbox'
    keys = ('image_id', 'category_id', 'score', shape)
    return [{key: copy.copy(detection[key]) for key in keys} for detection in detections]


def _mean(precision: np.ndarray) -> float:
    valid = precision[precision > -1]
    return float(valid.mean()) if valid.size else -1.0
