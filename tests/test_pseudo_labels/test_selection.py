"""Which masks are accepted, by which strategy; and that the truth has no say in it."""

import copy
import json
import math

import numpy as np
import pytest
from pseudo_data import make_objects, make_predictions, rectangle, to_json, write_lines
from pycocotools import mask as coco_mask

from mmrefseg.pseudo_labels import STRATEGIES, Selector, agreement, judge, projection_term, select
from mmrefseg.pseudo_labels.prediction_shards import PredictionStore, write_annotations
from mmrefseg.pseudo_labels.selection_report import compare_with_truth, summarise_selection
from mmrefseg.utils import UserInputError

BOX = [10, 10, 40, 30]
RECORD = {
    'ref_id': 7,
    'height': 60,
    'width': 80,
    'bbox': BOX,
    'category_id': 1,
    'image_id': 1,
    'expressions': [],
}


def prediction(sent_id: int, mask: np.ndarray, **fields) -> dict:
    fields = {'expression': f'sentence {sent_id}', 'score': 0.5, **fields}
    return {'ref_id': 7, 'sent_id': sent_id, 'segmentation': to_json(mask), **fields}


def decide(predictions: list[dict], record: dict = RECORD, **arguments):
    return Selector(**arguments).decide(record, judge([record], [predictions])[0])


def run(tmp_path, objects, predictions, **arguments) -> list:
    path = write_lines(predictions, tmp_path / 'p.jsonl')
    with PredictionStore([path]) as store:
        return list(select(objects, store, Selector(**arguments)))


EXACT = rectangle(10, 10, 50, 40)
NARROW = rectangle(14, 10, 46, 40)
AWAY = rectangle(60, 45, 80, 60)
EMPTY = np.zeros((60, 80), bool)


def test_rpp_keeps_the_expression_that_fills_the_box():
    outcome = decide([prediction(0, AWAY, score=0.9), prediction(1, EXACT, score=0.1), prediction(2, NARROW)])
    assert outcome.state == 'accepted' and outcome.value == pytest.approx(0, abs=1e-6)
    assert outcome.record['mask'] == to_json(EXACT)
    assert outcome.record['mask_source'] == {'kind': 'pseudo', 'checkpoint': None, 'checkpoint_sha256': None}
    assert outcome.record['mask_expression'] == 'sentence 1'
    assert outcome.record['mask_score'] == pytest.approx(1.0)
    assert set(outcome.record) - set(RECORD) == {
        'mask', 'mask_source', 'mask_score', 'mask_rpp', 'mask_expression',
    }  # fmt: skip
    assert 'mask' not in RECORD


def test_the_points_of_the_kept_mask_stay_with_it():
    predictions = [
        prediction(0, AWAY, points=[1.0, 2.0]),
        prediction(1, EXACT, points=[10.0, 10.0, 50.0, 40.0]),
    ]
    assert decide(predictions).record['mask_points'] == [10.0, 10.0, 50.0, 40.0]
    assert 'mask_points' not in decide(predictions, combine='vote', threshold=2.0).record


def test_rpp_threshold_is_below_and_settable():
    term = projection_term(to_json(NARROW), BOX)
    assert 0.1 < term < 0.2
    assert decide([prediction(0, NARROW)]).state == 'rejected'
    assert decide([prediction(0, NARROW)], threshold=term).state == 'rejected'
    assert decide([prediction(0, NARROW)], threshold=term + 1e-9).state == 'accepted'


@pytest.mark.parametrize('strategy', STRATEGIES)
@pytest.mark.parametrize('combine', ['best', 'vote'])
def test_empty_masks_are_never_accepted(strategy, combine):
    threshold = {'rpp': 2.0, 'rpp+agreement': 2.0, 'all': None}.get(strategy, 0.0)
    arguments = {'strategy': strategy, 'combine': combine, 'threshold': threshold}
    outcome = decide([prediction(0, EMPTY, score=1.0), prediction(1, EMPTY, score=1.0)], **arguments)
    assert outcome.state == 'rejected' and 'mask' not in outcome.record
    assert outcome.chosen.term == 2.0
    mixed = decide([prediction(0, EMPTY, score=1.0), prediction(1, EXACT, score=0.0)], strategy=strategy)
    assert not mixed.chosen.empty


def test_score_and_all_follow_the_models_confidence():
    predictions = [prediction(0, EXACT, score=0.2), prediction(1, AWAY, score=0.6)]
    for strategy in ('score', 'all'):
        outcome = decide(predictions, strategy=strategy)
        assert outcome.state == 'accepted' and outcome.record['mask'] == to_json(AWAY)
    assert decide(predictions, strategy='score', threshold=0.61).state == 'rejected'
    del predictions[0]['score']
    with pytest.raises(UserInputError, match='no score'):
        decide(predictions, strategy='score')
    assert decide(predictions, strategy='all').state == 'accepted'


def test_agreement_is_the_mean_pairwise_iou():
    masks = [EXACT, NARROW, AWAY]
    ious = [[(a & b).sum() / (a | b).sum() for b in masks] for a in masks]
    expected = [(sum(row) - 1) / 2 for row in ious]
    assert agreement([to_json(mask) for mask in masks]) == pytest.approx(expected)
    assert agreement([to_json(EMPTY), to_json(EMPTY)]) == [0.0, 0.0] and agreement([to_json(EXACT)]) == [1.0]
    outcome = decide(
        [prediction(k, mask) for k, mask in enumerate(masks)], strategy='agreement', threshold=0.2
    )
    assert outcome.value == pytest.approx(np.mean(expected)) and outcome.state == 'accepted'
    # NARROW has less in common with EXACT than EXACT with itself, but AWAY none with either: a tie, the
    # first.
    assert outcome.record['mask'] == to_json(EXACT)


def test_rpp_and_agreement_want_both():
    good = [prediction(0, EXACT), prediction(1, AWAY)]
    assert decide(good, strategy='rpp').state == 'accepted'
    assert decide(good, strategy='rpp+agreement').state == 'rejected'
    assert decide(good, strategy='rpp+agreement', agreement_threshold=0.0).state == 'accepted'
    same = [prediction(0, AWAY), prediction(1, AWAY)]
    assert decide(same, strategy='agreement').state == 'accepted'
    assert decide(same, strategy='rpp+agreement').state == 'rejected'


def test_vote_is_the_majority():
    predictions = [prediction(0, EXACT), prediction(1, EXACT), prediction(2, AWAY | NARROW)]
    outcome = decide(predictions, combine='vote')
    assert outcome.record['mask'] == to_json(EXACT) and outcome.state == 'accepted'
    assert outcome.record['mask_expression'] == ['sentence 0', 'sentence 1', 'sentence 2']
    tie = decide(predictions[1:], combine='vote', threshold=2.0)
    assert (coco_mask.decode(tie.record['mask']) == (EXACT | AWAY)).all()


def test_bad_masks_name_the_prediction():
    with pytest.raises(UserInputError, match=r'ref_id 7, sent_id 1: found an RLE of size \[80, 60\]'):
        decide([prediction(0, EXACT), prediction(1, EXACT.T)])
    broken = prediction(1, EXACT)
    broken['segmentation']['counts'] += '0'
    with pytest.raises(UserInputError, match='sent_id 1: found'):
        decide([prediction(0, EXACT), broken])
    with pytest.raises(UserInputError, match='sent_id 1: found a mask of type NoneType'):
        decide([prediction(0, EXACT), {'ref_id': 7, 'sent_id': 1}])
    with pytest.raises(UserInputError, match='score nan'):
        decide([prediction(0, EXACT, score=math.nan)])
    polygons = prediction(0, EXACT)
    polygons['segmentation'] = [[10, 10, 50, 10, 50, 40, 10, 40]]
    assert decide([polygons]).record['mask'] == to_json(EXACT)


def test_arguments_out_of_range():
    for arguments in (
        {'strategy': 'best'},
        {'combine': 'mean'},
        {'threshold': 2.5},
        {'strategy': 'score', 'threshold': 1.5},
        {'strategy': 'all', 'threshold': 0.5},
        {'agreement_threshold': -1.0},
    ):
        with pytest.raises(UserInputError):
            Selector(**arguments)


def test_order_shards_and_chunks_do_not_matter(tmp_path):
    objects = make_objects(300)
    predictions = make_predictions(objects)
    outcomes = run(tmp_path, objects, predictions)
    backwards = run(tmp_path, objects[::-1], predictions[::-1])
    assert backwards[::-1] == outcomes
    one_by_one = [
        run(tmp_path, [record], predictions)[0] for record in objects[120:140] if record.get('mask') is None
    ]
    assert one_by_one == [outcome for outcome in outcomes[120:140] if outcome.state != 'true']
    states = {outcome.state for outcome in outcomes}
    assert states == {'true', 'accepted', 'rejected'}


def test_decisions_equal_a_loop_over_pixels(tmp_path):
    objects = make_objects(60)
    predictions = make_predictions(objects)
    accepted = {}
    for record in objects:
        terms = []
        for entry in (p for p in predictions if p['ref_id'] == record['ref_id']):
            mask = coco_mask.decode(entry['segmentation'])
            left, top, width, height = record['bbox']
            term = 0.0
            for axis, first, length in ((0, left, width), (1, top, height)):
                covered = set(np.flatnonzero(mask.any(axis=axis)).tolist())
                box = set(range(first, min(first + length, mask.shape[1 - axis])))
                term += 1 - 2 * len(covered & box) / (len(covered) + len(box) + 1e-5)
            terms.append((term, -entry['score'], entry['segmentation']['counts']))
        if record['ref_id'] % 5 and min(terms)[0] < 0.1:
            accepted[record['ref_id']] = min(terms)[2]
    outcomes = run(tmp_path, objects, predictions)
    ours = {o.record['ref_id']: o.record['mask']['counts'] for o in outcomes if o.state == 'accepted'}
    assert ours == accepted and 5 < len(ours) < 45


def test_the_truth_has_no_say(tmp_path):
    """The sample's masks stay, nothing of the others' reaches the output, whatever the full file holds."""
    objects = make_objects(50)
    predictions = make_predictions(objects)
    outcomes = run(tmp_path, objects, predictions)
    write_annotations({'train': (o.record for o in outcomes)}, tmp_path / 'out.json')
    picked = json.loads((tmp_path / 'out.json').read_text())['train']
    full = copy.deepcopy(objects)
    for record in full:
        left, top, width, height = record['bbox']
        record['mask'] = [[left, top, left + width, top, left + 0.5, top + height + 0.25]]
    before = copy.deepcopy(outcomes)
    compare_with_truth(outcomes, full)
    assert outcomes == before
    shown = {json.dumps(prediction['segmentation']) for prediction in predictions}
    own = 0
    for record, original, truth in zip(picked, objects, full, strict=True):
        if 'mask' in original:
            assert record == original
            own += 1
        elif 'mask' in record:
            source = {'kind': 'pseudo', 'checkpoint': 'best.pth', 'checkpoint_sha256': '0' * 16}
            assert record['mask_source'] == source and json.dumps(record['mask']) in shown
            assert record['mask'] != truth['mask']
            pseudo = {key: value for key, value in record.items() if not key.startswith('mask')}
            assert pseudo == original
        else:
            assert record == original
    assert own == 10 and any('mask_source' in record for record in picked)
    assert not any('0.25' in json.dumps(record.get('mask')) for record in picked)


def test_objects_without_predictions_are_counted(tmp_path):
    objects = make_objects(10)
    predictions = [p for p in make_predictions(objects) if p['ref_id'] != 3]
    outcomes = run(tmp_path, objects, predictions)
    assert [o.record['ref_id'] for o in outcomes if o.state == 'unpredicted'] == [3]
    strangers = [{**p, 'ref_id': p['ref_id'] + 1000} for p in predictions]
    with pytest.raises(UserInputError, match='none for the 8 objects'):
        run(tmp_path, objects, strangers)


def test_report_counts_by_category_and_area(tmp_path):
    objects = make_objects(100)
    outcomes = run(tmp_path, objects, make_predictions(objects))
    report = summarise_selection(outcomes, Selector())
    assert report['objects'] == 100 and report['true'] == 20
    assert report['accepted'] + report['rejected'] == 80
    assert report['accept_rate'] == pytest.approx(100 * report['accepted'] / 80)
    for groups in (report['by_category'], report['by_area']):
        for state in ('true', 'accepted', 'rejected', 'unpredicted'):
            assert sum(group[state] for group in groups.values()) == report[state]
    assert set(report['by_category']) == {'0', '1', '2'} and set(report['by_area']) == {'small', 'medium'}
    histogram = report['histogram']
    assert histogram['edges'][0] == 0 and histogram['edges'][-1] == 2 and len(histogram['edges']) == 21
    assert sum(histogram['accepted']) == report['accepted'] == histogram['accepted'][0]
    assert sum(histogram['rejected']) == report['rejected']
    json.dumps(report, allow_nan=False)


def test_quality_is_the_iou_with_the_truth(tmp_path):
    objects = make_objects(40)
    outcomes = run(tmp_path, objects, make_predictions(objects))
    full = copy.deepcopy(objects)
    for record in full:
        left, top, width, height = record['bbox']
        record['mask'] = to_json(rectangle(left, top, left + width, top + height))
    del full[1]['mask']
    full[2]['mask'] = to_json(np.ones((5, 5)))
    ious = {'accepted': [], 'rejected': []}
    for outcome, record in zip(outcomes, full, strict=True):
        if outcome.chosen and record['ref_id'] not in (1, 2):
            a, b = coco_mask.decode(outcome.chosen.rle), coco_mask.decode(record['mask'])
            ious[outcome.state].append((a & b).sum() / (a | b).sum())
    quality = compare_with_truth(outcomes, full)
    assert quality['misplaced'] == 1
    for state, values in ious.items():
        assert quality[state]['number'] == len(values) > 0
        assert quality[state]['miou'] == pytest.approx(100 * np.mean(values))
    assert quality['all']['number'] == 30 and quality['accepted']['miou'] > quality['rejected']['miou']
    assert quality['rpp_iou_correlation'] < -0.5
    assert compare_with_truth(outcomes, [])['all'] == {'number': 0}
