"""Which objects a person is shown, and what is said about them."""

import io
import math

import numpy as np
import pytest
from PIL import Image
from pseudo_data import make_objects, make_predictions, rectangle, to_json, write_lines

from mmrefseg.datasets.predicted_pairs import Checkpoint
from mmrefseg.pseudo_labels import Candidate, Outcome, PredictionStore, Selector, select
from mmrefseg.pseudo_labels.page import draw_card
from mmrefseg.pseudo_labels.review import (
    Shown,
    choose_shown,
    margin,
    objects_to_show,
    reason,
    score_histogram,
    sentences,
)
from mmrefseg.pseudo_labels.selection_report import compare_with_truth

RECORD = {'ref_id': 5, 'bbox': [1, 1, 5, 5], 'height': 60, 'width': 80, 'expressions': ['a', 'b']}


def outcome(selector, term=0.0, score=0.9, agreement=1.0, empty=False, ref_id=5, **fields):
    candidate = Candidate(None, term, score, agreement, empty, 'a', Checkpoint())
    value = selector.strategy.value(candidate)
    kept = selector.strategy.accepts(candidate, selector.threshold, selector.agreement_threshold)
    state = 'accepted' if kept else 'rejected'
    return Outcome(
        **(
            {'record': RECORD | {'ref_id': ref_id}, 'state': state, 'chosen': candidate, 'value': value}
            | fields
        )
    )


@pytest.mark.parametrize(
    ('strategy', 'numbers', 'expected', 'said'),
    [
        ('rpp', dict(term=0.05), 0.025, 'RPP score 0.050 is below 0.1'),
        ('rpp', dict(term=0.1), 0, 'RPP score 0.100 is not below 0.1'),
        ('rpp', dict(term=0.10000004), -2e-8, 'RPP score 0.10000004 is not below 0.1'),
        ('rpp', dict(term=2.0, empty=True), -math.inf, 'the mask is empty'),
        ('score', dict(score=0.5), 0, 'confidence 0.500 reaches 0.5'),
        ('score', dict(score=0.2), -0.3, 'confidence 0.200 does not reach 0.5'),
        ('agreement', dict(agreement=0.9), 0.2, 'agreement 0.900 reaches 0.7'),
        ('all', dict(score=math.nan), math.inf, 'every mask that is not empty is accepted'),
        ('rpp+agreement', dict(term=0.02, agreement=0.71), 0.01,
         'RPP score 0.020 is below 0.1, agreement 0.710 reaches 0.7'),
        ('rpp+agreement', dict(term=0.02, agreement=0.4), -0.3, 'agreement 0.400 does not reach 0.7'),
        ('rpp+agreement', dict(term=0.9, agreement=0.9), -0.4, 'RPP score 0.900 is not below 0.1'),
        ('rpp+agreement', dict(term=0.9, agreement=0.1), -0.6,
         'RPP score 0.900 is not below 0.1, agreement 0.100 does not reach 0.7'),
    ],
)  # fmt: skip
def test_margin_and_reason(strategy, numbers, expected, said):
    selector = Selector(strategy)
    found = outcome(selector, **numbers)
    assert margin(found, selector) == pytest.approx(expected)
    assert reason(found, selector) == said
    if abs(expected) > 1e-6:
        assert (margin(found, selector) > 0) == (found.state == 'accepted')


def spread_out(selector, number=200):
    """RPP scores from 0 to 0.4, in another order than the objects'."""
    terms = np.random.default_rng(0).permutation(np.linspace(0, 0.4, number)).tolist()
    return [outcome(selector, term, ref_id=index) for index, term in enumerate(terms)]


def test_the_nearest_on_both_sides_and_a_spread_of_the_others():
    selector = Selector()
    outcomes = spread_out(selector)
    shown = choose_shown(outcomes, selector, 11)
    assert {group: len(found) for group, found in shown.items()} == dict(
        borderline=11, accepted=11, rejected=11
    )
    assert len({index for found in shown.values() for index in found}) == 33
    near = sorted(outcomes[index].value for index in shown['borderline'])
    ranked = sorted(o.value for o in outcomes)
    first_rejected = next(index for index, value in enumerate(ranked) if value >= 0.1)
    assert near == ranked[first_rejected - 6 : first_rejected + 5]
    for group, worst in (('accepted', 0.0), ('rejected', 0.4)):
        values = [outcomes[index].value for index in shown[group]]
        assert outcomes[shown[group][0]].state == group
        assert values[-1] == worst and values == sorted(values, reverse=group == 'accepted')
        steps = np.abs(np.diff(values))
        assert steps.max() < 1.6 * steps.min()


def test_the_same_are_shown_whatever_was_decided():
    selector = Selector()
    outcomes = spread_out(selector)
    shown = choose_shown(outcomes, selector, 8)
    first = shown['borderline'][0]
    turned = {'accepted': 'rejected', 'rejected': 'accepted'}[outcomes[first].state]
    outcomes[first] = outcomes[first]._replace(state=turned, ruled=outcomes[first].state)
    assert choose_shown(outcomes, selector, 8) == shown


def test_few_objects_leave_something_for_every_group():
    selector = Selector()
    numbers = [0.01, 0.05, 0.2, 0.3, None]
    outcomes = [
        Outcome(RECORD, 'unpredicted') if term is None else outcome(selector, term) for term in numbers
    ]
    outcomes.append(outcome(selector, 2.0, empty=True))
    shown = choose_shown(outcomes, selector, 60)
    assert shown == {'borderline': [1, 2], 'accepted': [0], 'rejected': [3, 5]}
    without = Selector('all')
    outcomes = [outcome(without, score=score) for score in (0.3, math.nan, 0.1)]
    assert choose_shown(outcomes, without, 2) == {'borderline': [], 'accepted': [1, 0], 'rejected': []}


def test_the_masks_of_what_is_shown_are_read_again(tmp_path):
    objects = make_objects(60)
    path = write_lines(make_predictions(objects), tmp_path / 'p.jsonl')
    selector = Selector()
    with PredictionStore([path]) as store:
        outcomes = list(select(objects, store, selector))
        light = [o._replace(record={'ref_id': o.record['ref_id']}).without_mask() for o in outcomes]
        shown = objects_to_show(light, objects, store, selector, 6)
    by_id = {o.record['ref_id']: o for o in outcomes}
    assert len(shown) >= 15
    for item in shown:
        assert item.outcome == by_id[item.outcome.record['ref_id']]
        assert item.group == 'borderline' or item.group == item.outcome.state


def test_sentences_say_which_gave_the_mask():
    found = outcome(Selector())
    assert sentences(found) == [('a', True), ('b', False)]
    vote = found._replace(chosen=found.chosen._replace(expression=['b', None]))
    assert sentences(vote) == [('a', False), ('b', True)]
    unknown = found._replace(chosen=found.chosen._replace(expression=None))
    assert sentences(unknown) == [('a', False), ('b', False)]


def test_bins_end_at_the_threshold():
    selector = Selector()
    outcomes = [*spread_out(selector), outcome(selector, 1.5), Outcome(RECORD, 'true')]
    bins = score_histogram(outcomes, selector)
    assert bins['edges'][10] == pytest.approx(0.1) and bins['edges'][-1] == pytest.approx(0.4)
    accepted = sum(o.state == 'accepted' for o in outcomes)
    assert sum(bins['accepted']) == sum(bins['accepted'][:10]) == accepted
    assert sum(bins['rejected'][10:]) == 201 - accepted and bins['open'] is True
    assert not score_histogram(spread_out(selector), selector)['open']
    strict = score_histogram([outcome(Selector('score'), score=1.0)], Selector('score'))
    assert strict['edges'][0] == 0 and strict['edges'][-1] == 1 and strict['accepted'][-1] == 1


def test_reliability_goes_from_the_best_number_to_the_worst():
    """Masks that shrink: RPP rises, IoU falls."""
    selector = Selector(threshold=2.0)
    outcomes, truth = [], []
    whole = to_json(rectangle(10, 10, 50, 50))
    for index in range(19):
        rle = to_json(rectangle(10, 10, 50, 50 - index))
        found = outcome(selector, 0.1 * index, ref_id=index)
        outcomes.append(found._replace(chosen=found.chosen._replace(rle=rle)))
        truth.append({'ref_id': index, 'mask': whole})
    quality = compare_with_truth(reversed(outcomes), truth)
    groups = quality['reliability']
    assert [group['number'] for group in groups] == [2] * 9 + [1]
    assert groups[0]['best'] == 0 and groups[0]['worst'] == pytest.approx(0.1)
    assert groups[0]['miou'] == pytest.approx(100 * (1 + 39 / 40) / 2)
    assert groups[-1]['miou'] == pytest.approx(100 * 22 / 40) and groups[-1]['p50'] == 100
    assert [g['miou'] for g in groups] == sorted((g['miou'] for g in groups), reverse=True)
    assert compare_with_truth(outcomes, truth, lower_is_better=False)['reliability'][0]['best'] == 1.8
    bins = quality['iou_histogram']
    assert sum(bins['accepted']) == 19 and not any(bins['accepted'][:11]) and not any(bins['rejected'])


@pytest.mark.parametrize(('height', 'width'), [(20000, 10), (10, 20000), (3000, 4000), (1, 1)])
def test_cards_of_odd_images_stay_small(height, width):
    found = outcome(Selector())
    mask = np.ones((height, width), bool)
    mask[::2, ::3] = False  # more borders than anybody sees
    found = found._replace(
        record=RECORD | {'bbox': [0, 0, width, height]}, chosen=found.chosen._replace(rle=to_json(mask))
    )
    card = draw_card(Shown('accepted', found, 0.1), np.full((height, width, 3), 90, np.uint8))
    drawn = Image.open(io.BytesIO(card.image))
    assert max(drawn.size) <= 480 and min(drawn.size) >= 1
    assert max(card.size) <= 480 and card.box == (0, 0, *card.size)
    assert len(card.image) < 20_000 and len(card.path) < 500_000


def test_a_card_is_cut_around_box_and_mask():
    image = np.zeros((60, 80, 3), np.uint8)
    image[..., 0] = np.arange(80) * 3
    selector = Selector()
    found = outcome(selector)
    rle = to_json(rectangle(30, 20, 40, 32))
    found = found._replace(
        record=RECORD | {'bbox': [28, 20, 14.5, 10]}, chosen=found.chosen._replace(rle=rle)
    )
    card = draw_card(Shown('accepted', found, 0.1), image)
    width, height = card.size
    assert 20 <= width < 80 and 15 <= height < 60 and card.image.startswith(b'\xff\xd8')
    assert width / height == pytest.approx(4 / 3, abs=0.1)
    left, top, box_width, box_height = card.box
    assert 0 < left < width - box_width and 0 < top < height - box_height
    assert (box_width, box_height) == (14.5, 10)
    # The mask begins two pixels to the right of the box, at its height.
    points = np.array([pair.split() for pair in card.path.strip('MZ').split('L')], float)
    assert points.min(axis=0) - [left, top] == pytest.approx([2, 0], abs=0.2)
    assert points.max(axis=0) - points.min(axis=0) == pytest.approx([10, 12], abs=0.3)
