"""The fields of a sample, on their way from a record to the network.

A record's fields reach a pipeline as ``results['instances']``; its steps add fields of their own, and the
last one packs some of them for the model. What each field means, with shapes and units, is in the table
"Fields of a sample" of ``docs/data.md``; here is what the code needs to know of them.

N pairs of object and expression share one image.
"""

import random
from typing import NamedTuple

import numpy as np

# The fields of a record that the package reads or writes; a file may have others, which are kept.
RECORD_FIELDS = (
    'image_id',
    'height',
    'width',
    'file_name',
    'data_source',
    'ref_id',
    'expressions',
    'sent_ids',
    'category_id',
    'category',
    'no_target',
    'bbox',
    'mask',
    'ignore_mask',
    'mask_source',
    'mask_score',
    'mask_rpp',
    'mask_expression',
    'mask_points',
)


class Field(NamedTuple):
    """A field of a pipeline's ``results``.

    Attributes:
        name: Its key.
        added_by: The dataset or the first step that sets it.
        per_pair: Whether it has N entries, one for each pair.
        packed: Its name in ``gt_instances`` of the data sample, ``'metainfo'`` for meta information of the
            same name, or None if it is not packed.
        dtype: Of the tensor in ``gt_instances``; None for what is handed over as it is.
    """

    name: str
    added_by: str
    per_pair: bool = False
    packed: str | None = None
    dtype: str | None = None


SAMPLE_FIELDS = (
    Field('img_path', 'RefSegDataset', packed='metainfo'),
    Field('img_id', 'RefSegDataset', packed='metainfo'),
    Field('height', 'RefSegDataset'),
    Field('width', 'RefSegDataset'),
    Field('split', 'RefSegDataset', packed='metainfo'),
    Field('sample_idx', 'RefSegDataset'),
    Field('instances', 'RefSegDataset', per_pair=True),
    Field('rng', 'RefSegDataset'),
    Field('img', 'LoadRefImage'),
    Field('ori_shape', 'LoadRefImage', packed='metainfo'),
    Field('img_shape', 'LoadRefImage', packed='metainfo'),
    Field('scale_factor', 'LoadRefImage', packed='metainfo'),
    Field('ref_ids', 'DrawExpression', per_pair=True, packed='metainfo'),
    Field('sent_ids', 'DrawExpression', per_pair=True, packed='metainfo'),
    Field('expressions', 'DrawExpression', per_pair=True, packed='metainfo'),
    Field('gt_bboxes', 'LoadRefAnnotations', per_pair=True, packed='bboxes', dtype='float32'),
    Field('gt_bboxes_labels', 'LoadRefAnnotations', per_pair=True, packed='labels', dtype='int64'),
    Field('gt_masks', 'LoadRefAnnotations', per_pair=True, packed='masks'),
    Field('gt_has_mask', 'LoadRefAnnotations', per_pair=True, packed='has_mask', dtype='bool'),
    Field('gt_multi_part', 'LoadRefAnnotations', per_pair=True, packed='multi_part', dtype='bool'),
    Field('gt_mask_scores', 'LoadRefAnnotations', per_pair=True, packed='mask_scores', dtype='float32'),
    Field('gt_ignore', 'LoadRefAnnotations', per_pair=True, packed='ignore'),
    Field('gt_points', 'LoadRefAnnotations', per_pair=True),
    Field('flip', 'RefFlip'),
    Field('flip_direction', 'RefFlip'),
    Field('gt_bbox_tokens', 'EncodeContour', per_pair=True, packed='bbox_tokens', dtype='int64'),
    Field('gt_mask_tokens', 'EncodeContour', per_pair=True, packed='mask_tokens', dtype='int64'),
)
META_FIELDS = tuple(field.name for field in SAMPLE_FIELDS if field.packed == 'metainfo')
INSTANCE_FIELDS = tuple(field for field in SAMPLE_FIELDS if field.packed not in (None, 'metainfo'))


def keep_pairs(results: dict, keep: np.ndarray) -> None:
    """Drop the pairs where ``keep`` (N,) bool is False, in place."""
    for name in (field.name for field in SAMPLE_FIELDS if field.per_pair and field.name in results):
        values = results[name]
        if isinstance(values, list):
            results[name] = [value for value, kept in zip(values, keep, strict=True) if kept]
        else:
            results[name] = values[keep]


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
