"""The mmengine shells: what they count, refuse and write."""

import json

import numpy as np
import pytest
import torch
from metric_samples import HEIGHT, WIDTH, annotations_of, evaluate, make_samples
from mmdet.registry import METRICS

from mmrefseg.evaluation.functional.protocols import score_pairs
from mmrefseg.evaluation.functional.summary import summarise_boxes, summarise_masks
from mmrefseg.evaluation.metrics.ref_metrics import RECMetric, RESMetric
from mmrefseg.evaluation.prediction_file import Frame, load_predictions, pair_predictions
from mmrefseg.structures.boxes import paired_box_iou
from mmrefseg.structures.rle import decode_mask, resize_mask
from mmrefseg.utils import UserInputError

KEYS = ['oiou', 'miou', 'p50', 'p60', 'p70', 'p80', 'p90', 'acc50']


def stack(samples, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """All predicted and true masks or boxes of the samples."""
    predictions, truths = [], []
    for sample in samples:
        truth = sample.gt_instances[kind]
        predictions.extend(np.asarray(sample.pred_instances[kind]))
        truths.extend(truth.masks if kind == 'masks' else np.asarray(getattr(truth, 'tensor', truth)))
    return np.array(predictions), np.array(truths)


def count(predictions: np.ndarray, truths: np.ndarray) -> dict[str, float]:
    truths = truths.astype(bool)
    return summarise_masks((predictions & truths).sum((1, 2)), (predictions | truths).sum((1, 2)))


def test_res_metric_counts_every_expression_once():
    samples = make_samples()
    # A sampler's padding, and another length than mmengine would cut to.
    results = evaluate(METRICS.build({'type': 'RESMetric'}), [*samples, samples[0]], size=3)
    assert list(results) == [f'res/{key}' for key in KEYS]
    expected = count(*stack(samples, 'masks'))
    expected['acc50'] = summarise_boxes(paired_box_iou(*stack(samples, 'bboxes')))['acc50']
    assert {key: results[f'res/{key}'] for key in KEYS} == pytest.approx(expected, abs=1e-5)
    assert 0 < results['res/p80'] < 100 and 0 < results['res/acc50'] < 100


def test_res_metric_can_be_used_again():
    metric = RESMetric()
    samples = make_samples()
    assert evaluate(metric, samples) == evaluate(metric, samples, batch_size=3)


def test_res_metric_without_boxes_has_no_acc50():
    results = evaluate(RESMetric(), make_samples(boxes=False))
    assert list(results) == [f'res/{key}' for key in KEYS[:-1]]


def test_network_frame_resizes_both():
    samples = make_samples(boxes=False)
    resized = [np.array([resize_mask(m, 48, 70) for m in masks]) for masks in stack(samples, 'masks')]
    results = evaluate(RESMetric(frame='network'), samples)
    assert {key[4:]: value for key, value in results.items()} == pytest.approx(count(*resized))
    # A model may hand over its masks at the network's size already.
    for sample in samples:
        masks = [resize_mask(mask, 48, 70) for mask in sample.pred_instances.masks.numpy()]
        sample.pred_instances.masks = torch.from_numpy(np.array(masks))
    assert evaluate(RESMetric(frame='network'), samples) == results


def test_avg_and_cat_count_objects():
    samples = make_samples(6)
    masks = [np.asarray(sample.pred_instances.masks).mean(axis=0) >= 0.5 for sample in samples]
    truths = [sample.gt_instances.masks.masks[0] for sample in samples]
    results = evaluate(RESMetric(protocol='avg'), samples)
    assert results['res/oiou'] == pytest.approx(count(np.array(masks), np.array(truths))['oiou'])
    assert results != evaluate(RESMetric(), samples)
    with pytest.raises(UserInputError, match='one per object'):
        evaluate(RESMetric(protocol='cat'), samples)


def test_legacy_needs_to_know_the_parts():
    samples = make_samples(boxes=False)
    predictions, truths = stack(samples, 'masks')
    truths = truths.astype(bool)
    crowd = np.concatenate([sample.gt_instances.multi_part.numpy() for sample in samples])
    assert crowd.any() and not crowd.all()
    both = (predictions & truths).sum((1, 2))
    below = np.where(crowd, predictions.sum((1, 2)), (predictions | truths).sum((1, 2)))
    results = evaluate(RESMetric(legacy=True), samples)
    assert results['res/miou'] == pytest.approx(100 * np.mean(both / below))
    assert results['res/miou'] > evaluate(RESMetric(), samples)['res/miou']
    del samples[0].gt_instances.multi_part
    with pytest.raises(UserInputError, match='multi_part'):
        evaluate(RESMetric(legacy=True), samples)


def test_rec_metric_looks_at_boxes_only():
    samples = make_samples(masks=False)
    for sample in samples:
        del sample.gt_instances.masks
    results = evaluate(RECMetric(), samples)
    expected = summarise_boxes(paired_box_iou(*stack(samples, 'bboxes')))
    assert results == pytest.approx({f'rec/{key}': value for key, value in expected.items()}, abs=1e-5)


def test_wrong_samples_and_arguments():
    samples = make_samples()
    del samples[2].pred_instances.masks
    with pytest.raises(UserInputError, match=r'image 1002.*no predicted masks.*RECMetric'):
        evaluate(RESMetric(), samples)
    del samples[2].pred_instances.bboxes
    with pytest.raises(UserInputError, match='no predicted boxes'):
        evaluate(RECMetric(), samples)
    samples = make_samples()
    samples[1].gt_instances.has_mask[1] = False
    with pytest.raises(UserInputError, match=r'image 1001.*withheld'):
        evaluate(RESMetric(), samples)
    for arguments in (
        {'protocol': 'object'},
        {'frame': 'padded'},
        {'empty_union': 'skip'},
        {'format_only': True},
    ):
        with pytest.raises(UserInputError, match='RESMetric'):
            RESMetric(**arguments)


def test_nan_box_scores_zero():
    samples = make_samples(1)
    samples[0].pred_instances.bboxes[:] = float('nan')
    results = evaluate(RECMetric(), samples)
    assert results == {'rec/acc50': 0.0, 'rec/box_miou': 0.0}


@pytest.mark.parametrize('metric_type,suffix', [(RESMetric, 'res'), (RECMetric, 'rec')])
def test_format_only_writes_and_computes_nothing(tmp_path, metric_type, suffix):
    samples = make_samples()
    prefix = tmp_path / 'deep' / 'submission'
    metric = metric_type(format_only=True, outfile_prefix=str(prefix))
    bare = [sample.clone() for sample in samples]
    for sample in bare:
        del sample.gt_instances
    assert evaluate(metric, [*bare, bare[0]]) == {}
    records = json.loads(prefix.with_name(f'submission.{suffix}.json').read_text())
    assert [(r['ref_id'], r['sent_id']) for r in records] == [
        (ref, sent) for s in samples for ref, sent in zip(s.ref_ids, s.sent_ids, strict=True)
    ]
    left, top, right, bottom = samples[0].pred_instances.bboxes[0].tolist()
    assert records[0]['bbox'] == pytest.approx([left, top, right - left, bottom - top])
    assert records[0]['score'] == pytest.approx(float(samples[0].pred_instances.scores[0]))
    assert ('segmentation' in records[0]) == (suffix == 'res')
    if suffix == 'res':
        assert records[0]['segmentation']['size'] == [HEIGHT, WIDTH]
        mask = decode_mask(records[3]['segmentation'])
        assert (mask == samples[2].pred_instances.masks[0].numpy()).all()


@pytest.mark.parametrize('protocol', ['sentence', 'avg'])
@pytest.mark.parametrize('frame', ['original', 'network'])
def test_the_file_scores_the_same_to_the_last_digit(tmp_path, protocol, frame):
    samples = make_samples(9, seed=2)
    metric = RESMetric(protocol=protocol, frame=frame, outfile_prefix=str(tmp_path / 'p'))
    online = evaluate(metric, samples)
    size = Frame(48, 70, keep_ratio=False) if frame == 'network' else Frame()
    pairs = pair_predictions(load_predictions(metric.outfile), annotations_of(samples), 'p', frame=size)
    offline = score_pairs(pairs, protocol).summary
    assert {key: online[f'res/{key}'] for key in KEYS} == {key: offline[key] for key in KEYS}


def test_truth_of_masks_alone():
    """RESMetric scores the masks, whether or not the model predicts boxes; RECMetric says what it lacks."""
    samples = make_samples()
    expected = evaluate(RESMetric(), samples)
    assert expected.pop('res/acc50') > 0
    for sample in samples:
        del sample.gt_instances.bboxes
    assert evaluate(RESMetric(), samples) == expected
    with pytest.raises(UserInputError, match=r'RECMetric, image 1000.*: found no true boxes'):
        evaluate(RECMetric(), samples)
