"""Prediction files: what is refused, and with which sentence."""

import copy
import json

import pytest
from metric_samples import HEIGHT, WIDTH, annotations_of, evaluate, make_samples

from mmrefseg.evaluation.functional.generalized import summarise_generalized
from mmrefseg.evaluation.functional.protocols import score_pairs
from mmrefseg.evaluation.metrics.ref_metrics import RECMetric, RESMetric
from mmrefseg.evaluation.prediction_file import Frame, load_predictions, pair_predictions
from mmrefseg.structures.rle import areas, intersection_areas
from mmrefseg.utils import UserInputError


@pytest.fixture(scope='module')
def case(tmp_path_factory):
    """Annotations of 5 objects with 9 expressions, and predictions for them."""
    samples = make_samples(5)
    metric = RESMetric(outfile_prefix=str(tmp_path_factory.mktemp('file') / 'p'))
    evaluate(metric, samples)
    return annotations_of(samples), json.loads(open(metric.outfile).read())


def change(**fields):
    return lambda predictions: predictions[4].update(fields)


BAD = {
    'missing': (
        lambda p: p.__delitem__(slice(0, 7)),
        r'7 missing \(ref_id 0 sent_id 0, .*, \.\.\.\).*9 expressions',
    ),
    'duplicate': (lambda p: p.append(p[0]), r'1 duplicate \(ref_id 0 sent_id 0\)'),
    'unknown': (
        change(sent_id=77),
        r'1 missing \(ref_id 2 sent_id 4\) and 1 unknown \(ref_id 2 sent_id 77\)',
    ),
    'id as text': (change(ref_id='2'), 'unknown'),
    'size': (
        change(segmentation={'size': [44, 30], 'counts': 'X1'}),
        r'ref_id 2, sent_id 4: found an RLE of size',
    ),
    'mask nan': (change(segmentation=[[0, 0, 9, float('nan'), 9, 9]]), 'NaN or infinite values'),
    'box nan': (change(bbox=[0, float('nan'), 9, 9]), r'bbox \[0, nan.*four finite numbers'),
    'box of 400 digits': (change(bbox=[0, 9, 10**400, 9]), 'four finite numbers'),
    'box of three': (change(bbox=[0, 9, 9]), 'four finite numbers'),
    'some boxes': (change(bbox=None), r"1 of 9 predictions without 'bbox' \(ref_id 2 sent_id 4\)"),
    'some masks': (change(segmentation=None), "1 of 9 predictions without 'segmentation'"),
    'nothing': (lambda p: [r.pop(k) for r in p for k in ('bbox', 'segmentation')], 'neither'),
}


@pytest.mark.parametrize('name', BAD)
def test_bad_predictions_are_one_sentence(case, name):
    objects, predictions = copy.deepcopy(case)
    mutate, pattern = BAD[name]
    mutate(predictions)
    with pytest.raises(UserInputError, match=pattern) as error:
        pair_predictions(predictions, objects, 'file.json')
    assert str(error.value).startswith('file.json') and '\n' not in str(error.value)


@pytest.mark.parametrize(
    'text,pattern',
    [
        ('{"a": 1}', 'a json dict'),
        ('[1, 2]', 'entry 0: found 1'),
        ('[{"sent_id": 1}]', 'entry 0'),
        ('[{"ref_id": [1], "sent_id": 1}]', r'ref_id \[1\], expected an id'),
        ('[{"ref_id": 1,', 'not json'),
    ],
)
def test_wrong_layouts(tmp_path, text, pattern):
    path = tmp_path / 'p.json'
    path.write_text(text)
    with pytest.raises(UserInputError, match=pattern):
        load_predictions(path)


def test_json_lines_and_missing_files(tmp_path, case):
    path = tmp_path / 'p.jsonl'
    path.write_text(''.join(json.dumps(record) + '\n' for record in case[1]))
    assert load_predictions(path) == case[1]
    path.write_text('{"ref_id": 1, "sent_id": 2}\n{"ref')
    with pytest.raises(UserInputError, match='line 2'):
        load_predictions(path)
    for name in ('none.json', 'none.jsonl'):
        with pytest.raises(UserInputError, match='no such file'):
            load_predictions(tmp_path / name)


def test_withheld_truth_is_refused(case):
    objects, predictions = copy.deepcopy(case)
    del objects[3]['mask']
    with pytest.raises(UserInputError, match='ref_id 3: found a withheld mask'):
        pair_predictions(predictions, objects, 'p')


def test_boxes_alone_score_like_the_online_metric(tmp_path, case):
    metric = RECMetric(outfile_prefix=str(tmp_path / 'p'))
    online = evaluate(metric, make_samples(5))
    objects = copy.deepcopy(case[0])
    for record in objects:
        del record['mask']
    scores = score_pairs(pair_predictions(load_predictions(metric.outfile), objects, 'p'))
    assert {f'rec/{key}': value for key, value in scores.summary.items()} == online


def test_cat_takes_one_prediction_per_object(case):
    objects, predictions = case
    first = list({prediction['ref_id']: prediction for prediction in reversed(predictions)}.values())
    for prediction in first:
        assert prediction['sent_id'] is not None
    free = [{key: value for key, value in p.items() if key != 'sent_id'} for p in first]
    numbers = [
        score_pairs(pair_predictions(records, objects, 'p', per_object=True), 'cat').summary
        for records in (first, free)
    ]
    assert numbers[0] == numbers[1] and 0 < numbers[0]['oiou'] < 100
    with pytest.raises(UserInputError, match=r'4 duplicate \(ref_id 1, ref_id 2'):
        pair_predictions(predictions, objects, 'p', per_object=True)


def test_order_of_the_file_does_not_matter(case):
    objects, predictions = case
    assert pair_predictions(predictions[::-1], objects, 'p') == pair_predictions(predictions, objects, 'p')


def test_no_target_expressions_are_empty_targets(case):
    objects, predictions = copy.deepcopy(case)
    objects[0]['no_target'] = True
    pairs = pair_predictions(predictions, objects, 'p')
    assert score_pairs(pairs).rows[0]['iou'] == 0.0 and all(pair.box is None for pair in pairs)


@pytest.mark.parametrize('nothing', [None, [], {'size': [HEIGHT, WIDTH], 'counts': [HEIGHT * WIDTH]}])
def test_null_is_an_empty_mask_where_there_may_be_no_target(case, nothing):
    """Right for an expression without a target, wrong for one that has one; null boxes count for nothing."""
    objects, predictions = copy.deepcopy(case)
    objects[0] = {**objects[0], 'no_target': True}
    for prediction in predictions:
        if prediction['ref_id'] in (0, 1):
            prediction.update(segmentation=nothing, bbox=None)
    pairs = pair_predictions(predictions, objects, 'p')
    predicted, targets = [pair.prediction for pair in pairs], [pair.target for pair in pairs]
    both = intersection_areas(predicted, targets)
    found = summarise_generalized(both, areas(predicted), areas(targets))
    with_target = [pair for pair in pairs if pair.ref_id != 0]
    empty = [pair for pair in with_target if pair.ref_id == 1]
    assert found['n_acc'] == 100 and len(empty) == len(objects[1]['sent_ids'])
    assert found['t_acc'] == pytest.approx(100 * (1 - len(empty) / len(with_target)))
    del predictions[0]['segmentation']
    with pytest.raises(UserInputError, match=r"1 of .* predictions without 'segmentation'"):
        pair_predictions(predictions, objects, 'p')


def test_frame_sizes():
    assert Frame().size_of(30, 44) == (30, 44)
    assert Frame(640, 640).size_of(427, 640) == (427, 640)
    assert Frame(640, 640).size_of(500, 375) == (640, 480)
    assert Frame(128, 128).size_of(10, 20000) == (1, 128)
    assert Frame(480, 480, keep_ratio=False).size_of(427, 640) == (480, 480)
