"""Every foreign format, from small hand-made files and from the real ones."""

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmrefseg.datasets.annotations import load_split
from mmrefseg.datasets.converters import (
    ImageSizes,
    compare_counts,
    count_objects,
    format_comparison,
    read_boxes_csv,
    read_grefcoco,
    read_instances,
    read_json_lines,
    read_reasonseg,
    read_refer,
    read_simrec,
    read_size,
    write_refer,
)
from mmrefseg.structures.masks import bounds, to_bitmap
from mmrefseg.utils import UserInputError

SQUARE = [[10, 10, 30, 10, 30, 30, 10, 30]]
CORNER = [[40, 2, 60, 2, 60, 12]]


def save(path, data):
    path.write_bytes(pickle.dumps(data, 2)) if path.suffix == '.p' else path.write_text(json.dumps(data))
    return path


def make_coco():
    return {
        'images': [
            {'id': 7, 'file_name': 'COCO_train2014_000000000007.jpg', 'height': 48, 'width': 64},
            {'id': 8, 'file_name': 'eight.png', 'height': 48, 'width': 64},
        ],
        'annotations': [
            {'id': 70, 'image_id': 7, 'category_id': 3, 'bbox': [10, 10, 20, 20], 'segmentation': SQUARE},
            {
                'id': 71,
                'image_id': 7,
                'category_id': 4,
                'bbox': [10, 2, 50, 28],
                'segmentation': SQUARE + CORNER,
            },
            {
                'id': 80,
                'image_id': 8,
                'category_id': 5,
                'bbox': [0, 0, 64, 48],
                'iscrowd': 1,
                'segmentation': {'size': [48, 64], 'counts': [0, 48 * 64]},
            },
            {'id': 81, 'image_id': 8, 'category_id': 5, 'bbox': [1, 1, 9, 9], 'segmentation': []},
        ],
    }


def make_refs():
    """Refs 1 and 2 share annotation 70; 71 has two polygons; ref 5's sentence has no clean form."""
    rows = [
        (1, 7, 70, 'train'),
        (2, 7, 70, 'train'),
        (3, 7, 71, 'val'),
        (4, 8, 80, 'val'),
        (5, 8, 81, 'train'),
    ]
    return [
        {
            'ref_id': ref_id,
            'image_id': image_id,
            'ann_id': ann_id,
            'category_id': 3,
            'split': split,
            'file_name': f'COCO_train2014_{image_id:012d}_{ann_id}.jpg',
            'sent_ids': [10 * ref_id, 10 * ref_id + 1],
            'sentences': [
                {
                    'sent_id': 10 * ref_id,
                    'sent': f'thing {ref_id}' * (ref_id < 5),
                    'raw': f'Thing, {ref_id}!',
                },
                {'sent_id': 10 * ref_id + 1, 'sent': 'that', 'raw': 'that', 'tokens': ['that']},
            ],
        }
        for ref_id, image_id, ann_id, split in rows
    ]


@pytest.fixture
def refer(tmp_path):
    return save(tmp_path / 'refs(x).p', make_refs()), save(tmp_path / 'instances.json', make_coco())


def test_refer(refer):
    splits = read_refer(*refer).splits
    first, second, fifth = splits['train']
    assert first == {
        'image_id': 7,
        'height': 48,
        'width': 64,
        'bbox': [10, 10, 20, 20],
        'mask': SQUARE,
        'category_id': 3,
        'ann_id': 70,
        'ref_id': 1,
        'expressions': ['thing 1', 'that'],
        'sent_ids': [10, 11],
    }
    assert second == {**first, 'ref_id': 2, 'expressions': ['thing 2', 'that'], 'sent_ids': [20, 21]}
    assert fifth['expressions'] == ['Thing, 5!', 'that'] and 'mask' not in fifth
    assert fifth['file_name'] == 'eight.png' and fifth['category_id'] == 5
    assert splits['val'][0]['mask'] == SQUARE + CORNER
    assert to_bitmap(splits['val'][1]['mask'], 48, 64).all()
    raw = read_refer(*refer, text='raw').splits
    assert raw['train'][0]['expressions'] == ['Thing, 1!', 'that']


def test_refer_there_and_back(refer, tmp_path):
    splits = read_refer(*refer).splits
    write_refer(splits, tmp_path / 'back', 'y')
    again = read_refer(tmp_path / 'back' / 'refs(y).p', tmp_path / 'back' / 'instances.json').splits
    assert again == splits
    coco = json.loads((tmp_path / 'back' / 'instances.json').read_text())
    assert [annotation['id'] for annotation in coco['annotations']] == [70, 81, 71, 80]
    assert coco['annotations'][0]['area'] == to_bitmap(SQUARE, 48, 64).sum()
    # The two forms that refer itself can decode: a list of polygons and a list of RLEs.
    assert coco['annotations'][2]['segmentation'] == SQUARE + CORNER
    assert coco['annotations'][3]['segmentation'][0]['size'] == [48, 64]


def test_annotation_numbers_that_say_different_things_are_given_anew(tmp_path):
    record = {'image_id': 1, 'height': 9, 'width': 9, 'bbox': [1, 1, 4, 4], 'category_id': 1, 'ann_id': 5}
    sentences = [{'expressions': ['x'], 'ref_id': number, 'sent_ids': [number]} for number in range(3)]
    splits = {
        'train': [record | sentences[0], record | sentences[1] | {'bbox': [2, 2, 3, 3]}],
        'val': [record | sentences[2]],
    }
    write_refer(splits, tmp_path)
    again = read_refer(tmp_path / 'refs(unc).p', tmp_path / 'instances.json').splits
    assert [r['ann_id'] for r in again['train'] + again['val']] == [5, 6, 5]
    assert [r['bbox'] for r in again['train']] == [[1, 1, 4, 4], [2, 2, 3, 3]]


@pytest.mark.parametrize(('name', 'by'), [('refcoco', 'unc'), ('refcoco+', 'unc'), ('refcocog', 'umd')])
def test_real_refer_files_equal_seqtrs(test_data, name, by, tmp_path):
    folder = test_data / 'mini_refcoco' / name
    splits = read_refer(folder / f'refs({by}).p', folder / 'instances.json').splits
    sentences = 0
    for split, records in splits.items():
        expected = load_split(folder / 'seqtr_instances.json', split)
        assert [record['ref_id'] for record in records] == [record['ref_id'] for record in expected]
        for record, other in zip(records, expected, strict=True):
            for key in ('image_id', 'height', 'width', 'bbox', 'category_id', 'expressions'):
                assert record[key] == other[key]
            size = record['height'], record['width']
            assert (to_bitmap(record['mask'], *size) == to_bitmap(other['mask'], *size)).all()
            sentences += len(record['expressions'])
    assert sentences == (18 if name == 'refcocog' else 309)
    write_refer(splits, tmp_path, by)
    assert read_refer(tmp_path / f'refs({by}).p', tmp_path / 'instances.json').splits == splits


def test_real_refs_that_bring_their_boxes(test_data):
    folder = test_data / 'mini_refcoco' / 'refcoco'
    counts = count_objects(read_refer(folder / 'refs(unc)_boxonly.json', folder / 'instances.json').splits)
    assert dict(counts['val']) == {'refs': 72, 'images': 44, 'sentences': 196, 'masks': 0}


def spoil(refs, coco, what):
    """Make one thing wrong with ref 1 (or its annotation) and return the words that name it."""
    changes = {
        'no image': (refs[0], 'image_id', 99, 'image_id 99 that is not in'),
        'no annotation': (refs[0], 'ann_id', 99, 'ann_id 99 that is not in'),
        'annotation elsewhere': (refs[0], 'ann_id', 80, 'ann_id 80 of image 8'),
        'no sentences': (refs[0], 'sentences', [], 'no expressions'),
        'sentences of text': (refs[0], 'sentences', ['x'], "sentences ['x'], expected a list of objects"),
        'duplicate ref_id': (refs[1], 'ref_id', 1, 'a ref_id that is already there'),
        'polygon': (coco['annotations'][0], 'segmentation', [[1, 1, 5, 5]], 'polygon 0 of 4 numbers'),
        'box': (coco['annotations'][0], 'bbox', [90, 1, 5, 5], 'outside the image'),
        'size': (coco['images'][0], 'height', None, 'no height'),
    }
    target, key, value, words = changes[what]
    target[key] = value
    return words


@pytest.mark.parametrize(
    'what',
    [
        'no image',
        'no annotation',
        'annotation elsewhere',
        'no sentences',
        'sentences of text',
        'duplicate ref_id',
        'polygon',
        'box',
        'size',
    ],
)
def test_bad_refs_stop_or_are_skipped(tmp_path, what):
    refs, coco = make_refs(), copy.deepcopy(make_coco())
    words = spoil(refs, coco, what)
    paths = save(tmp_path / 'refs(x).p', refs), save(tmp_path / 'instances.json', coco)
    with pytest.raises(UserInputError) as error:
        read_refer(*paths)
    assert words in str(error.value) and 'refs(x).p ref ' in str(error.value)
    conversion = read_refer(*paths, skip_bad=True)
    assert conversion.skipped and all('refs(x).p ref ' in line for line in conversion.skipped)
    assert sum(map(len, conversion.splits.values())) == 5 - len(conversion.skipped)


def test_files_that_are_not_refers(tmp_path, refer):
    with pytest.raises(UserInputError, match='no list of refs'):
        read_refer(refer[1], refer[1])
    with pytest.raises(UserInputError, match='COCO instances'):
        read_refer(refer[0], save(tmp_path / 'x.json', {}))
    with pytest.raises(UserInputError, match='would call'):
        read_refer(save(tmp_path / 'evil.p', [Path('x')]), refer[1])


def test_mending_drops_degenerate_parts_only(tmp_path, refer):
    coco = make_coco()
    coco['annotations'][0]['segmentation'] = [*SQUARE, [1, 1, 5, 5]]
    save(refer[1], coco)
    mended = read_refer(*refer, mend=True)
    assert mended.mended == 2 and mended.splits['train'][0]['mask'] == SQUARE


def test_grefcoco(tmp_path):
    refs = make_refs()[:4]
    for ref, targets in zip(refs, ([70, 71], [70], [-1], [80, 81]), strict=True):
        ref.update(ann_id=targets, no_target=targets == [-1])
    paths = save(tmp_path / 'grefs.json', refs), save(tmp_path / 'instances.json', make_coco())
    splits = read_grefcoco(*paths).splits
    both, one = splits['train']
    assert both['bbox'] == [10, 2, 50, 28] and both['boxes'] == [[10, 10, 20, 20], [10, 2, 50, 28]]
    assert both['mask'] == SQUARE + SQUARE + CORNER and both['category_ids'] == [3, 4]
    assert one['ann_ids'] == [70] and one['mask'] == SQUARE
    nothing, half = splits['val']
    assert nothing['no_target'] and 'mask' not in nothing and nothing['bbox'] == [0, 0, 0, 0]
    assert 'mask' not in half
    with pytest.raises(UserInputError, match='no target'):
        write_refer(splits, tmp_path)
    coco = make_coco()
    coco['annotations'][1]['segmentation'] = {'size': [48, 64], 'counts': [48 * 64 - 100, 100]}
    save(paths[1], coco)
    mixed = read_grefcoco(*paths).splits['train'][0]['mask']
    expected = to_bitmap(SQUARE, 48, 64)
    expected.T.reshape(-1)[-100:] = True
    assert (to_bitmap(mixed, 48, 64) == expected).all()


def make_image(path, width=64, height=48, orientation=None):
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (width, height)).save(path, exif=exif)
    return path


def test_reasonseg(tmp_path):
    shapes = [
        {'label': 'target', 'points': [[10, 10], [30, 10], [30, 30], [10, 30]]},
        {'label': 'target', 'points': [[40, 2], [60, 2], [60, 12]]},
        {'label': 'ignore', 'points': [[1, 1], [5, 1], [5, 5]]},
        {'label': 'flag', 'points': []},
    ]
    make_image(tmp_path / 'train' / 'b.jpg')
    make_image(tmp_path / 'val' / 'a.jpg')
    save(tmp_path / 'train' / 'b.json', {'text': ['what cuts? '], 'shapes': shapes, 'is_sentence': True})
    (tmp_path / 'val' / 'a.json').write_bytes(
        json.dumps({'text': 'the caf\xe9', 'shapes': shapes[:1]}, ensure_ascii=False).encode('cp1252')
    )
    splits = read_reasonseg(tmp_path).splits
    record = splits['train'][0]
    assert record['mask'] == SQUARE + CORNER and record['ignore_mask'] == [[1, 1, 5, 1, 5, 5]]
    assert record['bbox'] == [10, 2, 50, 28] and record['file_name'] == 'train/b.jpg'
    assert record['expressions'] == ['what cuts?'] and splits['val'][0]['expressions'] == ['the café']
    save(tmp_path / 'train' / 'b.json', {'text': ['x'], 'shapes': shapes[2:]})
    with pytest.raises(UserInputError, match=r'train/b\.json: found no shape labelled "target"'):
        read_reasonseg(tmp_path)
    assert len(read_reasonseg(tmp_path, skip_bad=True).skipped) == 1
    with pytest.raises(UserInputError, match='no image with a json'):
        read_reasonseg(tmp_path / 'train')


def test_simrec_with_masks(tmp_path, refer):
    entry = {'iid': 7, 'bbox': [10, 10, 20, 20], 'cat_id': 79, 'refs': ['a', 'b'], 'mask_id': 5}
    path = save(
        tmp_path / 'refcoco.json',
        {'train': [entry], 'val': [{**entry, 'refs': ['c']}, {**entry, 'refs': ['d']}]},
    )
    array = to_bitmap(SQUARE, 48, 64)
    np.save(tmp_path / '5.npy', array.astype(bool))
    splits = read_simrec(path, ImageSizes(instances=refer[1]), tmp_path).splits
    record = splits['train'][0]
    assert (to_bitmap(record['mask'], 48, 64) == array).all()
    assert (record['ref_id'], record['category_id'], record['height'], record['width']) == (5, 90, 48, 64)
    assert [r['expressions'] for r in splits['val']] == [['c', 'd']]
    np.save(tmp_path / '5.npy', np.array([{}], dtype=object))
    with pytest.raises(UserInputError, match=r'5\.npy: found no array'):
        read_simrec(path, ImageSizes(instances=refer[1]), tmp_path)


def test_real_simrec_and_csv_agree(test_data):
    boxes, images = test_data / 'refcoco_boxes', test_data / 'mini_refcoco' / 'images'
    simrec = read_simrec(boxes / 'simrec_refcoco_1pct.json', ImageSizes(images), skip_bad=True)
    files = {split: boxes / f'refcoco_unc_{split}.csv' for split in ('val', 'testA', 'testB')}
    table = read_boxes_csv(files, ImageSizes(images), skip_bad=True)
    counts = {split: dict(count) for split, count in count_objects(table.splits).items()}
    assert counts['val'] == {'refs': 123, 'images': 49, 'sentences': 343, 'masks': 0}
    assert len(table.skipped) == 10834 + 5657 + 5095 - sum(count['sentences'] for count in counts.values())
    for split, records in table.splits.items():
        for record, other in zip(records, simrec.splits[split], strict=True):
            for key in ('image_id', 'ref_id', 'bbox', 'expressions', 'height', 'width'):
                assert record[key] == other[key]
    with pytest.raises(UserInputError, match=r'refcoco_unc_val\.csv line 2 .*no such image'):
        read_boxes_csv(files, ImageSizes(images))


def test_sizes(tmp_path):
    assert read_size(make_image(tmp_path / 'a.jpg')) == (48, 64)
    assert read_size(make_image(tmp_path / 'b.jpg', orientation=6)) == (64, 48)
    assert read_size(make_image(tmp_path / 'c.jpg', orientation=3)) == (48, 64)
    (tmp_path / 'd.jpg').write_bytes(b'no image')
    with pytest.raises(UserInputError, match='no readable image'):
        read_size(tmp_path / 'd.jpg')
    with pytest.raises(UserInputError, match='--images'):
        ImageSizes()


def write_lines(path, *lines):
    path.write_text(''.join(f'{line if isinstance(line, str) else json.dumps(line)}\n' for line in lines))
    return path


def test_json_lines(tmp_path):
    make_image(tmp_path / 'images' / 'a.jpg')
    make_image(tmp_path / 'images' / 'b.png', 32, 32)
    Image.fromarray(to_bitmap(SQUARE, 48, 64).astype(np.uint8) * 255).save(tmp_path / 'a_mask.png')
    box = [10, 10, 20, 20]
    path = write_lines(
        tmp_path / 'mine.jsonl',
        {'image': 'a.jpg', 'expression': 'the cup', 'bbox': box},
        {
            'image': 'b.png',
            'expressions': ['x', 'y'],
            'mask': SQUARE,
            'split': 'val',
            'ref_id': 'cup-7',
            'note': 1,
        },
        '',
        {'image': 'a.jpg', 'expression': 'the left cup', 'bbox': box},
        {'image': 'a.jpg', 'expression': 'by its mask', 'mask': 'a_mask.png'},
        {
            'image': 'far.jpg',
            'expression': 'elsewhere',
            'bbox': box,
            'height': 99,
            'width': 99,
            'category_id': 4,
        },
    )
    splits = read_json_lines(path, tmp_path / 'images').splits
    cup, by_mask, far = splits['train']
    assert cup == {
        'image_id': 0,
        'file_name': 'a.jpg',
        'height': 48,
        'width': 64,
        'bbox': box,
        'expressions': ['the cup', 'the left cup'],
        'category_id': 0,
        'ref_id': 0,
        'sent_ids': [0, 1],
    }
    assert by_mask['image_id'] == 0 and by_mask['bbox'] == bounds(by_mask['mask'], 48, 64)
    assert (to_bitmap(by_mask['mask'], 48, 64) == to_bitmap(SQUARE, 48, 64)).all()
    assert (far['height'], far['image_id'], far['category_id']) == (99, 2, 4)
    other = splits['val'][0]
    assert other['bbox'] == box and other['source_ref_id'] == 'cup-7' and other['note'] == 1
    assert {r['ref_id'] for records in splits.values() for r in records} == {0, 1, 2, 3}
    assert sorted(i for records in splits.values() for r in records for i in r['sent_ids']) == list(range(6))


GOOD = {'image': 'a.jpg', 'expression': 'x', 'bbox': [1, 1, 9, 9], 'height': 48, 'width': 64}
BAD_LINES = {
    'no json': ('{"image": ', 'found text that is not json'),
    'no image': ({'expression': 'x', 'bbox': [1, 1, 9, 9]}, 'no "image"'),
    'no position': ({**GOOD, 'bbox': None}, 'neither "bbox" nor "mask"'),
    'no expression': ({**GOOD, 'expression': None}, 'no expressions'),
    'empty expression': ({**GOOD, 'expression': ''}, 'an empty expression'),
    'empty second expression': ({**GOOD, 'expression': ' ', 'bbox': [2, 2, 3, 3]}, 'an empty expression'),
    'no size': ({'image': 'a.jpg', 'expression': 'x', 'bbox': [1, 1, 9, 9]}, 'no height and width'),
    'no mask file': ({**GOOD, 'bbox': None, 'mask': 'm.png'}, 'no such image'),
    'bad polygon': ({**GOOD, 'bbox': None, 'mask': [[1, 2, 3]]}, 'polygon 0 of 3 numbers'),
    'list of splits': ({**GOOD, 'split': ['train']}, "split ['train'], expected a name"),
    'no name of a split': ({**GOOD, 'split': ''}, "split ''"),
    'NaN': (json.dumps({**GOOD, 'bbox': [1, float('nan'), 9, 9]}), 'nan'),
}


@pytest.mark.parametrize('name', BAD_LINES)
def test_bad_lines_stop_or_are_skipped(tmp_path, name):
    line, words = BAD_LINES[name]
    path = write_lines(tmp_path / 'mine.jsonl', {**GOOD, 'bbox': [2, 2, 3, 3]}, line)
    with pytest.raises(UserInputError) as error:
        read_json_lines(path)
    assert words in str(error.value) and 'mine.jsonl line 2' in str(error.value)
    conversion = read_json_lines(path, skip_bad=True)
    assert len(conversion.skipped) == 1 and len(conversion.splits['train']) == 1


def test_no_sentence_of_a_line_is_lost(tmp_path):
    path = write_lines(tmp_path / 'mine.jsonl', {**GOOD, 'expressions': ['y', 'x', 'z']})
    assert read_json_lines(path).splits['train'][0]['expressions'] == ['x', 'y', 'z']


def test_the_folder_of_images_is_there(tmp_path):
    path = write_lines(tmp_path / 'mine.jsonl', GOOD)
    with pytest.raises(UserInputError, match=r'^--images: found no folder .*nowhere'):
        read_json_lines(path, tmp_path / 'nowhere')


def test_working_format_is_numbered_and_cleaned(tmp_path):
    record = {
        'image_id': 1,
        'height': 48,
        'width': 64,
        'bbox': [1, 1, 9, 9],
        'expressions': ['x'],
        'ref_id': 4,
    }
    path = save(
        tmp_path / 'a.json',
        {'train': [record, {**record, 'bbox': [2, 2, 9, 9]}, {**record, 'ref_id': 5, 'bbox': []}]},
    )
    with pytest.raises(UserInputError):
        read_instances(path)
    conversion = read_instances(path, skip_bad=True)
    assert len(conversion.skipped) == 2
    assert conversion.splits == {'train': [{**record, 'sent_ids': [0], 'category_id': 0}]}
    with pytest.raises(UserInputError, match=r'no records \(1 bad ones were skipped\)'):
        read_instances(save(path, {'train': [{}]}), skip_bad=True)


def make_splits(refs, images, sentences):
    """Records that count as asked for."""
    records = [{'image_id': index % images, 'expressions': ['x']} for index in range(refs)]
    for index in range(sentences - refs):
        records[index % refs]['expressions'] = [*records[index % refs]['expressions'], 'y']
    return records


def test_counts_are_compared_with_the_published_ones():
    splits = {'val': make_splits(2573, 1300, 4896), 'test': make_splits(5023, 2600, 9601)}
    rows = compare_counts(splits, 'refcocog-umd', ['val', 'test'])
    assert [row.equal for row in rows] == [True] * 5 + [False]
    assert 'differs by -1' in format_comparison(rows)
    missing = compare_counts(splits, 'refcocog-umd')
    assert [(row.split, row.found) for row in missing if not row.equal] == [('train', 0)] * 3 + [
        ('test', 9601)
    ]
    with pytest.raises(UserInputError, match="'refcoco'"):
        compare_counts(splits, 'refcoco')
    with pytest.raises(UserInputError, match="split 'testA'"):
        compare_counts(splits, 'refcocog-umd', ['testA'])


def test_published_counts_equal_the_official_sentences(test_data):
    names = {'refcoco': 'refcoco-unc', 'refcoco+': 'refcocoplus-unc', 'refcocog': 'refcocog'}
    checked = 0
    for path in sorted((test_data / 'refcoco_boxes').glob('*.csv')):
        name, by, split = path.stem.split('_')
        dataset = names[name] if name != 'refcocog' else f'refcocog-{by}'
        splits = read_boxes_csv({split: path}, lambda record, where: (9999, 9999)).splits
        assert all(row.equal for row in compare_counts(splits, dataset, [split])), path
        checked += 1
    assert checked == 9
