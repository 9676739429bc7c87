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
Id = int | str


@dataclass(frozen=True)
class AveragePrecision:
    """What one kind of IoU (boxes or masks) gives.

    Attributes:
        columns: ``mAP, mAP_50, mAP_75, mAP_s, mAP_m, mAP_l`` in [0, 1]; -1 where there is no ground truth of
            that size, as in pycocotools.
        per_category: Category id -> AP over the ten thresholds; -1 where the category has no ground truth.
    """

    columns: dict[str, float]
    per_category: dict[Id, float]


def average_precision(
    truth: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    iou_type: str,
    image_ids: Iterable[Id] | None = None,
    category_ids: Iterable[Id] | None = None,
    backend: str = 'pycocotools',
) -> AveragePrecision:
    """Score detections against the annotations of a COCO file.

    Ids may be any numbers or text (pycocotools, for one, takes an annotation with id 0 for a miss).

    Args:
        truth: Content of the annotation file: ``images, annotations, categories``. For ``'segm'``, an
            annotation without a ``segmentation`` is neither to be found nor to be missed: a detection inside
            its box does not count.
        detections: ``{image_id, category_id, score, bbox or segmentation}`` each; ``bbox`` is xywh in pixels,
            ``segmentation`` an RLE. The hundred best of an image and category count.
        iou_type: ``'bbox'`` or ``'segm'``, by which the size of a detection is its mask's too.
        image_ids: Score these images only (default: all).
        category_ids: Score these categories only (default: all).
        backend: One of ``BACKENDS``.

    Raises:
        UserInputError: For another backend or one that is not installed, or a detection on an unknown image.
    """
    coco_and_evaluator = _load_backend(backend)
    images = _numbered(image['id'] for image in truth['images'])
    categories = _numbered(category['id'] for category in truth['categories'])
    strangers = {detection['image_id'] for detection in detections} - images.keys()
    if strangers:
        raise UserInputError.of(
            'detections',
            f'image_id {next(iter(_numbered(strangers)))}',
            'the images of the annotation file',
            'check that both belong to the same data',
        )
    chosen = sorted(images[id_] for id_ in (images if image_ids is None else image_ids) if id_ in images)
    wanted = _numbered(categories if category_ids is None else category_ids)
    numbered = _renumbered(truth, images, categories, iou_type)
    scored = [_stripped(detection, images, categories, iou_type) for detection in detections]
    chosen_categories = [categories[id_] for id_ in wanted]
    precision = _precision(coco_and_evaluator, numbered, scored, iou_type, chosen, chosen_categories)
    summary = {name: _mean(precision[rows, :, :, size]) for name, (rows, size) in COLUMNS.items()}
    per_category = {id_: _mean(precision[:, :, place, 0]) for place, id_ in enumerate(wanted)}
    return AveragePrecision(summary, per_category)


def _precision(
    backend: tuple[ModuleType, type],
    truth: dict[str, Any],
    detections: list[dict],
    iou_type: str,
    image_ids: list[int],
    category_ids: list[int],
) -> np.ndarray:
    """(thresholds, recalls, categories, sizes) precision at the last limit, a hundred detections."""
    coco_module, evaluator = backend
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        targets = _coco(coco_module, truth)
        found = (
            targets.loadRes(detections) if detections else _coco(coco_module, {**truth, 'annotations': []})
        )
        run = evaluator(targets, found, iou_type)
        run.params.imgIds = image_ids
        run.params.catIds = category_ids
        run.evaluate()
        run.accumulate()
    # pycocotools adds 2.2e-16 to a number of detections before it divides, faster-coco-eval does not: rounded
    # both are equal.
    return np.round(np.ascontiguousarray(run.eval['precision'][..., -1]), 14)


def _numbered(ids: Iterable[Id]) -> dict[Id, int]:
    """Each id's number from 1 on: numbers in their order, then text."""
    ordered = sorted(set(ids), key=lambda id_: (isinstance(id_, str), id_))
    return {id_: number for number, id_ in enumerate(ordered, 1)}


def _renumbered(
    truth: Mapping[str, Any], images: Mapping[Id, int], categories: Mapping[Id, int], iou_type: str
) -> dict[str, Any]:
    """The ground truth with ids that every backend takes; the evaluation may add keys to its entries."""
    annotations = []
    for annotation in truth.get('annotations', ()):
        image, category = images.get(annotation['image_id']), categories.get(annotation['category_id'])
        if image is None or category is None:
            continue
        mine = {**annotation, 'id': len(annotations) + 1, 'image_id': image, 'category_id': category}
        if iou_type == 'segm' and not mine.get('segmentation'):
            x, y, w, h = mine['bbox']
            mine |= {'segmentation': [[x, y, x + w, y, x + w, y + h, x, y + h]], 'iscrowd': 1}
        annotations.append(mine)
    return {
        'images': [{**image, 'id': images[image['id']]} for image in truth['images']],
        'categories': [{**category, 'id': categories[category['id']]} for category in truth['categories']],
        'annotations': annotations,
    }


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
    """A COCO object of what a file holds."""
    coco = module.COCO()
    coco.dataset = content
    coco.createIndex()
    return coco


def _stripped(
    detection: Mapping[str, Any], images: Mapping[Id, int], categories: Mapping[Id, int], iou_type: str
) -> dict:
    """A copy with what ``iou_type`` is about: a box beside a mask would decide about its size."""
    shape = 'segmentation' if iou_type == 'segm' else 'bbox'
    return {
        'image_id': images[detection['image_id']],
        'category_id': categories[detection['category_id']],
        'score': detection['score'],
        shape: copy.copy(detection[shape]),
    }


def _mean(precision: np.ndarray) -> float:
    valid = precision[precision > -1]
    return float(valid.mean()) if valid.size else -1.0
