"""What the reader accepts, merges and numbers, and the sentence for everything it does not accept."""

import copy
import json
import math

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmrefseg.datasets.annotations import load_annotation_file, load_split, normalize_records
from mmrefseg.datasets.validation import find_problem, validate_record
from mmrefseg.utils import UserInputError

SQUARE = [[10, 10, 30, 10, 30, 30, 10, 30]]


def make_record(**changes):
    record = {
        'image_id': 7,
        'height': 48,
        'width': 64,
        'bbox': [10, 10, 20, 20],
        'mask': copy.deepcopy(SQUARE),
        'expressions': ['red square', 'the left one'],
        'category_id': 1,
        'ref_id': 3,
        'sent_ids': [5, 6],
    }
    record.update(changes)
    return {key: value for key, value in record.items() if value is not ...}


def rle_of(array):
    encoded = coco_mask.encode(np.asfortranarray(array.astype(np.uint8)))
    return {'size': list(array.shape), 'counts': encoded['counts'].decode()}


FULL = np.ones((48, 64))
NAN, INF = math.nan, math.inf

# name: (changes to a good record, words that the sentence must have)
BAD_RECORDS = {
    'no image_id': ({'image_id': ...}, 'no image_id'),
    'no height': ({'height': ...}, 'no height'),
    'zero width': ({'width': 0}, 'width 0'),
    'infinite width': ({'width': INF}, 'width inf'),
    'fractional height': ({'height': 47.5}, 'height 47.5'),
    'height as text': ({'height': '48'}, "height '48'"),
    'image_id true': ({'image_id': True}, 'image_id True'),
    'ref_id beyond 64 bits': ({'ref_id': 2**62}, f'ref_id {2**62}, expected a whole number'),
    'ann_id as list': ({'ann_id': [3]}, 'ann_id [3], expected a whole number or a string'),
    'data_source as list': ({'data_source': ['coco']}, "data_source ['coco'], expected a text"),
    'mask_points as text': ({'mask_points': 'abc'}, "mask_points 'abc', expected finite numbers"),
    'mask_points odd': ({'mask_points': [1, 2, 3]}, 'mask_points [1, 2, 3]'),
    'kinds of another number': ({'kinds': ['x']}, '1 kinds for 2 expressions'),
    'no_target as text': ({'no_target': 'no'}, "no_target 'no', expected true or false"),
    'no_target with half a box': ({'no_target': True, 'bbox': [1, 2]}, 'expected [0, 0, 0, 0]'),
    'bbox true': ({'bbox': [True, 10, 20, 20]}, 'bbox [True, 10, 20, 20]'),
    'polygon far away': ({'mask': [[0, 0, 1e9, 0, 5, 5]]}, 'coordinate 1e+09, expected pixels of the image'),
    'no expressions key': ({'expressions': ...}, 'no expressions'),
    'no expressions': ({'expressions': [], 'sent_ids': []}, 'no expressions'),
    'empty expression': ({'expressions': ['red square', ' ']}, 'an empty expression at index 1'),
    'expression as text': ({'expressions': 'red square'}, "expressions 'red square'"),
    'expression as number': ({'expressions': ['red', 3]}, 'expression 1 of type int'),
    'too few sent_ids': ({'sent_ids': [5]}, '1 sent_ids for 2 expressions'),
    'sent_ids as text': ({'sent_ids': ['a', 'b']}, 'sent_ids'),
    'ref_id as text': ({'ref_id': 'r3'}, "ref_id 'r3'"),
    'category_id as text': ({'category_id': 'cup'}, "category_id 'cup'"),
    'no bbox': ({'bbox': ...}, 'no bbox'),
    'bbox of three': ({'bbox': [1, 2, 3]}, 'bbox [1, 2, 3]'),
    'bbox of NaN': ({'bbox': [1, NAN, 3, 4]}, 'nan'),
    'bbox of inf': ({'bbox': [1, 1, INF, 4]}, 'inf'),
    'bbox without area': ({'bbox': [10, 10, 20, 0]}, 'without area'),
    'bbox of negative width': ({'bbox': [30, 10, -20, 5]}, 'without area'),
    'bbox right of the image': ({'bbox': [64, 10, 5, 5]}, 'outside the image'),
    'bbox above the image': ({'bbox': [10, -20, 5, 10]}, 'outside the image'),
    'ref_id of 70 bits': ({'ref_id': 2**70}, 'ref_id 1180591620717411303424'),
    'image_id of 70 bits': ({'image_id': 2**70}, 'image_id 1180591620717411303424'),
    'category_id of 64 bits': ({'category_id': 2**63}, 'category_id 9223372036854775808'),
    'sent_ids of 64 bits': ({'sent_ids': [5, 2**63]}, 'sent_ids [5, 9223372036854775808]'),
    'height of 400 digits': ({'height': 10**400}, 'height 1000000000'),
    'width of 1e308': ({'width': 1e308}, 'width 1e+308'),
    'an image of 65000 x 65000': ({'height': 65000, 'width': 65000}, '65000 x 65000 pixels'),
    'file_name that is a number': ({'file_name': 5}, 'file_name 5'),
    'file_name that is a list': ({'file_name': ['a.png']}, "file_name ['a.png']"),
    'file_name with NUL': ({'file_name': 'a\0b.png'}, "file_name 'a\\x00b.png' with a NUL"),
    'file_name with half a character': ({'file_name': '\ud800.png'}, "'\\ud800.png' with half a character"),
    'data_source that is a list': ({'data_source': ['coco']}, "data_source ['coco']"),
    'half an emoji': ({'expressions': ['the cup', 'left \ud83d']}, 'expression 1 with half a character'),
    'ignore_mask of two points': ({'ignore_mask': [[1, 1, 9, 9]]}, 'polygon 0 of 4 numbers'),
    'ignore_mask of text': ({'ignore_mask': 'all'}, 'a mask of type str'),
    'two points': ({'mask': [[1, 1, 9, 9]]}, 'polygon 0 of 4 numbers'),
    'second polygon of two points': ({'mask': [*SQUARE, [1, 1, 9, 9]]}, 'polygon 1 of 4 numbers'),
    'odd polygon': ({'mask': [[1, 1, 9, 9, 1, 9, 4]]}, 'polygon 0 of 7 numbers'),
    'polygon outside': ({'mask': [[70, 1, 90, 1, 90, 9]]}, 'polygon 0 outside the image'),
    'polygon below': ({'mask': [[1, 50, 9, 50, 9, 59]]}, 'polygon 0 outside the image'),
    'polygon of NaN': ({'mask': [[1, 1, NAN, 1, 9, 9]]}, 'polygon 0 with NaN'),
    'polygon of text': ({'mask': [['a', 1, 9, 1, 9, 9]]}, 'no numbers'),
    'flat polygon': ({'mask': [[1, 1, 9, 1, 9, 9, 5]]}, '7 numbers'),
    'mask without parts': ({'mask': []}, 'a mask without polygons'),
    'mask as text': ({'mask': 'square'}, 'a mask of type str'),
    'mask as one polygon': ({'mask': SQUARE[0]}, 'polygon 0 of type int'),
    'polygon that covers no pixel': ({'mask': [[3, 3, 3, 3, 3, 3]]}, 'an empty mask'),
    'polygon that is a line': ({'mask': [[3, 3, 3, 20, 3, 9]]}, 'an empty mask'),
    'polygon that only its box meets': ({'mask': [[-30, 40, 20, 90, -30, 90]]}, 'an empty mask'),
    'sliver': ({'mask': [[3, 3, 40, 3.2, 40, 3.4]]}, 'an empty mask'),
    'RLE of another size': ({'mask': rle_of(FULL.T)}, 'an RLE of size [64, 48]'),
    'RLE without size': ({'mask': {'counts': 'abc'}}, 'an RLE of size None'),
    'RLE without counts': ({'mask': {'size': [48, 64]}}, 'an RLE with'),
    'RLE too short': ({'mask': {'size': [48, 64], 'counts': rle_of(FULL[:40])['counts']}}, '2560 pixels'),
    'RLE of garbage': ({'mask': {'size': [48, 64], 'counts': 'zzzzzz~~~~'}}, 'an RLE with'),
    'empty RLE': ({'mask': rle_of(FULL * 0)}, 'an empty mask'),
}


@pytest.mark.parametrize('name', BAD_RECORDS)
def test_a_bad_record_gives_one_sentence(name):
    changes, words = BAD_RECORDS[name]
    with pytest.raises(UserInputError) as error:
        validate_record(make_record(**changes), 'file.json [train] record 4')
    sentence = str(error.value)
    assert words in sentence and sentence.startswith('file.json [train] record 4')
    assert ': found ' in sentence and ', expected ' in sentence and '; ' in sentence
    assert '\n' not in sentence
    assert 'ref_id' in sentence or 'ref_id' not in make_record(**changes)


def test_the_table_of_bad_records_is_whole():
    assert len(BAD_RECORDS) >= 40


@pytest.mark.parametrize(
    'changes',
    [
        {},
        {'mask': ...},
        {'mask': None},
        {'ref_id': ..., 'sent_ids': ..., 'category_id': ...},
        {'image_id': '1000092795'},
        {'image_id': 2**61, 'ref_id': -3},
        {'expressions': ['the 🦊', 'naïve'], 'file_name': 'naïve 🦊.jpg'},
        {'file_name': 'latin-1 \udce9.jpg'},
        {'file_name': None},
        {'ignore_mask': [[70, 1, 90, 1, 90, 9]]},
        {'bbox': [-5.5, 40, 20, 30]},
        {'mask': [*SQUARE, [-9, -9, 5, -9, 5, 5]]},
        {'mask': rle_of(FULL)},
        {'mask': {'size': [48, 64], 'counts': [100, 20, 48 * 64 - 120]}},
        {'mask': [[10, 10, 30, 30, 30, 10, 10, 30]]},
        {'height': 48.0},
        {'no_target': True, 'bbox': [0, 0, 0, 0], 'mask': ...},
    ],
    ids=str,
)
def test_a_good_record_is_accepted(changes):
    assert find_problem(make_record(**changes)) is None


def test_bad_layouts(tmp_path):
    cases = {
        'a json list': '[]',
        'COCO instances': '{"images": [], "annotations": []}',
        '[train]: found a dict': '{"train": {}}',
        'text that is not json': '{"train": [',
    }
    for words, text in cases.items():
        (tmp_path / 'a.json').write_text(text)
        with pytest.raises(UserInputError) as error:
            load_annotation_file(tmp_path / 'a.json')
        assert words in str(error.value)
    with pytest.raises(UserInputError, match='no such file'):
        load_annotation_file(tmp_path / 'b.json')


def write(tmp_path, **splits):
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps(splits))
    return path


def test_unknown_and_empty_split(tmp_path):
    path = write(tmp_path, train=[make_record()], val=[])
    with pytest.raises(UserInputError, match=r"no split 'testA'.*'train', 'val'"):
        load_split(path, 'testA')
    with pytest.raises(UserInputError, match='an empty split'):
        load_split(path, 'val')


def test_the_first_bad_record_is_named_and_all_are_counted(tmp_path):
    bad = [make_record(ref_id=i, bbox=[1, 1, 0, 0]) for i in (11, 12)]
    path = write(tmp_path, train=[make_record(), *bad])
    with pytest.raises(UserInputError, match=r'record 1 \(ref_id 11, .*2 of 3 records are bad'):
        load_split(path, 'train')


def sentence(text, **changes):
    return make_record(expressions=[text], **{'sent_ids': ..., **changes})


def test_sentences_of_one_object_are_merged():
    records = [sentence('a'), sentence('b'), sentence('c', ref_id=9), sentence('a')]
    merged = normalize_records(records, 'x')
    assert [(r['ref_id'], r['expressions'], r['sent_ids']) for r in merged] == [
        (3, ['a', 'b', 'a'], [0, 1, 2]),
        (9, ['c'], [3]),
    ]


def test_sentences_without_ref_id_are_merged_by_neighbourhood():
    here, there = {'ref_id': ...}, {'ref_id': ..., 'bbox': [1, 1, 5, 5]}
    records = [sentence('a', **here), sentence('b', **here), sentence('c', **there), sentence('d', **here)]
    merged = normalize_records(records, 'x')
    assert [(r['ref_id'], r['expressions']) for r in merged] == [(0, ['a', 'b']), (1, ['c']), (2, ['d'])]


def test_objects_without_ref_id_and_several_expressions_stay_apart():
    records = [make_record(ref_id=..., sent_ids=...) for _ in range(2)]
    merged = normalize_records(records, 'x')
    assert [r['ref_id'] for r in merged] == [0, 1] and [r['sent_ids'] for r in merged] == [[0, 1], [2, 3]]


def test_made_up_numbers_do_not_collide():
    records = [make_record(), make_record(ref_id=..., sent_ids=..., bbox=[1, 1, 9, 9])]
    merged = normalize_records(records, 'x')
    assert merged[1]['ref_id'] > 3 and min(merged[1]['sent_ids']) > 6


def test_sent_ids_of_single_records_are_kept_or_renumbered():
    kept = normalize_records([sentence('a', sent_ids=[8]), sentence('b', sent_ids=[4])], 'x')
    assert kept[0]['sent_ids'] == [8, 4]
    useless = normalize_records([sentence('a', sent_ids=[0]), sentence('b', sent_ids=[0])], 'x')
    assert useless[0]['sent_ids'] == [0, 1]


@pytest.mark.parametrize(
    'second',
    [
        make_record(),
        make_record(expressions=['x'], sent_ids=[9]),
        make_record(bbox=[1, 1, 5, 5]),
        make_record(image_id=8),
    ],
    ids=['copy', 'sentence after object', 'other box', 'other image'],
)
def test_duplicate_ref_id(second):
    with pytest.raises(UserInputError, match=r'record 1 \(ref_id 3, .*found the ref_id of record 0'):
        normalize_records([make_record(), second], 'x')


def test_a_copied_sentence_with_its_id_is_a_duplicate():
    with pytest.raises(UserInputError, match='ref_id of record 0'):
        normalize_records([sentence('a', sent_ids=[5]), sentence('a', sent_ids=[5])], 'x')


def test_an_expression_without_target_has_a_box_of_nothing():
    record = make_record(no_target=True, bbox=..., mask=...)
    assert find_problem(record) is None
    assert normalize_records([record], 'x')[0]['bbox'] == [0, 0, 0, 0]


def test_names_with_line_ends_stay_in_one_sentence():
    with pytest.raises(UserInputError) as error:
        validate_record(make_record(image_id='a\nb\u2028\ud800' + 'c' * 5000, ref_id=None, height=0), 'x')
    sentence = str(error.value)
    assert sentence.isprintable() and len(sentence) < 200
    assert r'a\nb' in sentence and 'found height 0' in sentence
