"""Fields of foreign formats that are not what they should be: one sentence, or the bad record is skipped."""

import json
import pickle

import numpy as np
import pytest

from mmrefseg.datasets.converters import (
    ImageSizes,
    read_boxes_csv,
    read_grefcoco,
    read_json_lines,
    read_mask_folders,
    read_refer,
    read_simrec,
)
from mmrefseg.datasets.predicted_pairs import pair_of, read_predicted_pairs
from mmrefseg.datasets.vocabulary import Vocabulary
from mmrefseg.structures.polygons import points_problem
from mmrefseg.utils import UserInputError
from mmrefseg.utils.errors import short

TRIANGLE = [5, 5, 25, 5, 25, 25]
COCO = {
    'images': [{'id': 1, 'height': 48, 'width': 64, 'file_name': 'a.png'}],
    'annotations': [
        {'id': 2, 'image_id': 1, 'bbox': [5, 5, 20, 20], 'segmentation': [TRIANGLE], 'category_id': 3}
    ],
}
REF = {
    'ref_id': 3,
    'ann_id': 2,
    'image_id': 1,
    'split': 'train',
    'sentences': [{'sent': 'cup', 'raw': 'Cup', 'sent_id': 7, 'tokens': ['cup']}],
}


def save(path, data):
    path.write_bytes(pickle.dumps(data, 2) if path.suffix == '.p' else json.dumps(data).encode())
    return path


def read(folder, reader=read_refer, coco=COCO, ref=REF, skip_bad=False):
    """A sound ref and another one, which may be changed; or all refs."""
    refs = [REF | {'ref_id': 99}, ref] if isinstance(ref, dict) else ref
    return reader(save(folder / 'refs.p', refs), save(folder / 'coco.json', coco), skip_bad=skip_bad)


BAD_REFS = {
    'ann_id': ([2], 'ann_id [2], expected a whole number or a string'),
    'image_id': ({}, 'image_id {}, expected'),
    'ref_id': ([], 'ref_id [], expected'),
    'split': (['train'], "split ['train'], expected a text"),
    'sentences': ({'sent': 'cup'}, "sentences {'sent': 'cup'}, expected a list of objects"),
}


@pytest.mark.parametrize('key', BAD_REFS)
def test_refs(tmp_path, key):
    value, words = BAD_REFS[key]
    with pytest.raises(UserInputError) as error:
        read(tmp_path, ref={**REF, key: value})
    assert words in str(error.value) and 'refs.p ref 1' in str(error.value)
    assert len(read(tmp_path, ref={**REF, key: value}, skip_bad=True).skipped) == 1
    if key == 'ann_id':  # a ref may bring its box instead; gRefCOCO's is a list
        assert len(read(tmp_path, ref={**REF, key: None, 'bbox': [1, 2, 3, 4]}).splits['train']) == 2
    else:
        with pytest.raises(UserInputError, match=f'a ref without {key}'):
            read(tmp_path, ref={**REF, key: None})
        with pytest.raises(UserInputError):
            read(tmp_path, read_grefcoco, ref={**REF, key: value})


@pytest.mark.parametrize('reader', [read_refer, read_grefcoco])
@pytest.mark.parametrize(
    ('where', 'change', 'words'),
    [
        ('images', {'height': None}, 'no height'),
        ('images', {'height': 1e300}, 'height 1e+300'),
        ('images', {'id': [1]}, 'image_id 1 that is not in'),
        ('annotations', {'bbox': None}, 'bbox'),
        ('annotations', {'bbox': ['1', 2, 3, 4]}, "bbox ['1', 2, 3, 4]"),
        ('annotations', {'segmentation': [{'size': None, 'counts': 5}, TRIANGLE]}, 'an RLE of size None'),
        ('annotations', {'segmentation': 'm.png'}, 'a mask of type str'),
        ('annotations', {'segmentation': [[0, 0, 1e9, 0, 5, 5]]}, 'coordinate 1e+09'),
        ('annotations', {'id': {}}, 'ann_id 2 that is not in'),
    ],
)
def test_annotations_that_refs_refer_to(tmp_path, reader, where, change, words):
    coco = {**COCO, where: [{**COCO[where][0], **change}]}
    with pytest.raises(UserInputError) as error:
        read(tmp_path, reader, coco)
    assert words in str(error.value) and 'refs.p ref 0' in str(error.value)


@pytest.mark.parametrize('coco', [{**COCO, 'images': {'1': {}}}, {**COCO, 'annotations': None}])
def test_files_without_lists(tmp_path, coco):
    with pytest.raises(UserInputError, match='without lists "images" and "annotations"'):
        read(tmp_path, coco=coco)


def test_what_nothing_refers_to_does_not_matter(tmp_path):
    coco = {key: [None, {'id': []}, *entries] for key, entries in COCO.items()}
    assert read(tmp_path, coco=coco).splits == read(tmp_path).splits


def test_refs_by_way_of_numpy(tmp_path):
    ref = {**REF, 'ref_id': np.int64(3), 'ann_id': np.int32(2), 'split': np.str_('train')}
    ref['sentences'] = [{'sent': np.str_('cup'), 'sent_id': np.int64(7)}]
    again = read(tmp_path, ref=ref).splits
    assert again == read(tmp_path).splits
    record = again['train'][1]
    assert (type(record['ref_id']), type(record['expressions'][0])) == (int, str)
    json.dumps(again)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'cat_id': 80}, 'cat_id 80, expected a number from 0 to 79'),
        ({'cat_id': 3.0}, 'cat_id 3.0'),
        ({'cat_id': None}, 'no cat_id'),
        ({'iid': [1]}, 'iid [1]'),
        ({'mask_id': '../4'}, "mask_id '../4', expected a whole number"),
        ({'refs': None}, 'no expressions'),
        ({'bbox': {'x': 1}}, "bbox {'x': 1}"),
    ],
)
def test_simrec(tmp_path, change, words):
    entry = {'iid': 1, 'bbox': [1, 2, 10, 10], 'cat_id': 3, 'refs': ['cup'], 'mask_id': 4, **change}
    sizes = ImageSizes(instances=save(tmp_path / 'coco.json', COCO))
    with pytest.raises(UserInputError) as error:
        read_simrec(save(tmp_path / 's.json', {'val': [entry]}), sizes)
    assert words in str(error.value) and '[val] entry 0' in str(error.value)


@pytest.mark.parametrize(
    'row', ['3,1,7,cup,"[[1"', '3,1,7,cup,', '3,1,7', '3,1,x,cup,"[1, 2, 3, 4]"', '3,1e5']
)
def test_csv(tmp_path, row):
    path = tmp_path / 'c.csv'
    path.write_text(f'ref_id,img_id,sent_id,sent,bbox\n{row}\n')
    with pytest.raises(UserInputError, match=r'c\.csv line 2'):
        read_boxes_csv({'val': path}, lambda record, where: (48, 64))


CSV_HEAD = 'ref_id,img_id,sent_id,sent,bbox,notes'
BOX = '"[1, 2, 10, 10]"'


@pytest.mark.parametrize(
    ('rows', 'found'),
    [
        (
            f'3,1,7,cup,{BOX}\n4,1,8,star,"[1, 2, 10, 10]\n5,1,9,ring,{BOX}\n',
            'line 3: found a field in quotes that goes on to line 4',
        ),
        (f'3,1,7,cup,{BOX}\n\n4,1,8,"star', 'line 4: found a quote that is not closed'),
        (
            f'3,1,7,cup,{BOX},"a\n4,1,8,star,{BOX},\n',
            'line 2: found a field in quotes that goes on to line 3',
        ),
        (f'3,1,7,a cup, red,{BOX},note\n', 'line 2: found 7 columns, expected 6; put the sentence in quotes'),
    ],
)
def test_an_open_quote_of_boxes_takes_no_rows_in(tmp_path, rows, found):
    path = tmp_path / 'c.csv'
    path.write_text(f'{CSV_HEAD}\n{rows}')
    with pytest.raises(UserInputError) as error:
        read_boxes_csv({'val': path}, lambda record, where: (48, 64))
    assert f'c.csv {found}' in str(error.value)


@pytest.mark.parametrize(
    ('rows', 'found'),
    [
        ('a.png,cup,\na.png,"ring,\na.png,star,\n', 'line 3: found a field in quotes that goes on to line 4'),
        ('a.png,cup,\n\na.png,"ring', 'line 4: found a quote that is not closed'),
        ('a.png,cup,"1\na.png,ring,\n', 'line 2: found a field in quotes that goes on to line 3'),
        ('a.png,a cup, red,1\n', 'line 2: found 4 columns, expected 3; put the sentence in quotes'),
    ],
)
def test_an_open_quote_of_sentences_for_masks_takes_no_rows_in(tmp_path, rows, found):
    for mark in ',;':
        (tmp_path / 'c.csv').write_text(f'image,sentence,mask\n{rows}'.replace(',', mark))
        with pytest.raises(UserInputError) as error:
            read_mask_folders(tmp_path, tmp_path, sentences=tmp_path / 'c.csv')
        assert f'c.csv {found}' in str(error.value)


def test_notes_of_several_lines_are_no_open_quote(tmp_path):
    path = tmp_path / 'c.csv'
    path.write_text(f'{CSV_HEAD}\n3,1,7,"a cup, red",{BOX},"two\nlines"\n4,1,8,star,"[1",\n')
    conversion = read_boxes_csv({'val': path}, lambda record, where: (48, 64), skip_bad=True)
    assert [record['expressions'] for record in conversion.splits['val']] == [['a cup, red']]
    assert ['c.csv line 4' in problem for problem in conversion.skipped] == [True]


def test_ids_of_predictions(tmp_path):
    good = {'ref_id': 3, 'sent_id': 7}
    assert pair_of(good) == pair_of({'ref_id': '3', 'sent_id': 7.0}) == (3, 7)
    for value in (None, 3.5, float('inf'), float('nan'), True, [3], 'x', 2**63, 10**30):
        assert pair_of({**good, 'ref_id': value}) is None
    assert pair_of([3, 7]) is None
    path = tmp_path / 'p.jsonl'
    path.write_text(json.dumps({**good, 'sent_id': 1e999}) + '\n' + json.dumps(good))
    with pytest.raises(UserInputError, match='line 1: found text that is no prediction'):
        read_predicted_pairs(str(path))


@pytest.mark.parametrize('points', ['abc', 5, [1], [1, None], [1, float('nan')], [1, 10**400], [[1, 2]], {}])
def test_points_that_are_none(points):
    problem = points_problem(points)
    assert problem.found.startswith('points ') and points_problem([1, 2.5]) is points_problem([]) is None


@pytest.mark.parametrize('max_tokens', ['15', 0, -3, 2.5, True, 10**12, [15]])
def test_vocabularies_of_strange_lengths(tmp_path, max_tokens):
    known = {'words': ['PAD', 'UNK', 'CLS', 'cup'], 'tokenizer': 'simple', 'max_tokens': max_tokens}
    path = save(tmp_path / 'v.json', known)
    if max_tokens == 0:  # nothing said
        assert Vocabulary.load(path, max_tokens=4).max_tokens == 4
    with pytest.raises(UserInputError, match='max_tokens'):
        Vocabulary.load(path)


def test_short_is_short():
    laugh = ['ha']
    for _ in range(60):
        laugh = [laugh] * 10
    for value in (laugh, 10**9999, 'x' * 9999, {index: [index] for index in range(9999)}):
        assert len(short(value)) <= 60
    assert short([1, float('nan'), 'é']) == "[1, nan, 'é']"
    assert short(10**9999) == 'a number of 33216 bits' and short(10**400).startswith('10000')


def test_boxes_that_disagree_with_their_masks_are_said(tmp_path):
    """A box of corners is a sound box, too; only the mask tells."""
    polygon = [10, 10, 60, 12, 58, 70, 12, 66]
    lines = [
        {'image': f'{k}.jpg', 'expression': 'left cup', 'mask': [polygon], 'height': 96, 'width': 128}
        for k in range(4)
    ]
    path = tmp_path / 'mine.jsonl'
    corners = 'boxes and masks disagree (mean IoU 0.71) until boxes are read as x1, y1, x2, y2'
    for box, said in (
        ([10, 10, 50, 60], []),
        ([10, 10, 60, 70], [f'{path}: {corners}; they were kept as they are']),
    ):
        path.write_text(''.join(f'{json.dumps({**line, "bbox": box})}\n' for line in lines))
        conversion = read_json_lines(path)
        assert conversion.splits['train'][0]['bbox'] == box and conversion.remarks == said
    lines[3]['bbox'] = [70, 5, 50, 80]
    path.write_text(''.join(f'{json.dumps(line)}\n' for line in lines))
    assert read_json_lines(path).remarks == [
        f'{path}: boxes and masks of 1 of 4 objects disagree (IoU below 0.5; the first is ref_id 3)'
    ]
