"""The fields of a sample."""

import random

import numpy as np

# What has one entry per pair, in the results of a pipeline.
ROW_ARRAYS = (
    'gt_bboxes',
    'gt_bboxes_labels',
    'gt_has_mask',
    'gt_multi_part',
    'gt_bbox_tokens',
    'gt_mask_tokens',
)
ROW_LISTS = ('instances', 'expressions', 'ref_ids', 'sent_ids')


def keep_rows(results: dict, keep: np.ndarray) -> None:
    """Drop the pairs where ``keep`` (N,) bool is False, in place."""
    for key in ROW_ARRAYS:
        if key in results:
            results[key] = results[key][keep]
    for key in ROW_LISTS:
        if key in results:
            results[key] = [item for item, kept in zip(results[key], keep, strict=True) if kept]
    if 'gt_masks' in results:
        results['gt_masks'] = results['gt_masks'][keep]


def flag_vanished_masks(results: dict) -> None:
    """A mask of which resizing or cropping left no pixel counts as withheld from here on, in place."""
    if 'gt_masks' in results:
        results['gt_has_mask'] = results['gt_has_mask'] & results['gt_masks'].masks.any(axis=(1, 2))


def where_of(results: dict, row: int = 0) -> str:
    """File and id of a pair, for error messages."""
    instances = results.get('instances') or [{}]
    ref_id = instances[row].get('ref_id')
    return f'{results.get("img_path", "image in memory")}' + ('' if ref_id is None else f', ref_id {ref_id}')


def rng_of(results: dict) -> random.Random:
    """The sample's own random numbers (so that a run does not depend on the number of workers)."""
    return results.get('rng') or random
