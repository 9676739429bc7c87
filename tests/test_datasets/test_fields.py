"""The table of a sample's fields: what docs/data.md prints, what the data set and the transforms add, what is
packed."""

import re

import cv2
import numpy as np
import pytest
from mmdet.registry import DATASETS
from test_transforms import CODEC, record

from mmrefseg.datasets.fields import INSTANCE_FIELDS, META_FIELDS, RECORD_FIELDS, SAMPLE_FIELDS
from mmrefseg.datasets.predicted_pairs import Checkpoint
from mmrefseg.datasets.transforms import (
    DrawExpression,
    EncodeContour,
    LoadRefAnnotations,
    LoadRefImage,
    PackRefInputs,
    RefFlip,
    RefResize,
)
from mmrefseg.pseudo_labels import Candidate, Selector
from mmrefseg.structures.rle import encode_mask
from mmrefseg.utils import dump_json

STEPS = (
    LoadRefImage(),
    DrawExpression(),
    LoadRefAnnotations(),
    RefFlip(prob=1.0),
    RefResize((240, 240)),
    EncodeContour(CODEC),
)
# mmcv's Resize keeps what it was asked for.
OF_MMCV = {'scale', 'keep_ratio'}


@pytest.fixture
def dataset(tmp_path):
    records = [
        {**record(i), 'image_id': 7, 'ref_id': i, 'height': 90, 'width': 120, 'sent_ids': [2 * i, 2 * i + 1],
         'expressions': ['left one', 'right one'], 'file_name': 'a.png'}
        for i in (1, 2, 3)
    ]  # fmt: skip
    dump_json({'train': records}, tmp_path / 'instances.json')
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((90, 120, 3), np.uint8))
    return DATASETS.build(
        dict(type='RefSegDataset', ann_file='instances.json', data_root=str(tmp_path), group_by='image')
    )


def documented(repo_root) -> list[list[list[str]]]:
    """The cells of the table's rows, each the names in it."""
    text = (repo_root / 'docs/data.md').read_text()
    lines = text.split('### Fields of a sample')[1].split('\n#')[0].split('\n')
    rows = [line.split('|')[1:4] for line in lines if line.startswith('| ')][1:]
    return [[re.findall(r'`(\w+)`|(metainfo)', cell) for cell in row] for row in rows]


def test_the_documented_table_is_the_one_in_the_code(repo_root):
    rows = [[[a or b for a, b in cell] for cell in row] for row in documented(repo_root)]
    assert len(rows) >= 20
    assert sorted(name for row in rows for name in row[0]) == sorted(RECORD_FIELDS)
    packed = {'img': 'inputs'}
    for _, names, targets in rows:
        targets = targets * len(names) if targets == ['metainfo'] else targets or [None] * len(names)
        packed.update(zip(names, targets, strict=True))
    assert packed == {field.name: field.packed for field in SAMPLE_FIELDS} | {'img': 'inputs'}


def test_every_step_adds_the_fields_that_are_said_to_be_its(dataset):
    added = {}
    for field in SAMPLE_FIELDS:
        added.setdefault(field.added_by, set()).add(field.name)
    results = dataset.get_data_info(0)
    assert results.keys() == added.pop('RefSegDataset')
    for step in STEPS:
        before = set(results)
        results = step(results)
        assert set(results) - before - OF_MMCV == added.pop(type(step).__name__, set()), step
    assert not added
    for field in SAMPLE_FIELDS:
        if field.per_pair:
            assert len(results[field.name]) == 3, field


def test_packing_keeps_what_the_table_says(dataset):
    results = dataset.get_data_info(0)
    for step in STEPS:
        results = step(results)
    sample = PackRefInputs()(results)['data_samples']
    assert set(sample.metainfo) == set(META_FIELDS)
    assert set(sample.gt_instances.keys()) == {field.packed for field in INSTANCE_FIELDS}
    for field in INSTANCE_FIELDS:
        value = sample.gt_instances[field.packed]
        assert len(value) == 3 and (field.dtype is None or str(value.dtype) == f'torch.{field.dtype}')
    assert results['gt_bboxes'].dtype == np.float64


def test_an_accepted_pseudo_mask_adds_fields_of_the_table():
    bare = {'ref_id': 1, 'image_id': 1, 'height': 4, 'width': 4, 'bbox': [0, 0, 4, 4], 'category_id': 0}
    mask, points = encode_mask(np.ones((4, 4))), [0, 0, 4, 0, 4, 4]
    candidate = Candidate(mask, 0.0, 0.9, 1.0, False, 'a', Checkpoint(), points)
    accepted = Selector('rpp').decide(bare, [candidate]).record
    new = accepted.keys() - bare.keys()
    assert {'mask', 'mask_source', 'mask_points'} <= new <= set(RECORD_FIELDS)
