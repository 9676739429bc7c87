"""COCO with sentences, YOLO, Pascal VOC, folders of masks."""

import json

import numpy as np
import pytest
from PIL import Image

from mmrefseg.datasets.converters import (
    ImportOptions,
    read_coco_sentences,
    read_mask_folders,
    read_voc,
    read_yolo,
)
from mmrefseg.structures.masks import to_bitmap
from mmrefseg.utils import UserInputError, dump_json

HEIGHT, WIDTH = 50, 100
SQUARE = [10, 10, 30, 10, 30, 30, 10, 30]


def photo(path, size=(WIDTH, HEIGHT)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size).save(path)


def bitmap(record):
    return to_bitmap(record['mask'], HEIGHT, WIDTH)


def sentences(records):
    return [record['expressions'] for record in records]


# --- COCO ---


def coco(folder, annotations, images=None, name='x.json'):
    image = {'id': 1, 'file_name': 'a.jpg', 'height': HEIGHT, 'width': WIDTH}
    given = {
        'image_id': 1,
        'category_id': 1,
        'iscrowd': 0,
        'segmentation': [SQUARE],
        'bbox': [10, 10, 20, 20],
    }
    filled = [{**given, 'id': number, **each} for number, each in enumerate(annotations, start=1)]
    images = [{**image, **each} for each in images or [{}]]
    content = {'images': images, 'annotations': filled, 'categories': [{'id': 1, 'name': 'cup'}]}
    dump_json(content, folder / name)
    return folder / name


@pytest.mark.parametrize(
    ('fields', 'expected'),
    [
        ({'expressions': ['one', 'two']}, ['one', 'two']),
        ({'caption': 'one'}, ['one']),
        ({'sentences': [{'sent': 'one', 'raw': 'One'}, {'raw': 'Two'}]}, ['one', 'Two']),
        ({'attributes': {'occluded': False, 'expression': 'one', 'expression_2': ' two '}}, ['one', 'two']),
        ({'attributes': {'occluded': False}}, ['cup']),
    ],
)
def test_sentences_of_an_annotation(tmp_path, fields, expected):
    (record,) = read_coco_sentences(coco(tmp_path, [fields])).splits['train']
    assert record['expressions'] == expected
    assert (record['category_id'], record['category'], record['image_id']) == (1, 'cup', 1)


def test_mdetrs_captions(tmp_path):
    """Each of its images is a sentence; the words at tokens_positive refer to the object."""
    caption = 'a dog left of the small cup'
    images = [
        {'id': 1, 'caption': caption, 'original_id': 70},
        {'id': 2, 'caption': 'left dog', 'original_id': 70},
    ]
    spans = [
        {'image_id': 1, 'tokens_positive': [[0, 5]]},
        {'image_id': 1, 'tokens_positive': [[14, 17], [24, 27]], 'bbox': [1, 1, 9, 9], 'segmentation': []},
        {'image_id': 2, 'tokens_positive': [[0, 8]]},
    ]
    path = coco(tmp_path, spans, images, 'finetune_refcoco_testA.json')
    splits = read_coco_sentences(path).splits
    assert sentences(splits['testA']) == [['a dog', 'left dog'], ['the cup']]
    assert {record['image_id'] for record in splits['testA']} == {70}
    assert 'mask' not in splits['testA'][1]
    with pytest.raises(UserInputError, match=r"tokens_positive \[\['a', 5\]\]"):
        read_coco_sentences(coco(tmp_path, [{'tokens_positive': [['a', 5]]}], images))


def test_captions_of_images_with_one_object(tmp_path):
    other = {'image_id': 2, 'bbox': [1, 1, 9, 9], 'segmentation': []}
    images = [{}, {'id': 2, 'file_name': 'b.jpg'}]
    path = coco(tmp_path, [{}, other, {**other, 'bbox': [20, 20, 9, 9]}], images)
    texts = [
        {'image_id': 1, 'caption': 'a cup.'},
        {'image_id': 1, 'caption': 'one cup'},
        {'image_id': 2, 'caption': 'x'},
    ]
    dump_json({'annotations': texts}, tmp_path / 'captions.json')
    conversion = read_coco_sentences(path, captions=tmp_path / 'captions.json')
    assert sentences(conversion.splits['train']) == [['a cup.', 'one cup'], ['cup'], ['cup']]
    with pytest.raises(UserInputError, match='no list "annotations"'):
        dump_json([], tmp_path / 'captions.json')
        read_coco_sentences(path, captions=tmp_path / 'captions.json')


def test_crowds_and_cvats_masks(tmp_path):
    """CVAT marks every mask that was painted as a crowd."""
    rle = {'size': [HEIGHT, WIDTH], 'counts': [100, 20, HEIGHT * WIDTH - 120]}
    crowd = {'iscrowd': 1, 'segmentation': rle, 'bbox': [2, 0, 1, 20]}
    painted = {**crowd, 'attributes': {'expression': 'the painted'}}
    conversion = read_coco_sentences(coco(tmp_path, [crowd, painted]))
    assert sentences(conversion.splits['train']) == [['the painted']]
    assert any('1 x crowd left out' in remark for remark in conversion.remarks)
    conversion = read_coco_sentences(
        coco(tmp_path, [{'bbox': [1, 1, 0, 0]}, {'caption': 'ok', 'category_id': 1}])
    )
    assert any('mended' in remark for remark in conversion.remarks)


# --- YOLO ---


def yolo(folder, lines, yaml='names: [cup, plate]\ntrain: images/train\nval: images/val\n', split='train'):
    photo(folder / 'images' / split / 'a.jpg')
    (folder / 'labels' / split).mkdir(parents=True, exist_ok=True)
    (folder / 'labels' / split / 'a.txt').write_text(lines)
    if split == 'train':
        (folder / 'images/val').mkdir(exist_ok=True)
    if yaml:
        (folder / 'data.yaml').write_text(yaml)
    return folder


def test_yolos_boxes_and_polygons(tmp_path):
    yolo(tmp_path, '1 0.5 0.5 0.2 0.4\n\n0 0.1 0.2 0.3 0.2 0.3 0.6 0.1 0.6\n')
    yolo(tmp_path, '0 0.5 0.5 0.2 0.4 0.9\n', split='val')
    photo(tmp_path / 'images/train/without.jpg')
    for path in (tmp_path, tmp_path / 'data.yaml'):
        conversion = read_yolo(path)
        box, polygon = conversion.splits['train']
        assert 'mask' not in box and box['bbox'] == pytest.approx([40, 15, 20, 20])
        assert bitmap(polygon)[10:30, 10:30].all() and bitmap(polygon).sum() == 400
        assert (box['category_id'], polygon['category_id'], box['expressions']) == (2, 1, ['plate'])
        assert [each['file_name'] for each in conversion.splits['val']] == ['images/val/a.jpg']


def test_yolo_without_yaml_and_with_lists(tmp_path):
    yolo(tmp_path, '0 0.5 0.5 0.2 0.4\n', yaml=None)
    assert sentences(read_yolo(tmp_path).splits['train']) == [['0']]
    (tmp_path / 'classes.txt').write_text('mug\n')
    assert sentences(read_yolo(tmp_path).splits['train']) == [['mug']]
    (tmp_path / 'list.txt').write_text('./images/train/a.jpg\n')
    (tmp_path / 'data.yaml').write_text('names:\n  0: cup\nval: list.txt\ntrain: ../images/val\n')
    assert sentences(read_yolo(tmp_path).splits['val']) == [['cup']]


@pytest.mark.parametrize(
    'line', ['0 0.1', '0 a b c d', '-1 .5 .5 .1 .1', '0.5 .5 .5 .1 .1', '0 1 2 3 4 5 6', '0 .5 .5 nan .1']
)
def test_bad_lines_of_yolo(tmp_path, line):
    yolo(tmp_path, f'0 0.5 0.5 0.2 0.4\n{line}\n')
    with pytest.raises(UserInputError, match=r'a\.txt line 2: found'):
        read_yolo(tmp_path)
    assert len(read_yolo(tmp_path, ImportOptions(skip_bad=True)).splits['train']) == 1


@pytest.mark.parametrize(
    ('yaml', 'found'),
    [
        ('[1', 'no yaml'),
        ('3', 'a yaml int'),
        ('names: 3\ntrain: images/train', 'names 3'),
        ('train: 3', 'train: 3'),
        ('train: other', 'no other'),
        ('train: ../../etc', 'leads out of'),
        ('!!python/object/apply:os.system [true]', 'no yaml'),
    ],
)
def test_bad_yaml(tmp_path, yaml, found):
    yolo(tmp_path / 'set', '0 0.5 0.5 0.2 0.4\n', yaml)
    with pytest.raises(UserInputError, match=found):
        read_yolo(tmp_path / 'set')


# --- Pascal VOC ---


def voc(folder, *boxes, size=(WIDTH, HEIGHT), name='a', more=''):
    photo(folder / 'JPEGImages' / f'{name}.jpg')
    items = ''.join(
        f'<object><name>cup</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax>'
        f'</bndbox>{more}</object>'
        for a, b, c, d in boxes
    )
    (folder / 'Annotations').mkdir(exist_ok=True)
    (folder / f'Annotations/{name}.xml').write_text(
        f'<annotation><filename>{name}.jpg</filename><size><width>{size[0]}</width><height>{size[1]}</height>'
        f'<depth>3</depth></size>{items}</annotation>'
    )
    return folder


def test_vocs_boxes_count_from_one(tmp_path):
    voc(tmp_path, (11, 11, 30, 30))
    assert read_voc(tmp_path).splits['train'][0]['bbox'] == [10, 10, 20, 20]
    voc(tmp_path, (0, 0, 20, 20), name='b', size=(0, 0))
    assert [each['bbox'] for each in read_voc(tmp_path).splits['train']] == [[11, 11, 19, 19], [0, 0, 20, 20]]


def test_vocs_masks_belong_to_their_boxes(tmp_path):
    voc(tmp_path, (51, 11, 70, 30), (11, 11, 30, 30), (71, 31, 90, 40))
    indices = np.zeros((HEIGHT, WIDTH), np.uint8)
    indices[10:30, 10:30], indices[10:30, 50:70], indices[40:45, :5], indices[9, 9:31] = 1, 2, 3, 255
    (tmp_path / 'SegmentationObject').mkdir()
    image = Image.fromarray(indices).convert('P')
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])
    image.save(tmp_path / 'SegmentationObject/a.png')
    (tmp_path / 'ImageSets/Segmentation').mkdir(parents=True)
    (tmp_path / 'ImageSets/Segmentation/val.txt').write_text('a\n')
    conversion = read_voc(tmp_path)
    right, left, box = conversion.splits['val']
    np.testing.assert_array_equal(bitmap(right), indices == 2)
    np.testing.assert_array_equal(bitmap(left), indices == 1)
    assert 'mask' not in box and any('1 x mask without a box' in remark for remark in conversion.remarks)


def test_sentences_in_vocs_xml(tmp_path):
    more = '<attributes><attribute><name>expression</name><value>the left</value></attribute></attributes>'
    assert sentences(read_voc(voc(tmp_path, (1, 1, 9, 9), more=more)).splits['train']) == [['the left']]
    more = '<caption>mine</caption>'
    assert sentences(read_voc(voc(tmp_path, (1, 1, 9, 9), more=more)).splits['train']) == [['mine']]
    assert sentences(read_voc(voc(tmp_path, (1, 1, 9, 9))).splits['train']) == [['cup']]


def test_bad_voc(tmp_path):
    with pytest.raises(UserInputError, match='no xml'):
        read_voc(tmp_path)
    with pytest.raises(UserInputError, match=r"object 0: found xmin 'x'"):
        read_voc(voc(tmp_path, ('x', 1, 2, 3)))
    with pytest.raises(UserInputError, match='expected 100 x 50'):
        read_voc(voc(tmp_path, (1, 1, 9, 9), size=(99, 50)))
    (tmp_path / 'Annotations/a.xml').write_text('<!DOCTYPE a [<!ENTITY x "ha">]><annotation>&x;</annotation>')
    with pytest.raises(UserInputError, match='DOCTYPE'):
        read_voc(tmp_path)
    (tmp_path / 'Annotations/a.xml').write_text('<annotation><object/></annotation>')
    with pytest.raises(UserInputError, match='no bndbox'):
        read_voc(tmp_path)


# --- folders of masks ---


def mask(path, *blocks, values=(255,), mode='L'):
    array = np.zeros((HEIGHT, WIDTH), np.uint8)
    for value, (top, left) in zip(values, blocks, strict=True):
        array[top : top + 10, left : left + 10] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).convert(mode).save(path)


def test_masks_beside_their_images_by_name(tmp_path):
    images, masks = tmp_path / 'images', tmp_path / 'masks'
    for name in ('a', 'b', 'c', 'train/d'):
        photo(images / f'{name}.jpg')
    mask(masks / 'a.png', (5, 5))
    mask(masks / 'b_left-cup.png', (5, 5))
    mask(masks / 'b_the_right_cup.png', (5, 50))
    mask(masks / 'c/1.png', (5, 5))
    mask(masks / 'c/a_dog.png', (20, 20))
    mask(masks / 'train/d.png', (5, 5), (30, 30), values=(1, 2))
    conversion = read_mask_folders(images, masks, ImportOptions(split='val'))
    assert sentences(conversion.splits['val']) == [
        ['object'],
        ['left cup'],
        ['the right cup'],
        ['object'],
        ['a dog'],
    ]
    assert [each['bbox'] for each in conversion.splits['train']] == [[5, 5, 10, 10], [30, 30, 10, 10]]
    assert not {'said', 'mask_file', 'mask_value'} & set(conversion.splits['val'][0])
    photo(images / 'e.jpg')
    assert any('1 x image without a mask' in remark for remark in read_mask_folders(images, masks).remarks)
    mask(masks / 'other.png', (5, 5))
    with pytest.raises(UserInputError, match=r'other\.png: found a mask of no image'):
        read_mask_folders(images, masks)


def test_what_is_an_object_in_a_mask_image(tmp_path):
    images, masks = tmp_path / 'images', tmp_path / 'masks'
    photo(images / 'a.jpg')

    def count(**how):
        mask(masks / 'a.png', *[(5 + 11 * n, 5 + 11 * n) for n in range(len(how['values']))], **how)
        return len(read_mask_folders(images, masks).splits['train'])

    assert [count(values=values) for values in ((255,), (1,), (38,), (1, 2, 3), (40, 80, 120))] == [
        1,
        1,
        1,
        3,
        3,
    ]
    assert count(values=(1, 2), mode='P') == 2 and count(values=(255,), mode='RGB') == 1
    soft = np.full((HEIGHT, WIDTH), 0, np.uint8)
    soft[10:30, 10:30] = 255
    soft[9, 10:30], soft[30, 10:30], soft[10:30, 9] = 60, 140, 200
    Image.fromarray(soft).save(masks / 'a.png')
    (record,) = read_mask_folders(images, masks).splits['train']
    assert 400 <= bitmap(record).sum() <= 440
    colours = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    colours[5:9, 5:9], colours[20:29, 5:9], colours[40:45, 5:9] = (255, 0, 0), (0, 0, 200), (224, 224, 192)
    Image.fromarray(colours).save(masks / 'a.png')
    found = read_mask_folders(images, masks).splits['train']
    assert sorted(bitmap(each).sum() for each in found) == [16, 36]


def test_a_file_of_sentences(tmp_path):
    images, masks = tmp_path / 'images', tmp_path / 'masks'
    for name in 'ab':
        photo(images / f'{name}.jpg')
    mask(masks / 'a.png', (5, 5))
    mask(masks / 'b.png', (5, 5), (20, 20), values=(1, 2))
    rows = [
        ('a.jpg', '', 'the cup, on top'),
        ('a', '', 'one cup'),
        ('b.jpg', '1', 'upper'),
        ('b.jpg', 2, 'lower'),
    ]
    for mark in ',;\t':
        lines = [mark.join(['image', 'mask', 'sentence'])]
        lines += [mark.join(map(str, (image, number, f'"{text}"'))) for image, number, text in rows]
        (tmp_path / 's.csv').write_text('\n'.join(lines))
        conversion = read_mask_folders(images, masks, sentences=tmp_path / 's.csv')
        assert sentences(conversion.splits['train']) == [['the cup, on top', 'one cup'], ['upper'], ['lower']]
    (tmp_path / 's.jsonl').write_text(
        '\n'.join(
            json.dumps({'image': image, 'mask': number or None, 'sentence': text})
            for image, number, text in rows
        )
    )
    again = read_mask_folders(images, masks, sentences=tmp_path / 's.jsonl')
    assert sentences(again.splits['train']) == sentences(conversion.splits['train'])
    for row, found in (
        ('b.jpg,,both', r'line 2: found 2 masks of b\.jpg'),
        ('b.jpg,7,none', r"line 2: found 0 masks of b\.jpg that are '7'"),
        ('z.jpg,,none', r"line 2: found the image 'z\.jpg'"),
        ('a.jpg,,', 'line 2: found no image or no sentence'),
    ):
        (tmp_path / 's.csv').write_text(f'image,mask,sentence\n{row}\n')
        with pytest.raises(UserInputError, match=found):
            read_mask_folders(images, masks, sentences=tmp_path / 's.csv')


def test_bad_masks(tmp_path):
    images, masks = tmp_path / 'images', tmp_path / 'masks'
    photo(images / 'a.jpg')
    with pytest.raises(UserInputError, match='no folder, expected the folder of the masks'):
        read_mask_folders(images, masks)
    photo(masks / 'a.png', (9, 9))
    with pytest.raises(UserInputError, match='a mask of 9 x 9 pixels, expected 100 x 50'):
        read_mask_folders(images, masks)
    with pytest.raises(UserInputError, match='two folders'):
        read_mask_folders(images, images)
    (masks / 'a.png').write_bytes(b'\x89PNG')
    with pytest.raises(UserInputError, match=r'a\.png: found no readable image'):
        read_mask_folders(images, masks)
