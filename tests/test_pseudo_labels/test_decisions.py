"""A person's decisions: read, checked, and put in the place of the rule."""

import json
import re

import pytest
from pseudo_data import make_objects, make_predictions, rectangle, to_json, write_lines

from mmrefseg.pseudo_labels import PredictionStore, Selector, judge, select, summarise_selection
from mmrefseg.pseudo_labels.decisions import FORMAT, Subject, as_content, check_decisions, read_decisions
from mmrefseg.utils import UserInputError

SUBJECT = Subject('a' * 16, 'train', 'b' * 16, 'best by rpp')


def write(path, decisions, **changes):
    path.write_text(json.dumps({'format': FORMAT, **SUBJECT._asdict(), 'decisions': decisions} | changes))
    return path


def refusal(function, *args) -> str:
    with pytest.raises(UserInputError) as error:
        function(*args)
    return str(error.value)


def test_what_is_written_is_read(tmp_path):
    decisions = {70: 'accept', -3: 'reject', 2**62: 'accept'}
    content = as_content(SUBJECT, decisions)
    assert content.pop('decisions') == {'-3': 'reject', '70': 'accept', str(2**62): 'accept'}
    assert content == {'format': FORMAT, **SUBJECT._asdict()}
    (tmp_path / 'd.json').write_text(json.dumps(as_content(SUBJECT, decisions)))
    assert read_decisions([tmp_path / 'd.json'], SUBJECT) == decisions
    assert read_decisions([], SUBJECT) == {}


def test_several_files_add_up_unless_they_disagree(tmp_path):
    first = write(tmp_path / 'a.json', {'1': 'accept', '2': 'reject'})
    second = write(tmp_path / 'b.json', {'2': 'reject', '3': 'accept'})
    assert read_decisions([first, second], SUBJECT) == {1: 'accept', 2: 'reject', 3: 'accept'}
    write(second, {'2': 'accept'})
    sentence = refusal(read_decisions, [first, second], SUBJECT)
    assert 'b.json, ref_id 2' in sentence and 'a.json' in sentence and "'accept'" in sentence
    first.write_text(first.read_text().replace('"2"', '"1"'))  # one key twice, as json allows
    assert 'ref_id 1' in refusal(read_decisions, [first], SUBJECT)


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        ('[1, 2]', 'found [1, 2], expected decisions that the page'),
        ('{"train": []}', 'found format None'),
        ('{"format": "x"', 'not json'),
        ({'split': 'val'}, "decisions about split 'val', expected split 'train'"),
        ({'annotations': 'c' * 16}, "decisions about annotations 'cccccccccccccccc'"),
        ({'predictions': None}, 'decisions about predictions None'),
        ({'masks': 'vote'}, "decisions about masks 'vote', expected masks 'best by rpp'"),
        ({'decisions': ['1']}, "decisions ['1'], expected a dict"),
        ({'decisions': {'1': 'yes'}}, "the decision '1': 'yes', expected a ref_id"),
        ({'decisions': {'1': ['accept']}}, "'1': ['accept']"),
        ({'decisions': {'01': 'accept'}}, "the decision '01'"),
        ({'decisions': {'[/red]': 'accept'}}, "the decision '[/red]'"),
        ({'decisions': {'\u0661': 'accept'}}, 'the decision'),
    ],
)
def test_what_is_no_decision_about_these_masks(tmp_path, content, said):
    path = tmp_path / 'd.json'
    if isinstance(content, str):
        path.write_text(content)
    else:
        write(path, **{'decisions': {}, **content})
    sentence = refusal(read_decisions, [path], SUBJECT)
    assert said in sentence and str(path) in sentence


def test_a_subject_is_known_by_content_not_by_name(tmp_path):
    for name in 'abc':
        (tmp_path / name).write_text(name if name != 'c' else 'a')
    a, b, same = (str(tmp_path / name) for name in 'abc')

    def of(*args):
        return Subject.of_files(*args)

    first = of(a, 'train', [a, b], 'rpp', 'best')
    assert first == of(same, 'train', [same, b], 'rpp', 'best') and re.fullmatch('[0-9a-f]{16}', first.key)
    others = [
        of(b, 'train', [a, b], 'rpp', 'best'),
        of(a, 'val', [a, b], 'rpp', 'best'),
        of(a, 'train', [b, a], 'rpp', 'best'),
        of(a, 'train', [a, b], 'score', 'best'),
        of(a, 'train', [a, b], 'rpp', 'vote'),
    ]
    assert len({first, *others}) == len({first.key, *(other.key for other in others)}) == 6
    # The vote does not ask the strategy.
    assert of(a, 'train', [a], 'rpp', 'vote') == of(a, 'train', [a], 'agreement', 'vote')


def test_decisions_about_objects_that_do_not_wait_for_one():
    objects = make_objects(3)
    check_decisions({1: 'accept', 2: 'reject'}, objects, {1, 2}, 'few.json')
    for ref_id, decision, found in (
        (9, 'reject', 'not in the split'),
        (0, 'reject', 'a mask of its own'),
        (2, 'accept', 'without a prediction'),
    ):
        sentence = refusal(check_decisions, {1: 'accept', ref_id: decision}, objects, {1}, 'few.json')
        assert found in sentence and f'{decision!r} about ref_id {ref_id}' in sentence, sentence


def test_a_decision_counts_instead_of_the_rule(tmp_path):
    objects = make_objects(40)
    path = write_lines(make_predictions(objects), tmp_path / 'p.jsonl')

    def run(decisions):
        with PredictionStore([path]) as store:
            selector = Selector(decisions=decisions)
            return list(select(objects, store, selector)), selector

    ruled, _ = run(None)
    accepted = [o.record['ref_id'] for o in ruled if o.state == 'accepted']
    rejected = [o.record['ref_id'] for o in ruled if o.state == 'rejected' and not o.chosen.empty]
    assert len(accepted) > 3 and len(rejected) > 3
    decisions = {accepted[0]: 'reject', rejected[0]: 'accept', rejected[1]: 'accept', accepted[1]: 'accept'}
    outcomes, selector = run(decisions)
    for before, after in zip(ruled, outcomes, strict=True):
        ref_id = before.record['ref_id']
        if ref_id not in decisions:
            assert after == before and after.ruled is None
            continue
        assert after.ruled == before.state
        assert after.state == {'accept': 'accepted', 'reject': 'rejected'}[decisions[ref_id]]
        assert ('mask' in after.record) == (after.state == 'accepted')
        if after.state == 'accepted':
            assert after.record['mask'] == before.chosen.rle
            assert after.record['mask_source'] == {
                'kind': 'pseudo', 'checkpoint': 'best.pth', 'checkpoint_sha256': '0' * 16,
                'accepted_by': 'person',
            }  # fmt: skip
    report, before = summarise_selection(outcomes, selector), summarise_selection(ruled, selector)
    assert report['decided'] == {'accepted': 2, 'rejected': 1, 'confirmed': 1}
    assert before['decided'] == {'accepted': 0, 'rejected': 0, 'confirmed': 0}
    assert report['accepted'] == before['accepted'] + 1


def test_an_empty_mask_cannot_be_accepted():
    record = make_objects(2)[1]
    prediction = {'ref_id': 1, 'sent_id': 10, 'segmentation': to_json(rectangle(0, 0, 0, 0)), 'score': 0.9}
    candidates = judge([record], [[prediction]])[0]
    assert 'a mask without a pixel' in refusal(Selector(decisions={1: 'accept'}).decide, record, candidates)
    assert Selector(decisions={1: 'reject'}).decide(record, candidates).state == 'rejected'
