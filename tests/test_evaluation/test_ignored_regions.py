"""Pixels that an annotation ignores (ReasonSeg) count neither way, online and offline."""

import json

import numpy as np
import pytest
from metric_samples import evaluate
from mmengine.structures import InstanceData
from PIL import Image

from mmrefseg.datasets.annotations import load_split
from mmrefseg.datasets.ref_seg_dataset import RefSegDataset
from mmrefseg.datasets.transforms import (
    DrawExpression,
    LoadRefAnnotations,
    LoadRefImage,
    PackRefInputs,
    RefResize,
)
from mmrefseg.evaluation.functional.protocols import Pair
from mmrefseg.evaluation.metrics.ref_metrics import RESMetric
from mmrefseg.evaluation.prediction_file import Frame, pair_predictions
from mmrefseg.structures.masks import to_bitmap
from mmrefseg.structures.rle import decode_mask, encode_mask
from mmrefseg.utils import UserInputError, dump_json

RECORD = {
    'image_id': 0,
    'file_name': 'a.png',
    'height': 48,
    'width': 64,
    'bbox': [10, 10, 50, 30],
    'mask': [[10, 10, 60, 10, 60, 40, 10, 40]],
    'ignore_mask': [[20, 20, 40, 20, 40, 30, 20, 30], [0, 44, 9, 44, 9, 48, 0, 48]],
    'expressions': ['what cuts?'],
}
TRUE, IGNORED = (to_bitmap(RECORD[key], 48, 64) for key in ('mask', 'ignore_mask'))


@pytest.fixture
def folder(tmp_path):
    """With an image and its annotation file."""
    Image.new('RGB', (64, 48)).save(tmp_path / 'a.png')
    dump_json({'train': [RECORD]}, tmp_path / 'instances.json')
    return tmp_path


def offline(folder, mask, **options) -> Pair:
    objects = load_split(folder / 'instances.json', 'train')
    entry = {'ref_id': 0, 'sent_id': 0, 'segmentation': encode_mask(mask)}
    (pair,) = pair_predictions([entry], objects, 'predictions', **options)
    return pair


def online(folder, mask, **options) -> dict[str, float]:
    steps = [LoadRefImage(), DrawExpression(), RefResize((32, 32)), LoadRefAnnotations(), PackRefInputs()]
    dataset = RefSegDataset('instances.json', data_root=str(folder), pipeline=steps, test_mode=True)
    sample = dataset[0]['data_samples']
    sample.pred_instances = InstanceData(masks=mask[None], scores=np.ones(1))
    return evaluate(RESMetric(**options), [sample])


def test_ignored_pixels_count_neither_way(folder):
    """With and without them the prediction is perfect; ten wrong pixels elsewhere are wrong."""
    assert (TRUE & IGNORED).sum() == 200
    wrong = TRUE & ~IGNORED
    wrong[0, :10] = True
    perfect = (TRUE, TRUE & ~IGNORED, TRUE | IGNORED)
    for predicted, expected in (*((mask, 100) for mask in perfect), (wrong, 100 * 1300 / 1310)):
        assert online(folder, predicted)['res/miou'] == pytest.approx(expected)
        pair = offline(folder, predicted)
        prediction, target = decode_mask(pair.prediction), decode_mask(pair.target)
        assert 100 * (prediction & target).sum() / (prediction | target).sum() == pytest.approx(expected)
    assert online(folder, TRUE, frame='network')['res/miou'] == 100
    pair = offline(folder, TRUE, frame=Frame(32, 32))
    assert pair.prediction == pair.target and pair.target['size'] == [24, 32]


def test_an_ignored_region_must_be_drawable(folder):
    splits = json.loads((folder / 'instances.json').read_text())
    splits['train'][0]['ignore_mask'] = [[1, 2, 3]]
    dump_json(splits, folder / 'instances.json')
    with pytest.raises(UserInputError, match='polygon 0 of 3 numbers'):
        load_split(folder / 'instances.json', 'train')
