"""Result files: how they are written, and that a mistake of each kind is named."""

import copy
import json
import runpy
import sys

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmrefseg.evaluation.submission import SubmissionChecker, check_keys, result_records, write_results
from mmrefseg.utils import UserInputError

TEST = {
    'images': [{'id': 3, 'height': 4, 'width': 6}, {'id': 8, 'height': 5, 'width': 5}],
    'categories': [{'id': 1}, {'id': 2}],
}
MASK = np.zeros((4, 6), np.uint8)
MASK[1:3, 2:5] = 1
RLE = coco_mask.encode(np.asfortranarray(MASK))


def records(scores=(0.25, 0.75)):
    count = len(scores)
    return result_records(3, np.tile([2.0, 1, 5, 3], (count, 1)), scores, [1] * count, [RLE] * count)


def faults(change=None, **values):
    """What the checker says about one sound line with some values changed."""
    record = {**copy.deepcopy(records()[0]), **values}
    if change:
        change(record)
    return [fault for _, fault in SubmissionChecker(TEST).problems([record])]


def test_lines_are_plain_json(tmp_path):
    path = tmp_path / 'x.segm.json'
    assert write_results(records(np.float32([0.25, 0.75])), path) == 2
    first = json.loads(path.read_text())[0]
    assert first == {
        'image_id': 3,
        'bbox': [2.0, 1.0, 3.0, 2.0],
        'score': 0.75,
        'category_id': 1,
        'segmentation': {'size': [4, 6], 'counts': RLE['counts'].decode()},
    }
    assert (coco_mask.decode(first['segmentation']) == MASK).all()


def test_sorted_unique_chosen_keys(tmp_path):
    path = tmp_path / 'x.segm.json'
    other = {**records([0.9])[0], 'image_id': 8}
    keys = check_keys(['image_id', 'category_id', 'score', 'segmentation'])
    assert write_results([other, *records(), *records()], path, keys) == 3
    lines = json.loads(path.read_text())
    assert [(line['image_id'], line['score']) for line in lines] == [(3, 0.75), (3, 0.25), (8, 0.9)]
    assert all(list(line) == list(keys) for line in lines)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / 'x.segm.json'
    write_results(records(), path)
    before = path.read_text()
    broken = {**records()[0], 'bbox': [np.zeros(1)]}  # not for json
    with pytest.raises(TypeError):
        write_results([broken], path)
    assert path.read_text() == before
    assert [file.name for file in tmp_path.iterdir()] == ['x.segm.json']


@pytest.mark.parametrize('keys', [['score', 'area'], [], ['score', 'score']])
def test_wrong_keys(keys):
    with pytest.raises(UserInputError, match='expected some of image_id,bbox,score'):
        check_keys(keys)


def test_a_sound_line_has_no_fault():
    assert faults() == []


@pytest.mark.parametrize(
    ('values', 'words'),
    [
        (dict(image_id='3'), "image_id '3' (str)"),
        (dict(image_id=4), 'image_id 4, which the test file does not have'),
        (dict(image_id=3.0), 'expected a whole number'),
        (dict(category_id=3), 'category_id 3, which the test file'),
        (dict(category_id=True), 'expected a whole number'),
        (dict(score=1.5), 'from 0 to 1'),
        (dict(score=float('nan')), 'from 0 to 1'),
        (dict(score='0.5'), 'from 0 to 1'),
        (dict(bbox=[1, 2, 3]), '4 finite numbers'),
        (dict(bbox=[1, 2, float('inf'), 3]), '4 finite numbers'),
        (dict(bbox=[1, 2, 10**400, 3]), '4 finite numbers'),
        (dict(score=10**400), 'score 1000000000'),
        (dict(image_id='x' * 999), "image_id 'xxx"),
        (dict(bbox=[5, 2, -3, 3]), 'x, y, width, height'),
        (dict(segmentation=[[1, 1, 2, 2, 3, 3]]), 'expected an RLE'),
        (dict(segmentation=dict(size=[6, 4], counts='0')), 'height and width are exchanged'),
        (dict(segmentation=dict(size=[4, 5], counts='0')), 'the image has [height, width] = [4, 6]'),
        (dict(segmentation=dict(size=[4], counts='0')), 'expected [height, width]'),
        (dict(segmentation=dict(size=[4, 6], counts=[24])), 'counts of type list'),
        (dict(segmentation=dict(size=[4, 6], counts='5')), 'runs that cover 5 pixels'),
        (dict(segmentation=dict(size=[4, 6], counts='\n')), 'not a COCO run-length string'),
    ],
)
def test_each_fault_is_named(values, words):
    found = faults(**values)
    assert len(found) == 1 and words in found[0], found


@pytest.mark.parametrize('key', ['image_id', 'category_id', 'score', 'segmentation'])
def test_a_missing_key_is_named(key):
    found = faults(lambda record: record.pop(key))
    assert len(found) == 1 and f'no {key};' in found[0]


def test_other_entries_and_repetitions():
    lines = [*records(), 7, records()[0]]
    assert list(SubmissionChecker(TEST).problems(lines)) == [
        (2, 'a int, expected an object with image_id, category_id, score, segmentation'),
        (3, 'the same as entry 0; write each instance once'),
    ]


def test_boxes():
    line = {key: value for key, value in records()[0].items() if key != 'segmentation'}
    assert not list(SubmissionChecker(TEST, 'bbox').problems([line]))
    (_, fault), *_ = SubmissionChecker(TEST).problems([line])
    assert fault.startswith('no segmentation')


def test_remarks():
    empty = {'size': [4, 6], 'counts': 'h0'}
    crowd = [{**records()[0], 'score': place / 200, 'segmentation': empty} for place in range(101)]
    assert SubmissionChecker(TEST).remarks(crowd) == [
        '1 of 2 images have no entry',
        '1 images have more than 100 entries, of which COCO counts the best 100',
        '101 masks are empty',
    ]


@pytest.fixture
def validate(repo_root, monkeypatch, capsys):
    """Run the tool in this process: its exit code and what it printed."""

    def run(*args):
        script = str(repo_root / 'tools/analysis_tools/validate_submission.py')
        monkeypatch.setattr(sys, 'argv', [script, *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(script, run_name='__main__')
        captured = capsys.readouterr()
        return stop.value.code, captured.out + captured.err

    return run


def test_the_two_gpu_submission_passes(validate, test_data):
    """What two processes of mmdet 2.7 wrote, and what scored 0.38246 mAP."""
    folder = test_data / 'tiny_voc'
    code, text = validate(folder / 'submission_0.38246.json', '--test-json', folder / 'test.json')
    assert code == 0 and '832 entries on 98 images, nothing is wrong' in text
    assert '14 masks are empty' in text


def test_wrong_entries_of_it_are_named(validate, test_data, tmp_path):
    folder = test_data / 'tiny_voc'
    lines = json.loads((folder / 'submission_0.38246.json').read_text())
    lines[5]['image_id'] = 'x'
    lines[9]['segmentation']['size'].reverse()
    lines[700] = lines[699]
    (tmp_path / 'x.json').write_text(json.dumps(lines))
    code, text = validate(tmp_path / 'x.json', '--test-json', folder / 'test.json')
    assert code == 1 and '3 of 832 entries are wrong' in text
    for line in (
        "entry 5: image_id 'x'",
        'entry 9: segmentation of size',
        'entry 700: the same as entry 699',
    ):
        assert line in text
    code, text = validate(tmp_path / 'x.json', '--test-json', folder / 'test.json', '--limit', '1')
    assert text.count('entry ') == 1 and '2 more problems' in text


def test_unreadable_files(validate, test_data, tmp_path):
    test_json = test_data / 'tiny_voc/test.json'
    assert validate(tmp_path / 'none.json', '--test-json', test_json)[0] == 2
    (tmp_path / 'dict.json').write_text('{}')
    code, text = validate(tmp_path / 'dict.json', '--test-json', test_json)
    assert code == 2 and 'expected a list of entries' in text
    code, text = validate(test_json, '--test-json', tmp_path / 'dict.json')
    assert code == 2 and "no list 'images'" in text
