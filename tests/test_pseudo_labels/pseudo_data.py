"""Objects without masks, and predictions of several expressions for each."""

import json
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

HEIGHT, WIDTH = 60, 80


def to_json(mask: np.ndarray) -> dict:
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {'size': rle['size'], 'counts': rle['counts'].decode()}


def rectangle(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:bottom, left:right] = True
    return mask


def make_objects(number: int, expressions: int = 3) -> list[dict]:
    """Boxes of many sizes, whole pixels; every fifth object has its own mask (the sample)."""
    rng = np.random.default_rng(0)
    objects = []
    for index in range(number):
        left, top = (int(value) for value in rng.integers(0, 30, 2))
        width, height = int(rng.integers(8, 50)), int(rng.integers(8, 30))
        record = {
            'image_id': index // 2,
            'height': HEIGHT,
            'width': WIDTH,
            'bbox': [left, top, width, height],
            'category_id': index % 3,
            'expressions': [f'object {index} said {k}' for k in range(expressions)],
            'ref_id': index,
            'sent_ids': [10 * index + k for k in range(expressions)],
            'note': f'kept {index}',
        }
        if index % 5 == 0:
            record['mask'] = [[left, top, left + width, top, left + width, top + height, left, top + height]]
        objects.append(record)
    return objects


def make_predictions(objects: list[dict], seed: int = 1) -> list[dict]:
    """One mask per expression: the box shrunken or moved at random, sometimes nothing."""
    rng = np.random.default_rng(seed)
    predictions = []
    for record in objects:
        left, top, width, height = record['bbox']
        for sent_id, expression in zip(record['sent_ids'], record['expressions'], strict=True):
            shrink, shift = rng.integers(0, 4), rng.integers(0, 8)
            mask = rectangle(
                left + shrink + shift, top + shrink, left + width - shrink + shift, top + height - shrink
            )
            if rng.random() < 0.1:
                mask[:] = False
            predictions.append(
                {
                    'ref_id': record['ref_id'],
                    'sent_id': sent_id,
                    'image_id': record['image_id'],
                    'expression': expression,
                    'segmentation': to_json(mask),
                    'bbox': [0, 0, 1, 1],
                    'score': float(rng.random()),
                    'checkpoint': 'best.pth',
                    'checkpoint_sha256': '0' * 16,
                }
            )
    return predictions


def write_lines(records: list[dict], path: Path) -> str:
    path.write_text(''.join(json.dumps(record) + '\n' for record in records))
    return str(path)
