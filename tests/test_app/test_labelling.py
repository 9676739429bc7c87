"""Drawing masks without a page: what is shown, saved, read again and refused."""

import json

import numpy as np
import pytest

from mmrefseg.app.labelling import LabellingSession
from mmrefseg.app.project import Project
from mmrefseg.datasets.converters.drawn_masks import FILE, DrawnMasks, object_key
from mmrefseg.datasets.converters.own_folder import read_own_folder
from mmrefseg.structures.masks import to_bitmap
from mmrefseg.utils import UserInputError


@pytest.fixture
def session(project):
    """Without a network: objects by coverage, nothing proposed."""
    return LabellingSession(project)


def do(session, name, **more):
    """An action on what is shown."""
    return session.act({'do': name, 'token': session.state(False)['token'], **more})


def square(session):
    """Click the four corners of the object's box, and close."""
    x, y, w, h = session.current.record['bbox']
    for px, py in ((x, y), (x + w, y), (x + w, y + h), (x, y + h)):
        state = do(session, 'click', x=px, y=py)
    assert len(state['open']) == 4 and 'photo' not in state
    return do(session, 'close')


def test_a_drawn_mask_is_saved_before_the_next_object(session, project, photos):
    before = (photos / 'instances.json').read_bytes()
    record = session.current.record
    assert square(session)['fit'] == pytest.approx(1.0)
    state = do(session, 'accept')
    assert state['photo'].startswith('data:image/jpeg') and state['masks'] == 1 and not state['message']
    assert session.current.record['bbox'] != record['bbox']
    (entry,) = json.loads((photos / FILE).read_text())['masks']
    assert (entry['file_name'], entry['bbox'], entry['how']) == (
        record['file_name'], record['bbox'], 'drawn',
    )  # fmt: skip
    assert (photos / 'instances.json').read_bytes() == before
    data = read_own_folder(photos)
    masks = [one for records in data.splits.values() for one in records if one.get('mask') is not None]
    assert [object_key(one) for one in masks] == [object_key(record)] * len(masks) and masks
    assert '1 masks drawn in drawn_masks.json' in data.summary()
    again = LabellingSession(Project(photos))
    assert object_key(record) not in {object_key(choice.record) for choice in again.queue}
    assert len(again.queue) == len(session.queue)


def test_later_and_previous(session, project):
    first, number = session.current.record, len(session.queue)
    do(session, 'skip')
    assert session.current.record != first and len(session.queue) == number
    second = session.current.record
    square(session)
    do(session, 'accept')
    state = do(session, 'back')
    assert session.current.record == second and len(state['parts'][0]) == 4 and state['closed']
    do(session, 'move', part=0, index=0, x=second['bbox'][0] + 1, y=second['bbox'][1] + 1)
    do(session, 'accept')
    assert len(project.drawn) == 1 and len(session.queue) == number - 1
    assert session.queue[-1].record == first


def test_what_cannot_be_saved_stays(session, project):
    record = session.current.record
    assert 'found no closed part' in do(session, 'accept')['message']
    do(session, 'click', x=1, y=1)
    assert 'found no closed part' in do(session, 'accept')['message']
    assert session.current.record == record and len(project.drawn) == 0
    do(session, 'click', x=30, y=1)
    do(session, 'click', x=30, y=30)
    assert not do(session, 'accept')['message']  # three vertices: closed on the way
    assert len(project.drawn) == 1


@pytest.mark.parametrize(
    ('action', 'said'),
    [
        ({'do': 'erase'}, "found 'erase'"),
        ({'do': 'click', 'x': 'left', 'y': 0}, "x 'left'"),
        ({'do': 'click', 'x': float('nan'), 'y': 0}, 'x nan'),
        ({'do': 'accept', 'token': -1}, 'no longer shown'),
    ],
)
def test_a_strange_request_is_a_sentence(session, action, said):
    token = session.state(False)['token']
    assert said in session.act({'token': token, **action})['message']
    assert 'action' in session.act('accept')['message']


def test_all_drawn(session, project):
    for _ in range(len(session.queue)):
        square(session)
        state = do(session, 'accept')
    assert state['finished'] and state['left'] == 0
    assert project.num_masks == len(project.records)
    assert LabellingSession(project).current is None
    assert not do(session, 'back')['finished']


def test_the_network_proposes_and_ranks(project, proposer, made):
    session = LabellingSession(project, proposer)
    assert any(choice.why != 'stands for others like it' for choice in session.queue)
    good, seen = 0, session.queue[:8]
    for _ in seen:
        record, state = session.current.record, session.state(False)
        truth = to_bitmap(made[1][object_key(record)], record['height'], record['width'])
        drawn = session.outline.bitmap()
        good += (drawn & truth).sum() / (drawn | truth).sum() > 0.6
        assert state['how'] == 'accepted' and state['fit'] > 0.8
        do(session, 'accept')
    assert good >= 6
    assert {entry['how'] for entry in json.loads(project.drawn.path.read_text())['masks']} == {'accepted'}
    # a change and back to the proposal
    x, y = session.state(False)['parts'][0][0]
    assert do(session, 'move', part=0, index=0, x=x + 3, y=y + 3)['how'] == 'changed'
    assert do(session, 'clear')['parts'] == []
    assert do(session, 'proposal')['how'] == 'accepted' and session.outline.parts


def test_a_broken_photo_is_a_sentence(session, photos):
    (photos / 'images' / session.queue[1].record['file_name']).write_bytes(b'no image')
    square(session)
    state = do(session, 'accept')
    assert 'cannot be decoded' in state['message'] and state['photo'] == ''
    assert 'cannot be decoded' not in do(session, 'skip')['message']


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        ('[]', 'found format []'),
        ('{"format": "mmrefseg-drawn-masks-1", "masks": 3}', 'found masks 3'),
        ('{"format": "mmrefseg-drawn-masks-1", "masks": [3]}', 'mask 0: found 3'),
        (
            '{"format": "mmrefseg-drawn-masks-1", "masks": [{"file_name": "a.png", "height": 4, "width": 4, '
            '"bbox": [0, 0, 2, 2], "mask": [[0, 0, 1]]}]}',
            'polygon 0 of 3 numbers',
        ),
    ],
)
def test_a_foreign_file_of_masks_is_refused(tmp_path, content, said):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(UserInputError, match='found') as error:
        DrawnMasks(tmp_path)
    assert said in str(error.value)


def test_masks_of_two_programs_stay(project):
    first, second = project.records[0], project.records[-1]
    one, other = DrawnMasks(project.folder), DrawnMasks(project.folder)
    for drawn, record in ((one, first), (other, second)):
        x, y, w, h = record['bbox']
        drawn.save(record, [[x, y, x + w, y, x + w, y + h]], 'drawn')
    assert len(DrawnMasks(project.folder)) == 2
    one.remove(second)
    assert len(DrawnMasks(project.folder)) == 1 and first in one and second not in one


def test_a_mask_whose_object_has_gone_is_told(project):
    record = project.records[0]
    project.drawn.save({**record, 'bbox': [1, 1, 2, 2]}, [[1, 1, 3, 1, 3, 3]], 'drawn')
    (remark,) = [text for text in read_own_folder(project.folder).remarks if 'fit no object' in text]
    assert remark.startswith('1 masks of')


def test_images_of_the_page_are_large_enough(session):
    state = session.state()
    assert min(state['view'][2:]) > 0 and state['size'] == [128, 128]
    x, y, w, h = state['box']
    left, top, width, height = state['view']
    assert left <= x and top <= y and left + width >= x + w and top + height >= y + h
    assert np.isfinite(state['view']).all()
