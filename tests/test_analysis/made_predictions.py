"""Predictions of a made-up model: mostly right, sometimes moved, cut, empty or on another object."""

import cv2
import numpy as np

from mmrefseg.structures.masks import to_bitmap
from mmrefseg.structures.rle import encode_mask


def make_predictions(objects: list[dict], seed: int = 0) -> list[dict]:
    """One prediction per expression of the records, in the layout of a prediction file."""
    rng = np.random.default_rng(seed)
    of_image: dict = {}
    for record in objects:
        of_image.setdefault(record['image_id'], []).append(record)
    predictions = []
    for record in objects:
        mask = to_bitmap(record['mask'], record['height'], record['width']).astype(np.uint8)
        others = [other for other in of_image[record['image_id']] if other['bbox'] != record['bbox']]
        for sent_id in record['sent_ids']:
            found = change(mask, rng, others)
            predictions.append(
                {
                    'ref_id': record['ref_id'],
                    'sent_id': sent_id,
                    'segmentation': encode_mask(found),
                    'score': round(float(rng.random()), 3),
                }
            )
    return predictions


def change(mask: np.ndarray, rng: np.random.Generator, others: list[dict]) -> np.ndarray:
    """The mask as the model would see it."""
    what = rng.choice(['good', 'moved', 'part', 'empty', 'other'], p=[0.5, 0.2, 0.12, 0.03, 0.15])
    side = max(int(mask.sum() ** 0.5), 2)
    if what == 'empty':
        return np.zeros_like(mask)
    if what == 'other' and others:
        other = others[rng.integers(len(others))]
        return to_bitmap(other['mask'], other['height'], other['width'])
    if what == 'part':
        rows = np.flatnonzero(mask.any(1))
        cut = mask.copy()
        cut[: rows[0] + int(len(rows) * rng.uniform(0.55, 0.8))] = 0
        return cut
    if what == 'moved':
        return np.roll(mask, int(side * rng.uniform(0.1, 0.6)), axis=1)
    size = max(int(side * rng.uniform(0.0, 0.12)), 1)
    return cv2.dilate(mask, np.ones((size, size), np.uint8))
