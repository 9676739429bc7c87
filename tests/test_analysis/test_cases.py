"""Cases and groups, on masks that are small enough to count by hand."""

import dataclasses

import numpy as np
import pytest

from mmrefseg.analysis import groups
from mmrefseg.analysis.cases import Case, collect_cases
from mmrefseg.analysis.failure_study import FailureStudy
from mmrefseg.analysis.groups import AREA_EDGES, IOU_EDGES, all_groupings, interval_labels, interval_of
from mmrefseg.analysis.plots import density, histogram
from mmrefseg.analysis.words import ATTRIBUTE_WORDS, POSITION_WORDS, count_words, kinds_of, words_of
from mmrefseg.evaluation.prediction_file import pair_predictions
from mmrefseg.structures.rle import encode_mask

SIZE = 20
# Three objects of one image, two of them of one category, and one alone in another image.
BOXES = {1: (0, 0, 10, 4), 2: (0, 10, 10, 4), 3: (14, 0, 4, 10), 4: (5, 5, 10, 10)}
WORDS = {
    1: ['the top left red thing', 'upper box'],
    2: ['the box at the bottom'],
    3: ['blue'],
    4: ['the box', 'it, behind the small one'],
}


def rectangle(x: int, y: int, w: int, h: int) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[y : y + h, x : x + w] = 1
    return mask


def record(ref_id: int) -> dict:
    return {
        'image_id': 1 if ref_id < 4 else 2,
        'height': SIZE,
        'width': SIZE,
        'bbox': list(BOXES[ref_id]),
        'mask': encode_mask(rectangle(*BOXES[ref_id])),
        'expressions': WORDS[ref_id],
        'category_id': 7 if ref_id == 3 else 5,
        'ref_id': ref_id,
        'sent_ids': [10 * ref_id + k for k in range(len(WORDS[ref_id]))],
    }


OBJECTS = [record(ref_id) for ref_id in BOXES]
# What is predicted for (object, sentence).
PREDICTED = {
    (1, 10): rectangle(0, 0, 10, 4),  # found
    (1, 11): rectangle(0, 10, 10, 4),  # another object
    (2, 20): rectangle(0, 10, 10, 1),  # a quarter of it
    (3, 30): rectangle(10, 0, 10, 20),  # all of it and much more
    (4, 40): np.zeros((SIZE, SIZE), np.uint8),
    (4, 41): rectangle(0, 0, 4, 4),  # nothing in common
}
OUTCOMES = ['found', 'another object', 'only a part', 'too much', 'empty', 'elsewhere']
IOUS = [1.0, 0.0, 0.25, 0.2, 0.0, 0.0]


def predictions() -> list[dict]:
    return [
        {'ref_id': ref, 'sent_id': sent, 'segmentation': encode_mask(mask)}
        for (ref, sent), mask in PREDICTED.items()
    ]


def made_cases(**kwargs) -> list[Case]:
    pairs = pair_predictions(predictions(), OBJECTS, 'p.json')
    return collect_cases(pairs, OBJECTS, **kwargs)


def test_cases():
    cases = made_cases(scores={(3, 30): 0.25})
    assert [case.outcome for case in cases] == OUTCOMES
    assert [case.iou for case in cases] == IOUS
    assert [case.index for case in cases] == list(range(6))
    assert [case.words for case in cases] == [5, 2, 5, 1, 2, 5]
    assert [case.same_category for case in cases] == [1, 1, 1, 0, 0, 0]
    assert [case.score for case in cases] == [None, None, None, 0.25, None, None]
    first = cases[0]
    assert (first.area, first.predicted_area, first.area_share) == (40, 40, 0.1)
    assert first.position_words == ('top', 'left') and first.attribute_words == ('red',)
    assert cases[5].position_words == ('behind',) and cases[5].attribute_words == ('small',)
    assert first.expressions == ('the top left red thing',) and first.kind is None


def test_threshold_decides_what_is_found():
    assert [case.outcome for case in made_cases(threshold=0.2)][2:4] == ['found', 'found']


def test_imprecise():
    moved = rectangle(5, 0, 10, 4)  # half of it is right
    pairs = pair_predictions(
        [{**p, 'segmentation': encode_mask(moved)} if p['sent_id'] == 10 else p for p in predictions()],
        OBJECTS,
        'p.json',
    )
    assert collect_cases(pairs, OBJECTS)[0].outcome == 'imprecise'


def test_per_object():
    """By vote, object 4 gets what one of its two sentences has (at least half), and all its sentences."""
    cases = made_cases(protocol='avg')
    assert [case.ref_id for case in cases] == [1, 2, 3, 4]
    assert cases[0].iou == 0.5  # 40 pixels of the union of two boxes of 40
    assert cases[0].expressions == tuple(WORDS[1]) and cases[0].words == 7


def test_all_objects_of_the_image_count_where_they_are_known():
    """COCO's file has objects that nothing refers to."""
    annotations = [{'image_id': 1, 'category_id': 5}] * 4 + [{'image_id': 2, 'category_id': 5}]
    cases = made_cases(instances={'annotations': annotations})
    assert [case.same_category for case in cases] == [3, 3, 3, 0, 0, 0]


def test_two_references_of_one_object_are_not_others():
    """RefCOCO has annotations with two references."""
    twin = {**record(1), 'ref_id': 9, 'sent_ids': [90, 91]}
    objects = [*OBJECTS, twin]
    more = [{'ref_id': 9, 'sent_id': s, 'segmentation': encode_mask(rectangle(0, 0, 1, 1))} for s in (90, 91)]
    cases = collect_cases(pair_predictions(predictions() + more, objects, 'p'), objects)
    assert cases[0].same_category == cases[-1].same_category == 1
    assert cases[-1].outcome == 'only a part'


def test_kinds_of_refshapes():
    objects = [{**record, 'kinds': ['position'] * len(record['expressions'])} for record in OBJECTS]
    cases = collect_cases(pair_predictions(predictions(), objects, 'p'), objects)
    assert {case.kind for case in cases} == {'position'}
    assert [g.name for g in all_groupings(cases)].count('kind') == 1
    assert 'kind' not in [g.name for g in all_groupings(made_cases())]


def test_groups_add_up():
    cases = made_cases()
    groupings = {grouping.name: grouping for grouping in all_groupings(cases, 0.5, {5: 'box', 7: 'pole'})}
    expected = ['iou', 'outcome', 'length', 'position', 'attribute', 'category', 'area', 'same_category']
    expected += ['position_word', 'attribute_word', 'position_kind', 'attribute_kind']
    assert set(expected) == set(groupings)
    for grouping in groupings.values():
        if not grouping.overlapping:
            assert sum(group.count for group in grouping.groups) == len(cases), grouping.name
            assert sum(group.share for group in grouping.groups) == pytest.approx(100)
            assert sum(group.failures for group in grouping.groups) == 5
    by = {group.label: group for group in groupings['category'].groups}
    assert by['box'].count == 5 and by['box'].miou == pytest.approx(25) and by['pole'].failure_rate == 100
    assert by['box'].error == pytest.approx(100 * 1.96 * np.std([1, 0, 0.25, 0, 0], ddof=1) / 5**0.5)
    labels = {group.label: group.count for group in groupings['length'].groups}
    assert labels == {'1': 1, '2': 2, '4 - 5': 3}
    assert {g.label: g.count for g in groupings['same_category'].groups} == {'0': 3, '1': 3}
    assert {g.label: g.count for g in groupings['position_kind'].groups} == {
        'vertical': 3, 'horizontal': 1, 'depth': 1,
    }  # fmt: skip
    assert groupings['outcome'].as_dict()['groups'][0]['error'] is None  # one case: no interval


def test_intervals():
    assert (
        interval_labels(IOU_EDGES)[0] == '0 - 0.1' and interval_labels(AREA_EDGES, True)[-1] == '25 - 100 %'
    )
    assert [interval_of(v, IOU_EDGES) for v in (0, 0.0999, 0.1, 0.3, 0.5, 0.9, 1.0)] == [0, 0, 1, 2, 3, 5, 5]


def test_words():
    assert count_words(["The man's T-shirt, left-most!"]) == 5
    assert words_of(['left man left', 'red'], POSITION_WORDS) == ('left',)
    assert kinds_of(('top', 'left'), POSITION_WORDS) == ('horizontal', 'vertical')
    for kinds in (POSITION_WORDS, ATTRIBUTE_WORDS):
        words = [word for members in kinds.values() for word in members]
        assert len(words) == len(set(words)) > 50
    assert not {w for m in POSITION_WORDS.values() for w in m} & {
        w for m in ATTRIBUTE_WORDS.values() for w in m
    }


def many_cases(ious) -> list[Case]:
    case = made_cases()[0]
    return [dataclasses.replace(case, index=k, iou=iou, area=10 + k) for k, iou in enumerate(ious)]


def test_choosing():
    cases = many_cases([0.9, 0.05, 0.45, 0.0, 0.3, 0.7, 0.0, 0.5])
    assert [case.index for case in groups.worst(cases, 3)] == [6, 3, 1]  # of equals, the larger first
    assert [case.index for case in groups.median(cases, 2)] == [4, 2]
    assert [case.index for case in groups.failures(cases, 0.5)] == [1, 2, 3, 4, 6]
    assert [case.index for case in groups.low_group(cases, 0.5, 0.1)] == [1, 3, 6]
    assert [case.index for case in groups.high_group(cases, 0.5, 0.4)] == [2]
    chosen = groups.draw(cases, 3, seed=180)
    assert chosen == groups.draw(cases, 3, seed=180) and len({case.index for case in chosen}) == 3
    assert len(groups.draw(cases, 99, seed=1)) == 8
    assert any(groups.draw(cases, 3, seed=s) != chosen for s in range(5))


def test_histogram_and_density():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0.1, 0.03, 80), rng.normal(0.45, 0.03, 60)]).clip(0, 0.5)
    heights, edges = histogram(values)
    assert (heights * np.diff(edges)).sum() == pytest.approx(1)
    assert edges[0] == values.min() and edges[-1] == values.max() and 3 <= len(heights) <= 50
    places, curve = density(values)
    assert np.trapezoid(curve, places) == pytest.approx(1, abs=0.02)
    # Two peaks, as the reproduction's notebook notes of its failures; the kernel sum written out.
    bandwidth = values.std(ddof=1) * len(values) ** -0.2
    at = places[np.argmax(curve)]
    expected = np.exp(-0.5 * ((at - values) / bandwidth) ** 2).mean() / (bandwidth * (2 * np.pi) ** 0.5)
    assert curve.max() == pytest.approx(expected)
    assert density([0.5]) is None and density([0.5, 0.5]) is None
    assert histogram([0.5])[0].sum() > 0


def test_log_and_precision():
    study = FailureStudy(made_cases())
    lines = study.log_lines()
    assert lines[0] == '[1/6] IoU 0.000, mIoU so far 50.000: upper box'
    assert lines[-1] == 'mIoU 24.167' and len(lines) == 6
    assert study.numbers['precision'] == study.numbers['p50'] == pytest.approx(100 / 6)
    with pytest.raises(ValueError, match='at least one'):
        FailureStudy([])
