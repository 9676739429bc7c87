"""The four protocols of LAVT and LAVT-pytorch, by hand and against what the originals computed."""

import json

import numpy as np
import pytest
import torch
from metric_samples import HEIGHT, WIDTH, evaluate, make_samples
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.structures import InstanceData

from mmrefseg.datasets.transforms import LoadRefAnnotations
from mmrefseg.evaluation.metrics.ref_metrics import RESMetric
from mmrefseg.evaluation.prediction_file import load_predictions, pair_predictions
from mmrefseg.runs.testing import describe_model, set_metric_options
from mmrefseg.structures.masks import mask_problem, to_bitmap
from mmrefseg.structures.rle import encode_mask, resize_mask
from mmrefseg.utils import UserInputError


def sample_of(masks: np.ndarray, truth: np.ndarray, ref_ids: list, sent_ids: list, network=None):
    """One image with N predictions; ``truth`` is the object of all of them."""
    size = truth.shape
    sample = DetDataSample(
        metainfo=dict(img_id=1, ori_shape=size, img_shape=network or size, ref_ids=ref_ids, sent_ids=sent_ids)
    )
    count = len(masks)
    sample.gt_instances = InstanceData(
        masks=BitmapMasks(np.stack([truth] * count).astype(np.uint8), *size),
        has_mask=torch.ones(count, dtype=torch.bool),
    )
    sample.pred_instances = InstanceData(masks=torch.from_numpy(np.asarray(masks, bool)))
    return sample


def columns(*stop: int) -> np.ndarray:
    """Masks of 4 x 8 pixels whose first columns are set."""
    masks = np.zeros((len(stop), 4, 8), bool)
    for mask, end in zip(masks, stop, strict=True):
        mask[:, :end] = True
    return masks


# An object of two columns: said three times, found with 2, 4 and 8 columns. Another: said once, 1 column.
TRUTH = columns(2)[0]
SAID = (2, 4, 8)


@pytest.mark.parametrize(
    ('protocol', 'first', 'ious'),
    [
        ('sentence', SAID, (1.0, 0.5, 0.25, 0.5)),
        # The pixels that two of three hold.
        ('avg', SAID, (0.5, 0.5)),
        # The model has read all three at once, and says the same for each.
        ('cat', (4, 4, 4), (0.5, 0.5)),
    ],
)
def test_by_hand(protocol, first, ious):
    samples = [
        sample_of(columns(*first), TRUTH, [7, 7, 7], [1, 2, 3]),
        sample_of(columns(1), TRUTH, [8], [4]),
    ]
    results = evaluate(RESMetric(protocol=protocol), samples)
    assert results['res/miou'] == pytest.approx(100 * np.mean(ious))
    assert results['res/p50'] == pytest.approx(100 * np.mean(np.array(ious) >= 0.5))


def test_cat_refuses_an_object_with_two_answers():
    samples = [sample_of(columns(*SAID), TRUTH, [7, 7, 7], [1, 2, 3])]
    with pytest.raises(UserInputError, match=r"several predictions.*ref_id 7.*sentences='cat'"):
        evaluate(RESMetric(protocol='cat'), samples)


def test_cat_from_a_file(tmp_path):
    """One entry per object, or one per sentence that say the same; not two that differ."""
    record = dict(
        image_id=1, height=4, width=8, bbox=[0, 0, 2, 4], mask=encode_mask(TRUTH),
        expressions=['a', 'b'], category_id=1, ref_id=7, sent_ids=[1, 2],
    )  # fmt: skip

    def pairs(*found: int):
        masks = [encode_mask(mask) for mask in columns(*found)]
        entries = [dict(ref_id=7, sent_id=k, segmentation=mask) for k, mask in enumerate(masks, 1)]
        (tmp_path / 'p.json').write_text(json.dumps(entries))
        return pair_predictions(load_predictions(tmp_path / 'p.json'), [record], 'p.json', per_object=True)

    assert len(pairs(4)) == len(pairs(4, 4)) == 1
    assert pairs(4, 4)[0].prediction == encode_mask(columns(4)[0])
    with pytest.raises(UserInputError, match='1 duplicate'):
        pairs(4, 2)


def test_network_frame_by_hand():
    """LAVT's own: 4 x 8 pixels become 4 x 4; of the target, columns 1, 3, 5 and 7 are kept."""
    truth = columns(3)[0]
    prediction = np.zeros((1, 4, 4), bool)
    prediction[:, :, :2] = True
    sample = sample_of(prediction, truth, [1], [1], network=(4, 4))
    results = evaluate(RESMetric(frame='network'), [sample])
    assert resize_mask(truth, 4, 4)[0].tolist() == [True, False, False, False]
    assert results['res/oiou'] == results['res/p50'] / 2 == 50.0


@pytest.fixture(scope='module')
def lavt(golden_dir):
    return golden_dir / 'lavt'


def test_lavts_numbers(lavt):
    """40 pairs with empty masks, exact thresholds: mIoU, overall IoU, precision of LAVT's own script."""
    golden = np.load(lavt / 'lavt_metrics.npz')
    samples = [
        sample_of(pred[None], target, [k], [k])
        for k, (pred, target) in enumerate(zip(golden['pred'], golden['target'], strict=True))
    ]
    assert len(samples) == 40
    results = evaluate(RESMetric(frame='network'), samples)
    assert results['res/miou'] == pytest.approx(100 * float(golden['test_mIoU_f64']), rel=1e-12)
    assert results['res/oiou'] == pytest.approx(100 * float(golden['test_overall_f64']), rel=1e-12)
    precision = golden['test_seg_correct'] * 100.0 / golden['test_seg_total']
    assert [results[f'res/p{k}0'] for k in (5, 6, 7, 8, 9)] == pytest.approx(precision.tolist())


def test_lavts_numbers_per_sentence(lavt):
    """12 objects with one to four sentences: every sentence counts."""
    golden = np.load(lavt / 'lavt_metrics.npz')
    counts = golden['multi_sentences_per_ref'].tolist()
    samples, number = [], 0
    for ref_id, count in enumerate(counts):
        masks = [golden['pred'][(number + k) % 40] for k in range(count)]
        target = golden['target'][ref_id]
        samples.append(sample_of(masks, target, [ref_id] * count, list(range(number, number + count))))
        number += count
    assert number == len(golden['multi_iou_f64']) == int(golden['multi_seg_total']) == 30
    results = evaluate(RESMetric(frame='network'), samples)
    assert results['res/miou'] == pytest.approx(100 * float(golden['multi_mIoU_f64']), rel=1e-12)
    expected = 100 * int(golden['multi_cum_I']) / int(golden['multi_cum_U'])
    assert results['res/oiou'] == pytest.approx(expected, rel=1e-12)


def test_target_at_the_networks_size(lavt):
    """The target of 120 x 200 pixels at 480 x 480, as torchvision's transform makes it."""
    golden = np.load(lavt / 'lavt_preprocess.npz')
    np.testing.assert_array_equal(resize_mask(golden['mask'], 480, 480), golden['train_target'])


def test_overlapping_polygons(lavt):
    """refer's getMask adds polygons up and takes what is 1; ours joins them unless asked."""
    polygons = json.loads((lavt / 'refer_getmask_polygons.json').read_text())
    golden = np.load(lavt / 'refer_getmask.npz')
    size = polygons['height'], polygons['width']
    overlaps = 0
    for number, mask in enumerate(polygons['cases']):
        total, target = golden[f'case{number}_sum'], golden[f'case{number}_target']
        np.testing.assert_array_equal(to_bitmap(mask, *size, 'x', mask_problem, 'background'), target)
        np.testing.assert_array_equal(to_bitmap(mask, *size, 'x', mask_problem), total > 0)
        overlaps += int((total > 1).sum())
    assert len(polygons['cases']) == 4 and overlaps > 100


def test_overlap_in_the_pipeline():
    square = [0.0, 0.0, 6.0, 0.0, 6.0, 6.0, 0.0, 6.0]
    right = [3.0, 0.0, 9.0, 0.0, 9.0, 6.0, 3.0, 6.0]
    instance = dict(bbox=[0, 0, 9, 6], mask=[square, right], category_id=1)
    results = dict(instances=[instance], ori_shape=(10, 12))
    joined = LoadRefAnnotations()(dict(results))['gt_masks'].masks[0]
    parted = LoadRefAnnotations(overlap='background')(dict(results))['gt_masks'].masks[0]
    assert joined.sum() == 54 and parted.sum() == 36 and not parted[:, 3:6].any()
    with pytest.raises(UserInputError, match=r"overlap='both'.*union"):
        LoadRefAnnotations(overlap='both')


def config(**test_cfg) -> Config:
    return Config(dict(model=dict(test_cfg=test_cfg), test_evaluator=dict(type='RESMetric')))


@pytest.mark.parametrize(
    ('options', 'before', 'after'),
    [
        ({'protocol': 'cat'}, 'each', ('cat', 'original')),
        ({'protocol': 'avg'}, 'each', ('avg', 'original')),
        ({'protocol': 'cat'}, 'cat_legacy', ('cat_legacy', 'original')),
        ({'protocol': 'sentence'}, 'each', ('each', 'original')),
        ({'frame': 'network'}, 'each', ('each', 'network')),
    ],
)
def test_the_model_predicts_what_is_scored(options, before, after):
    changed = config(sentences=before, frame='original')
    set_metric_options(changed, options)
    assert (changed.model.test_cfg.sentences, changed.model.test_cfg.frame) == after
    assert describe_model(changed) == f'model: sentences={after[0]}, frame={after[1]}'
    assert changed.test_evaluator[0][next(iter(options))] == next(iter(options.values()))


def test_models_without_a_choice_are_left_alone():
    changed = config(confine_to_box=True)
    set_metric_options(changed, {'protocol': 'avg', 'frame': 'network'})
    assert changed.model.test_cfg == dict(confine_to_box=True) and describe_model(changed) == ''


def test_sizes_of_the_made_samples():
    """The other tests of the metric run through every protocol too."""
    samples = make_samples(6, boxes=False)
    assert samples[0].ori_shape == (HEIGHT, WIDTH)
    for sample in samples:
        first = sample.pred_instances.masks[:1]
        sample.pred_instances.masks = first.expand(len(sample.ref_ids), -1, -1).clone()
    assert evaluate(RESMetric(protocol='cat'), samples) == evaluate(RESMetric(protocol='avg'), samples)
