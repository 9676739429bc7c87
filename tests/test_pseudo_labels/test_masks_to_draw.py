"""Which objects are ranked, that no truth is looked at, and what the list says."""

import copy
import csv
import json
import math

import numpy as np
import pytest
from pseudo_data import HEIGHT, WIDTH, make_objects, make_predictions, rectangle, to_json, write_lines

from mmrefseg.pseudo_labels.contact_sheet import draw_panel, write_table
from mmrefseg.pseudo_labels.masks_to_draw import (
    Choice,
    Rule,
    as_row,
    budget_of,
    choose_masks,
    describe,
    no_predictions,
    objects_to_draw,
    observe,
    random_masks,
)
from mmrefseg.pseudo_labels.prediction_shards import PredictionStore
from mmrefseg.pseudo_labels.teaching import read_weights
from mmrefseg.utils import UserInputError


def choose(records, predictions, tmp_path, number=10, **rule):
    objects, drawn = objects_to_draw(copy.deepcopy(records))
    with PredictionStore([write_lines(predictions, tmp_path / 'p.jsonl')]) as store:
        observed = observe(objects, store)
    features = describe(objects, observed, None)
    return choose_masks(objects, drawn, observed, features, Rule(read_weights([]), **rule), number)


def test_objects_are_annotations_with_a_box():
    records = make_objects(10)
    records[3] = {**records[2], 'ref_id': 3, 'expressions': ['once more'], 'sent_ids': [99]}
    records[4] = {**records[4], 'no_target': True, 'bbox': [0, 0, 0, 0]}
    objects, drawn = objects_to_draw(records)
    assert [record['ref_ids'] for record in objects] == [[0], [1], [2, 3], [5], [6], [7], [8], [9]]
    assert objects[2]['expressions'] == [*records[2]['expressions'], 'once more']
    assert drawn == [0, 3], 'every fifth object has a mask'
    assert not any(key.startswith('mask') for record in objects for key in record)
    for record in records:
        record['mask'] = [[0, 0, 9, 0, 9, 9]]
    assert objects_to_draw(records)[1] == [], 'the full file'
    with pytest.raises(UserInputError, match='no object with a box'):
        objects_to_draw([records[4]])


def test_no_truth_is_looked_at(tmp_path):
    records = make_objects(40)
    predictions = make_predictions(records)
    for record in records:
        record['mask'] = [[0, 0, 9, 0, 9, 9]]
    chosen = choose(records, predictions, tmp_path)
    for record in records:
        record['mask'] = [[1, 1, 40, 1, 40, 40, 1, 30]]
    assert [choice.record['ref_id'] for choice in choose(records, predictions, tmp_path)] == [
        choice.record['ref_id'] for choice in chosen
    ]


def test_signals_of_an_object(tmp_path):
    """Three sentences: the box itself, half of it, nothing."""
    record = {**make_objects(2)[1], 'bbox': [10, 10, 20, 20]}
    masks = [rectangle(10, 10, 30, 30), rectangle(10, 10, 20, 30), rectangle(0, 0, 0, 0)]
    boxes = [[10, 10, 20, 20], [10, 10, 20, 20], [10, 10, 10, 20]]
    predictions = [
        {'ref_id': 1, 'sent_id': number, 'segmentation': to_json(mask), 'score': 0.2, 'bbox': box}
        for number, (mask, box) in enumerate(zip(masks, boxes, strict=True))
    ]
    objects, _ = objects_to_draw([record])
    with PredictionStore([write_lines(predictions, tmp_path / 'p.jsonl')]) as store:
        by_mask, by_box = observe(objects, store), observe(objects, store, 'box')
    values = {name: values[0] for name, values in by_mask.signals.items()}
    assert values == pytest.approx({'disagreement': 1 - 0.5 / 3, 'residual': 0, 'doubt': 0.8}, abs=1e-4)
    assert by_box.signals['disagreement'][0] == pytest.approx(1 - (1 + 0.5 + 0.5) / 3)
    assert by_mask.rles[0] == predictions[0]['segmentation'] and by_mask.thumbnails.min() == 1
    predictions[0]['bbox'] = 'x'
    with (
        PredictionStore([write_lines(predictions, tmp_path / 'p.jsonl')]) as store,
        pytest.raises(UserInputError, match="ref_id 1, sent_id 0: found bbox 'x'"),
    ):
        observe(objects, store, 'box')


def test_predictions_of_other_objects_are_refused(tmp_path):
    objects, _ = objects_to_draw(make_objects(5))
    predictions = [
        {**record, 'ref_id': record['ref_id'] + 100} for record in make_predictions(make_objects(5))
    ]
    with (
        PredictionStore([write_lines(predictions, tmp_path / 'p.jsonl')]) as store,
        pytest.raises(UserInputError, match='none for the 5 objects'),
    ):
        observe(objects, store)


@pytest.mark.parametrize('coverage', ['facility', 'k-center', 'none'])
def test_a_larger_budget_holds_the_smaller(tmp_path, coverage):
    records = make_objects(60)
    predictions = make_predictions(records)[:-30]  # some objects have none
    large = choose(records, predictions, tmp_path, 30, coverage=coverage)
    small = choose(records, predictions, tmp_path, 7, coverage=coverage)
    assert [choice.record['ref_id'] for choice in small] == [choice.record['ref_id'] for choice in large[:7]]
    assert [choice.rank for choice in large] == list(range(1, 31))
    assert not any(choice.record['ref_id'] % 5 == 0 for choice in large), 'those have a mask'
    if coverage == 'none':
        assert [c.need for c in large] == sorted((c.need for c in large), reverse=True)


def test_without_predictions_rare_categories_come_first():
    records = [{key: record[key] for key in record if key != 'mask'} for record in make_objects(30)]
    for record in records:
        record['category_id'] = 0 if record['ref_id'] < 27 else record['ref_id']
    objects, drawn = objects_to_draw(records)
    observed = no_predictions(len(objects))
    features = describe(objects, observed, None)
    rare, *others = choose_masks(objects, drawn, observed, features, Rule(read_weights([]), 'none'), 4)
    assert [choice.record['ref_id'] for choice in (rare, *others)] == [27, 28, 29, 0]
    assert others[-1].need == 0.5 and others[-1].why == 'stands for others like it'
    assert rare.why == 'rare category (1 of 30)' and math.isnan(rare.signals['doubt'])


def test_random_is_nested_and_seeded():
    objects, drawn = objects_to_draw(make_objects(40))
    ids = [choice.record['ref_id'] for choice in random_masks(objects, drawn, 0, 20)]
    assert [choice.record['ref_id'] for choice in random_masks(objects, drawn, 0, 5)] == ids[:5]
    assert [choice.record['ref_id'] for choice in random_masks(objects, drawn, 1, 20)] != ids
    assert not any(ref_id % 5 == 0 for ref_id in ids) and len(set(ids)) == 20


def test_budgets():
    assert budget_of('57', 100, 80) == 57 and budget_of('0.5%', 1000, 1000) == 5
    assert budget_of('0.01%', 100, 80) == 1 and budget_of('100%', 7, 7) == 7
    for text in ('0', '-3', '1.5', 'x', '101%', '%', 'nan', 'inf', ''):
        with pytest.raises(UserInputError, match='--budget: found'):
            budget_of(text, 100, 80)
    with pytest.raises(UserInputError, match='found 81, expected at most the 80 objects'):
        budget_of('81', 100, 80)


def test_the_table_holds_no_formula(tmp_path):
    record = {**objects_to_draw(make_objects(2))[0][1], 'file_name': '=1+1.png', 'expressions': ['=2+2', 'b']}
    choice = Choice(1, record, 0.25, {'disagreement': 0.123456, 'doubt': math.nan}, '@why', None)
    write_table([choice], tmp_path / 't.csv')
    with open(tmp_path / 't.csv', encoding='utf-8') as file:
        (row,) = csv.DictReader(file)
    assert row['file_name'] == "'=1+1.png" and row['why'] == "'@why" and row['doubt'] == ''
    assert json.loads(row['expressions']) == ['=2+2', 'b'] and row['disagreement'] == '0.1235'
    assert json.loads(json.dumps(as_row(choice)))['ref_ids'] == [1]


def test_a_panel_shows_box_prediction_and_reason():
    record = objects_to_draw(make_objects(2))[0][1]
    x, y, w, h = record['bbox']
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    mask = to_json(rectangle(x + 2, y + 2, x + w - 2, y + h - 2))
    bare = Choice(1, record, 0.5, {}, '', None)
    plain, drawn = draw_panel(bare, image), draw_panel(bare._replace(rle=mask), image)
    explained = draw_panel(bare._replace(why='it is unsure'), image)
    assert plain.shape[1] == 300 and plain.shape == drawn.shape
    assert (plain != drawn).any(axis=2).sum() > 1000, 'the predicted mask is tinted'
    assert (explained[-28:] < 200).any() and not (plain[-28:] < 200).any()
