"""The check of COCO files: what is mended has the right value, what is not is counted, sound files stay."""

import copy
import json
import math

import pytest
from coco_files import AREA, HEIGHT, WIDTH, changed, polygon, rle_of, same_objects, sound_file, write_images

from mmrefseg.datasets.coco import as_objects, check_coco, read_coco, with_plain_ids
from mmrefseg.structures.masks import to_rle
from mmrefseg.structures.rle import area, decode_mask, encode_mask, run_lengths
from mmrefseg.utils import UserInputError

NAN = float('nan')


def areas(checked):
    """Pixels of each mask."""
    sizes = {image['id']: (image['height'], image['width']) for image in checked.content['images']}
    return [
        area(to_rle(a['segmentation'], *sizes[a['image_id']])['counts'], *sizes[a['image_id']])
        for a in checked.annotations
    ]


def test_a_sound_file_stays_as_it_is(test_data):
    path = test_data / 'tiny_coco/annotations/instances_val2017.json'
    content = json.loads(path.read_text())
    before = copy.deepcopy(content)
    checked = check_coco(content, str(path), test_data / 'tiny_coco/val2017')
    assert checked.sentences() == [] and content == before and checked.num_objects == 382
    for key in ('images', 'annotations'):
        assert all(a is b for a, b in zip(checked.content[key], content[key], strict=True))


def as_pairs(value):
    return [list(pair) for pair in zip(value[0::2], value[1::2], strict=True)]


def as_row_rle(annotation):
    """Encoded row by row, as tools do that flatten in numpy's order: [width, height] fits the lengths."""
    turned = encode_mask(decode_mask(rle_of(annotation)).T)
    return {'size': [WIDTH, HEIGHT], 'counts': turned['counts']}


def as_cropped(annotation):
    x, y, w, h = annotation['bbox']
    return encode_mask(decode_mask(rle_of(annotation))[y : y + h, x : x + w])


def as_shares(annotation):
    return [[v / (HEIGHT if k % 2 else WIDTH) for k, v in enumerate(annotation['segmentation'][0])]]


MENDED_MASKS = {
    'polygon not in a list of polygons': lambda a: a['segmentation'][0],
    'polygon as points [x, y]': lambda a: as_pairs(a['segmentation'][0]),
    'polygons as points [x, y]': lambda a: [as_pairs(a['segmentation'][0])],
    'polygon as points {x, y}': lambda a: [[{'x': x, 'y': y} for x, y in as_pairs(a['segmentation'][0])]],
    'polygons in one list too many': lambda a: [a['segmentation']],
    'polygon with numbers as text': lambda a: [[str(v) for v in a['segmentation'][0]]],
    'polygons of fewer than 3 points beside others': lambda a: [[1, 1, 9, 9], *a['segmentation']],
    'an empty polygon beside others': lambda a: [[], *a['segmentation']],
    'polygons outside the image beside others': lambda a: [*a['segmentation'], [300, 1, 320, 1, 320, 20]],
    'polygon in shares of the image': as_shares,
    'RLE lengths as a polygon': lambda a: [run_lengths(rle_of(a)['counts']).tolist()],
    'RLE lengths as a flat polygon': lambda a: run_lengths(rle_of(a)['counts']).tolist(),
    'RLE in a list': lambda a: [rle_of(a)],
    'RLE of decimal lengths': lambda a: {
        'size': [HEIGHT, WIDTH],
        'counts': run_lengths(rle_of(a)['counts']).astype(float).tolist(),
    },
    'RLE without its size': lambda a: {'counts': rle_of(a)['counts']},
    'RLE whose counts are text of bytes': lambda a: {
        **rle_of(a),
        'counts': str(rle_of(a)['counts'].encode()),
    },
    'RLE with height and width exchanged': lambda a: {**rle_of(a), 'size': [WIDTH, HEIGHT]},
    'RLE encoded row by row': as_row_rle,
    'RLE cropped to its box': as_cropped,
    'RLE of runs row by row': lambda a: {**as_row_rle(a), 'size': [HEIGHT, WIDTH]},
    'RLE with a size of text': lambda a: {**rle_of(a), 'size': [str(HEIGHT), str(WIDTH)]},
    'RLE with a size of decimals': lambda a: {**rle_of(a), 'size': [float(HEIGHT), float(WIDTH)]},
    'RLE with counts as texts': lambda a: {
        'size': [HEIGHT, WIDTH],
        'counts': [str(run) for run in run_lengths(rle_of(a)['counts'])],
    },
    'RLE with counts in one text': lambda a: {
        'size': [HEIGHT, WIDTH],
        'counts': ' '.join(map(str, run_lengths(rle_of(a)['counts']))),
    },
    'RLE with a line end': lambda a: {**rle_of(a), 'counts': rle_of(a)['counts'] + '\n'},
    'polygon as text of json': lambda a: json.dumps(a['segmentation']),
    'RLE as text of json': lambda a: json.dumps(rle_of(a)),
    'rows of pixels': lambda a: decode_mask(rle_of(a)).astype(int).tolist(),
    'rows of 0 and 255': lambda a: (decode_mask(rle_of(a)) * 255).tolist(),
}


@pytest.mark.parametrize('kind', MENDED_MASKS)
def test_masks_that_can_be_read(kind):
    content = changed(lambda a: a.update(segmentation=MENDED_MASKS[kind](a)))
    sizes = dict.fromkeys(range(1, 5), (HEIGHT, WIDTH))  # as of loaded images
    checked = check_coco(content, sizes=sizes)
    same_objects(checked)
    assert checked.mended.total == 8 and not checked.unusable and not checked.without_mask


UNUSABLE_MASKS = {
    'polygon of fewer than 3 points': [[10, 15, 50, 59]],
    'polygon with an odd number of coordinates': [[10, 15, 50, 21, 46, 59, 13]],
    'polygon with values that are no finite numbers': [[10, 15, NAN, 21, 46, 59]],
    'polygon with values that are no finite numbers ': [[10, 15, 10**400, 21, 46, 59]],
    'polygon with values that are no finite numbers  ': [[10, 15, None, 21, 46, 59]],
    'polygon with a vertex far outside the image': [[10, 15, 1e9, 21, 46, 59]],
    'polygon outside the image': [[300, 15, 350, 21, 346, 59]],
    'mask that covers no pixel': [[10, 15, 10, 30, 10, 50]],
    'mask that covers no pixel ': {'size': [HEIGHT, WIDTH], 'counts': [HEIGHT * WIDTH]},
    'RLE without counts': {'size': [HEIGHT, WIDTH]},
    'RLE whose runs do not fill its size': {'size': [HEIGHT, WIDTH], 'counts': [5, 5]},
    'RLE whose runs do not fill its size ': {'size': [HEIGHT, WIDTH], 'counts': [10**30, 1]},
    'RLE whose runs do not fill its size  ': {'size': [HEIGHT, WIDTH], 'counts': 'no such \udcff'},
    'RLE of another size than its image': {'size': [48, 64], 'counts': [100, 48 * 64 - 100]},
    'segmentation that is neither polygons nor RLE': ['a', [1, 2]],
    'segmentation of type int': 7,
}


@pytest.mark.parametrize('kind', UNUSABLE_MASKS)
def test_masks_that_cannot_leave_the_box(kind):
    content = sound_file()
    content['annotations'][2]['segmentation'] = UNUSABLE_MASKS[kind]
    checked = check_coco(content, sizes=dict.fromkeys(range(1, 5), (HEIGHT, WIDTH)))
    assert checked.without_mask.counts == {kind.strip(): 1} and not checked.unusable
    assert checked.annotations[2]['segmentation'] == [] and checked.annotations[2]['bbox'] == [10, 20, 40, 44]
    (sentence,) = checked.sentences()
    assert sentence == f'COCO file: 1 of 8 objects have a box and no mask: 1 {kind.strip()} (3)'


@pytest.mark.parametrize('nothing', [None, [], {}, '', '[]', ' {}', ...])
def test_objects_without_a_mask(nothing):
    content = sound_file()
    content['annotations'][1]['segmentation'] = nothing
    if nothing is ...:
        del content['annotations'][1]['segmentation']
    checked = check_coco(content)
    assert checked.sentences() == [
        'COCO file: 1 of 8 objects have a box and no mask: 1 without a segmentation (2)'
    ]
    assert not checked.annotations[1].get('segmentation') and len(checked.annotations) == 8
    content = changed(lambda a: a.update(segmentation=None if nothing is ... else nothing))
    assert check_coco(content).sentences() == [], 'a file of boxes has no masks to miss'


def shares(box):
    return [box[0] / WIDTH, box[1] / HEIGHT, box[2] / WIDTH, box[3] / HEIGHT]


def corners(box):
    return [box[0], box[1], box[0] + box[2], box[1] + box[3]]


def centre(box):
    return [box[0] + box[2] / 2, box[1] + box[3] / 2, box[2], box[3]]


READINGS = {
    'x1, y1, x2, y2': corners,
    'centre x, centre y, width, height': centre,
    'x, y, width, height in shares of the image': shares,
    'x1, y1, x2, y2 in shares of the image': lambda box: shares(corners(box)),
    'centre x, centre y, width, height in shares of the image': lambda box: shares(centre(box)),
}


@pytest.mark.parametrize('kind', READINGS)
def test_boxes_are_read_as_their_masks_ask_for(kind):
    checked = check_coco(changed(lambda a: a.update(bbox=READINGS[kind](a['bbox']))))
    same_objects(checked)
    assert checked.mended.counts == {f'boxes read as {kind}': 8}
    assert 'boxes and masks disagree (mean IoU 0.' in checked.remarks[0]


@pytest.mark.parametrize('kind', ['x1, y1, x2, y2', 'x, y, width, height in shares of the image'])
def test_boxes_without_masks_are_read_as_their_images_ask_for(kind):
    checked = check_coco(changed(lambda a: a.update(bbox=READINGS[kind](a['bbox']), segmentation=[])))
    assert [a['bbox'] for a in checked.annotations] == [
        pytest.approx(a['bbox'], abs=0.01) for a in sound_file()['annotations']
    ]


def test_a_box_or_two_that_reach_out_of_the_image_are_boxes():
    content = changed(lambda a: a.pop('segmentation'))
    content['annotations'][0]['bbox'] = [100, 60, 120, 90]
    checked = check_coco(content)
    assert [a['bbox'] for a in checked.annotations] == [a['bbox'] for a in content['annotations']]
    assert checked.sentences() == []


def test_one_box_of_another_reading():
    content = sound_file()
    content['annotations'][3]['bbox'] = corners(content['annotations'][3]['bbox'])
    checked = check_coco(content)
    same_objects(checked)
    assert checked.mended.counts == {'boxes read as x1, y1, x2, y2, by their masks': 1}


def test_a_box_that_no_reading_explains_is_kept_and_said():
    content = sound_file()
    content['annotations'][3]['bbox'] = [5, 5, 100, 80]
    checked = check_coco(content)
    assert checked.annotations[3]['bbox'] == [5, 5, 100, 80]
    assert checked.remarks == ['1 objects whose box and mask disagree (IoU below 0.5), kept as they are (4)']


@pytest.mark.parametrize(
    'box',
    [
        None,
        [],
        [1, 2, 3],
        [NAN, 1, 5, 5],
        [10, 15, 0, 0],
        [10, 15, 2.2e-309, 44],
        [900, 900, 5, 5],
        'a',
        [[1], 2, 3, 4],
        [1, 1, 10**400, 5],
    ],
)
def test_boxes_come_from_masks(box):
    content = changed(lambda a: a.update(bbox=box))
    checked = check_coco(content)
    same_objects(checked)
    assert checked.mended.counts == {'boxes made from the masks': 8}
    content['annotations'][0].update(segmentation=[[1, 1]])
    without = check_coco(content)
    assert without.unusable.total == 1 and len(without.annotations) == 7
    assert 'polygon of fewer than 3 points' in without.unusable_sentence()


@pytest.mark.parametrize(
    ('box', 'reason'),
    [
        ([10, 15, 0, 44], 'box without area'),
        ([10, 15, 1e-9, 44], 'box without area'),
        ([200, 15, 40, 44], 'box outside the image'),
        ([10, 15, 1e9, 44], 'box that reaches far out of the image'),
        (['x', 1, 2, 3], 'without a box of four numbers'),
    ],
)
def test_objects_with_neither_are_counted(box, reason):
    content = sound_file()
    content['annotations'][5].update(bbox=box, segmentation=[])
    checked = check_coco(content, 'my.json')
    assert checked.sentences() == [f'my.json: 1 of 8 objects unusable: 1 {reason} (6)']
    assert [a['id'] for a in checked.annotations] == [1, 2, 3, 4, 5, 7, 8]


@pytest.mark.parametrize('area_of', [0, -1, None, NAN, 'x', ...])
def test_area_is_computed(area_of):
    content = changed(lambda a: a.pop('area') if area_of is ... else a.update(area=area_of))
    content['annotations'][0].pop('segmentation')
    checked = check_coco(content)
    assert [a['area'] for a in checked.annotations] == [40 * 44] + [AREA] * 7
    assert checked.mended.counts == {'without an area above 0, computed': 8}


@pytest.mark.parametrize(
    ('given', 'crowd'),
    [(..., 0), (None, 0), (True, 1), (False, 0), ('1', 1), ('0', 0), (1.0, 1), ('false', 0), ('True', 1)],
)
def test_iscrowd(given, crowd):
    content = changed(lambda a: a.pop('iscrowd') if given is ... else a.update(iscrowd=given))
    assert {a['iscrowd'] for a in check_coco(content).annotations} == {crowd}


@pytest.mark.parametrize(
    ('given', 'ignored'), [('0', 0), ('false', 0), ('1', 8), ('true', 8), (True, 8), (0, 0)]
)
def test_ignore(given, ignored):
    checked = check_coco(changed(lambda a: a.update(ignore=given)))
    checked.count_untrained()
    assert checked.unusable.total == ignored and not checked.mended
    assert all(bool(a['ignore']) == bool(ignored) for a in checked.annotations)


@pytest.mark.parametrize(('area', 'words'), [(HEIGHT * WIDTH + 1, 'larger than the image'), (0.11, 'shares')])
def test_areas_that_cannot_be(area, words):
    checked = check_coco(changed(lambda a: a.update(area=area)))
    assert [a['area'] for a in checked.annotations] == [AREA] * 8
    ((kind, count),) = checked.mended.counts.items()
    assert words in kind and count == 8


def test_objects_that_are_there_twice():
    """The whole entry: once. With another id: other readers keep it, so it is said."""
    content = sound_file()
    content['annotations'] += [*sound_file()['annotations'][:3], {**sound_file()['annotations'][4], 'id': 99}]
    checked = check_coco(content)
    assert [a['id'] for a in checked.annotations] == [1, 2, 3, 4, 5, 6, 7, 8, 99]
    assert checked.mended.counts == {'annotations listed twice, taken once': 3}
    assert checked.remarks == ['1 objects of the same image, category, box and mask as another, kept (99)']


def test_names_do_not_command_the_terminal():
    content = changed(lambda image: image.update(file_name='\x1b]0;a\x07\u202e.png', height=None), 'images')
    (*_, sentence) = check_coco(content).sentences()
    assert '\\x1b]0;a\\x07\\u202e.png' in sentence and sentence.isprintable()


def test_all_crowds():
    checked = check_coco(changed(lambda a: a.update(iscrowd=1)))
    assert checked.unusable_sentence() == '8 of 8 objects unusable: 8 marked iscrowd'
    assert not check_coco(as_objects(checked.content)).num_crowds


@pytest.mark.parametrize(
    'ids',
    [range(8), [1] * 8, [None] * 8, list('abcdefgh'), [10**30 + k for k in range(8)], [-k for k in range(8)],
     [[k] for k in range(8)], [NAN] * 8, [5, 5, 1, 2, 3, 4, 6, 7]],
)  # fmt: skip
def test_annotation_ids(ids):
    content = sound_file()
    for annotation, id_ in zip(content['annotations'], ids, strict=True):
        annotation['id'] = id_
    checked = check_coco(content)
    same_objects(checked)
    kept = [a['id'] for a in checked.annotations]
    assert min(kept) > 0 and max(kept) < 2**63
    sound = [
        k for k, id_ in enumerate(ids) if isinstance(id_, int) and 0 < id_ < 2**63 and id_ not in ids[:k]
    ]
    assert all(kept[k] == ids[k] for k in sound) and checked.mended.total == 8 - len(sound)


@pytest.mark.parametrize('key', ['images', 'categories'])
@pytest.mark.parametrize(
    'new', [str, lambda id_: f'IMG_{id_}', lambda id_: 10**30 + id_, lambda id_: id_ - 1, lambda id_: -id_]
)
def test_ids_of_images_and_categories_are_the_files(key, new):
    content, reference = sound_file(), {'images': 'image_id', 'categories': 'category_id'}[key]
    for entry in content[key]:
        entry['id'] = new(entry['id'])
    for annotation in content['annotations']:
        annotation[reference] = new(annotation[reference])
    checked = check_coco(content)
    assert checked.sentences() == [] and [e['id'] for e in checked.content[key]] == [
        e['id'] for e in content[key]
    ]
    plain = with_plain_ids(checked.content)
    ids = [entry['id'] for entry in plain[key]]
    assert all(type(id_) is int and 0 < id_ < 2**63 for id_ in ids) and len(set(ids)) == len(ids)
    names = {entry['id']: entry.get('original_id', entry['id']) for entry in plain[key]}
    assert [names[a[reference]] for a in plain['annotations']] == [
        a[reference] for a in content['annotations']
    ]


def test_ids_that_are_written_otherwise():
    """'1' and '000000000001' mean image 1, and 'nut' the category of that name, unless there is another."""
    content = changed(
        lambda a: a.update(
            image_id=f'{a["image_id"]:012d}', category_id=['bolt', 'nut'][a['category_id'] - 1]
        )
    )
    checked = check_coco(content)
    same_objects(checked)
    assert [a['image_id'] for a in checked.annotations] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert [a['category_id'] for a in checked.annotations] == [1, 2] * 4
    assert list(checked.mended.counts.values()) == [8]


def test_unknown_owners_are_counted():
    content = sound_file()
    for annotation, change in zip(
        content['annotations'],
        [{'image_id': 99}, {'image_id': None}, {'category_id': 7}, {'category_id': [1]}, {}, {}, {}, {}],
        strict=True,
    ):
        annotation.update(change)
    content['annotations'].append('an object')
    checked = check_coco(content)
    assert checked.unusable_sentence() == (
        '5 of 9 objects unusable: 2 whose category_id no category has (3, 4), '
        '2 whose image_id no image has (1, 2), 1 that are no dicts (place 8)'
    )
    assert len(checked.annotations) == 4


def test_categories_of_one_name():
    content = sound_file()
    content['categories'].append({'id': 3, 'name': 'nut'})
    content['annotations'][7]['category_id'] = 3
    checked = check_coco(content)
    assert [c['name'] for c in checked.content['categories']] == ['bolt', 'nut']
    assert checked.annotations[7]['category_id'] == 2
    assert 'categories of the same name as others, taken together' in checked.mended.counts
    content['categories'][2] = {'id': 1, 'name': 'screw'}
    with pytest.raises(
        UserInputError, match="categories 'bolt' and 'screw' with one id 1, expected an id for each"
    ):
        check_coco(content)


def test_nothing_belongs_to_what_has_no_id():
    """Images and categories get numbers, and no object is taken for theirs by chance."""
    for key in ('images', 'categories'):
        content = sound_file()
        for entry in content[key]:
            del entry['id']
        checked = check_coco(content)
        assert [entry['id'] for entry in checked.content[key]] == [1, 2, 3, 4][: len(content[key])]
        assert checked.unusable.total == 8 and not checked.annotations
        content = sound_file()
        content[key][0]['id'] = True
        checked = check_coco(content)
        assert len({entry['id'] for entry in checked.content[key]}) == len(content[key])
        assert checked.unusable.total == {'images': 2, 'categories': 4}[key]


def test_a_box_from_a_mask_ends_at_the_image():
    content = sound_file()
    content['annotations'][1].update(bbox=None, segmentation=[[90, 50, 500, 50, 500, 400, 90, 400]])
    assert check_coco(content).annotations[1]['bbox'] == [90, 50, 38, 46]


def test_images_with_one_id():
    content = sound_file()
    content['images'].append(dict(content['images'][0]))
    content['images'].append({**content['images'][1], 'file_name': 'another.png'})
    checked = check_coco(content)
    assert [image['id'] for image in checked.content['images']] == [1, 3, 4]
    assert checked.unusable.counts == {'whose image_id several images have': 2}
    assert checked.images_left_out.total == 2 and len(checked.annotations) == 6


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        ([], "no 'images'"),
        ({'images': [], 'annotations': []}, "no 'categories'"),
        ({'images': {}, 'categories': []}, 'images of type dict'),
        ({'images': [1], 'categories': []}, 'found int in images'),
        ({'images': [], 'categories': [None]}, 'found NoneType in categories'),
        ({'images': [], 'categories': [], 'annotations': 'x'}, 'annotations of type str'),
    ],
)
def test_what_is_no_coco_file(content, words, tmp_path):
    (tmp_path / 'my.json').write_text(json.dumps(content))
    with pytest.raises(UserInputError, match=words) as error:
        read_coco(tmp_path / 'my.json')
    assert 'my.json' in str(error.value)


def test_a_mended_file_is_sound(tmp_path):
    """What was mended and written needs no mending."""
    content = changed(lambda a: a.update(id=0, bbox=corners(a['bbox']), segmentation=a['segmentation'][0]))
    content['info'] = {'year': 2020}
    content['annotations'][3].update(iscrowd=None, area=0, note='kept')
    checked = check_coco(content, folder=write_images(tmp_path / 'img'))
    again = check_coco(json.loads(json.dumps(with_plain_ids(checked.content))), folder=tmp_path / 'img')
    assert again.sentences() == [] and again.content == checked.content
    assert again.content['info'] == {'year': 2020} and again.annotations[3]['note'] == 'kept'
    assert all(math.isfinite(value) for a in again.annotations for value in (*a['bbox'], a['area']))
    assert areas(again) == [AREA] * 8 and polygon(10, 15) == again.annotations[0]['segmentation'][0]
