"""Pseudo masks and a person's decisions, as choose_pseudo_data.py takes them."""

import shlex
import subprocess
import sys

import pytest

from mmrefseg.app.desk import Desk
from mmrefseg.app.reviewing import ORDERS, newest_review, predict_masks
from mmrefseg.datasets.annotations import load_split
from mmrefseg.pseudo_labels.decisions import read_decisions
from mmrefseg.utils import UserInputError
from mmrefseg.utils.places import DEFAULT


@pytest.fixture
def review(project, proposer):
    """Of the copy's objects; one has its own mask."""
    record = project.records[0]
    x, y, w, h = record['bbox']
    project.drawn.save(record, [[x, y, x + w, y, x + w, y + h, x, y + h]], 'drawn')
    return predict_masks(project, proposer)


def test_decisions_reach_the_tool(review, project, repo_root):
    page = review.page()
    assert 0 < page['total'] < len(project.records) and len(page['cards']) == min(page['total'], 12)
    card = page['cards'][0]
    assert card['image'].startswith('data:image/jpeg') and card['path'].startswith('M')
    review.threshold = 0.0
    first, second = (one['ref_id'] for one in page['cards'][:2])
    review.decide(first, 'reject')
    review.decide(second, 'reject')
    review.decide(second, 'accept')
    again = newest_review(project)
    assert again.decisions == {first: 'reject', second: 'accept'}
    assert read_decisions([review.decisions_file], review._subject) == again.decisions
    assert not again.accepted(first) and again.accepted(second)

    _, verb, *words = shlex.split(review.command)
    assert verb == 'pseudo'
    words += ['--report', str(review.folder / 'report.json')]
    command = [sys.executable, str(repo_root / 'tools/choose_pseudo_data.py'), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    by_tool = load_split(review.folder / 'picked.json', 'train')
    assert load_split(review.write_picked(), 'train') == by_tool
    masks = {record['ref_id'] for record in by_tool if record.get('mask') is not None}
    assert first not in masks and second in masks and len(masks) > 2


def test_orders_and_pages(review):
    low, high = ([card['score'] for card in review.page(order)['cards']] for order in ORDERS[1:])
    assert low == sorted(low) and high == sorted(high, reverse=True)
    review.threshold = 1.0
    assert review.page()['accepted'] == 0
    assert review.page(first=10_000)['cards'] and review.page(first=-5)['first'] == 0
    assert review.page('none')['order'] == ORDERS[0]


def test_what_is_refused(review, proposer):
    for ref_id, decision in ((-1, 'accept'), (review.ordered()[0], 'maybe'), ([1], 'accept')):
        with pytest.raises(UserInputError, match='no such object or decision'):
            review.decide(ref_id, decision)
    assert not review.decisions_file.exists()
    for record in review.project.records:
        x, y, w, h = record['bbox']
        review.project.drawn.save(record, [[x, y, x + w, y, x + w, y + h]], 'drawn')
    with pytest.raises(UserInputError, match='a mask of every object'):
        predict_masks(review.project, proposer)


def test_the_desk_without_a_folder_or_a_review(project):
    empty = Desk(None, DEFAULT)
    assert 'mmrefseg app --data' in empty.decide({})['message'] and empty.label({})['for_good']
    for act in (lambda: empty.train(1), empty.stop, empty.resume, empty.predict_masks):
        with pytest.raises(UserInputError, match='--data'):
            act()
    desk = Desk(project, DEFAULT)
    assert desk.decide({'ref_id': 1, 'decision': 'accept'})['total'] == 0
    with pytest.raises(UserInputError, match='predict masks first'):
        desk.train_on_review(1)
    with pytest.raises(UserInputError, match='found no training'):
        desk.resume()
    assert desk.training() == (None, '')
