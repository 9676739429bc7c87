"""Out to a labelling tool and back: the same objects, masks, sentences, splits and numbers."""

import json

import numpy as np
import pytest

from mmrefseg.datasets.converters import (
    ImportOptions,
    exported,
    labelling_interface,
    name_categories,
    read_coco_sentences,
    read_instances,
    read_label_studio,
    read_labelme,
    write_cvat_coco,
    write_label_studio,
    write_labelme,
)
from mmrefseg.datasets.converters.shapes import outline_bitmap
from mmrefseg.structures.masks import to_bitmap
from mmrefseg.structures.rle import encode_mask
from mmrefseg.utils import UserInputError, dump_json
from mmrefseg.utils.safe_xml import parse_xml

HEIGHT, WIDTH = 48, 64


def blob(hole: bool) -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(y - 20, x - 30)
    return (distance < 15) & (distance > 5 if hole else True)


MASKS = {
    'polygon': [[5, 5, 25, 5, 25.5, 25, 5, 20.25]],
    'two parts': [[5, 5, 15, 5, 15, 15], [30, 30, 50, 30, 50, 40]],
    'bitmap': encode_mask(blob(False)),
    'bitmap with a hole': encode_mask(blob(True)),
    'none': None,
}


@pytest.fixture
def splits(tmp_path):
    """Each kind of mask in train, some of them on one image; one object in val."""
    train = []
    for number, mask in enumerate(MASKS.values()):
        record = {
            'image_id': 7 + number // 2,
            'file_name': f'sub/{number // 2}.jpg',
            'category_id': 1 + number % 2,
        }
        record.update(height=HEIGHT, width=WIDTH, bbox=[5, 5, 45, 35], ref_id=10 + number)
        record.update(
            expressions=[f'thing {number}', 'a "cup" & <saucer>'], sent_ids=[2 * number, 2 * number + 1]
        )
        train.append(record if mask is None else {**record, 'mask': mask})
    val = {**train[0], 'image_id': 3, 'file_name': 'other.png', 'ref_id': 99, 'sent_ids': [50, 51]}
    dump_json({'train': train, 'val': [val]}, tmp_path / 'instances.json')
    splits = read_instances(tmp_path / 'instances.json').splits
    name_categories(splits, {1: 'cup', 2: 'plate'})
    return splits


def through_labelme(entries, folder, **options):
    write_labelme(entries, folder, tolerance=0, **options)
    return read_labelme(folder).splits


def through_cvat(entries, folder, **options):
    write_cvat_coco(entries, folder, tolerance=0, **options)
    files = sorted((folder / 'annotations').glob('*.json'))
    assert [file.name for file in files] == ['instances_train.json', 'instances_val.json']
    return {split: records for file in files for split, records in read_coco_sentences(file).splits.items()}


def through_label_studio(entries, folder, **options):
    write_label_studio(entries, folder / 'tasks.json', tolerance=0, **options)
    tasks = json.loads((folder / 'tasks.json').read_text())
    for task in tasks:  # as if somebody had accepted the predictions
        task['annotations'] = task.pop('predictions')
    dump_json(tasks, folder / 'project.json')
    return read_label_studio(folder / 'project.json').splits


WAYS = {
    'labelme': (through_labelme, {}),
    'labelme, bitmaps': (through_labelme, {'bitmaps': True}),
    'cvat': (through_cvat, {}),
    'cvat, bitmaps': (through_cvat, {'bitmaps': True}),
    'label studio': (through_label_studio, {}),
    'label studio, brush': (through_label_studio, {'brush': True}),
}


@pytest.mark.parametrize('way', WAYS)
def test_out_and_back(splits, tmp_path, way):
    go, options = WAYS[way]
    back = go(exported(splits), tmp_path / 'out', **options)
    assert list(back) == ['train', 'val']
    for split, records in splits.items():
        found = {record['ref_id']: record for record in back[split]}
        assert found.keys() == {record['ref_id'] for record in records}
        for record in records:
            again = found[record['ref_id']]
            assert again['expressions'] == record['expressions']
            assert (again['file_name'], again['category']) == (record['file_name'], record['category'])
            assert ('mask' in again) == ('mask' in record)
            if 'mask' in record:
                bitmaps = [to_bitmap(each['mask'], HEIGHT, WIDTH) for each in (record, again)]
                np.testing.assert_array_equal(*bitmaps)
            else:
                assert again['bbox'] == pytest.approx(record['bbox'])
            if 'cvat' not in way:  # which numbers images itself
                assert again['image_id'] == record['image_id']


def test_outlines_cover_the_same_pixels_and_holes_are_told():
    rng = np.random.default_rng(0)
    checked = 0
    for _ in range(60):
        coarse = rng.random((6, 8)) < 0.35
        bitmap = np.kron(coarse, np.ones((8, 8), bool)) ^ (rng.random((HEIGHT, WIDTH)) < 0.0003)
        polygons = outline_bitmap(bitmap)
        if polygons is not None and bitmap.any():
            checked += 1
            np.testing.assert_array_equal(to_bitmap(polygons, HEIGHT, WIDTH), bitmap)
    assert checked >= 10
    assert outline_bitmap(blob(True)) is None and len(outline_bitmap(blob(False))) == 1
    dot = np.zeros((HEIGHT, WIDTH), bool)
    dot[3, 4] = True
    assert to_bitmap(outline_bitmap(dot, 2.0), HEIGHT, WIDTH).sum() == 1
    exact, simple = (outline_bitmap(blob(False), tolerance)[0] for tolerance in (0, 1))
    assert len(simple) < len(exact) / 2
    assert (to_bitmap([simple], HEIGHT, WIDTH) ^ blob(False)).mean() < 0.02


def test_what_cannot_be_exported_is_told(splits):
    with pytest.raises(UserInputError, match=r"--split: found 'test', expected some of \['train', 'val'\]"):
        exported(splits, only=['test'])
    assert {entry.split for entry in exported(splits, only=['val'])} == {'val'}
    without = {'train': [{**splits['train'][0], 'file_name': None}]}
    with pytest.raises(UserInputError, match=r'ref_id 10: found no file_name .*--img-template'):
        exported(without)
    assert exported(without, '{:06d}.jpg')[0].name == '000007.jpg'
    with pytest.raises(UserInputError, match='--img-template'):
        exported(without, '{x}.jpg')
    outside = {'train': [{**splits['train'][0], 'file_name': '../../a.jpg'}]}
    with pytest.raises(UserInputError, match='leads out of'):
        exported(outside)
    with pytest.raises(UserInputError, match='no object to draw'):
        exported({'train': [{**splits['train'][0], 'no_target': True}]})


def test_two_images_with_one_json(splits, tmp_path):
    twins = [
        {**splits['train'][0], 'file_name': name, 'ref_id': n} for n, name in enumerate(('a.jpg', 'a.png'))
    ]
    with pytest.raises(UserInputError, match=r'two images, a\.jpg and a\.png'):
        write_labelme(exported({'train': twins}), tmp_path)


def test_names_of_another_place_and_labels_with_markup(splits, tmp_path):
    write_labelme(exported(splits), tmp_path / 'json', images=tmp_path / 'photos')
    content = json.loads((tmp_path / 'json/sub/0.json').read_text())
    assert content['imagePath'] == '../../photos/sub/0.jpg' and content['imageData'] is None
    assert content['shapes'][0]['description'] == 'thing 0\na "cup" & <saucer>'
    splits['train'][0]['category'] = '<b> & "c"'
    interface = parse_xml(labelling_interface(exported(splits)).encode(), 'interface')
    assert {each.get('value') for each in interface.iter('Label')} == {'cup', 'plate', '<b> & "c"'}
    assert [each.tag for each in interface] == [
        'Image',
        'PolygonLabels',
        'BrushLabels',
        'RectangleLabels',
        'TextArea',
    ]
    scored = {
        'train': [
            {**splits['train'][0], 'mask_score': score, 'ref_id': n} for n, score in enumerate((0.5, 1))
        ]
    }
    write_label_studio(exported(scored), tmp_path / 'tasks.json', url='https://example.org/')
    (task,) = json.loads((tmp_path / 'tasks.json').read_text())
    assert (
        task['predictions'][0]['score'] == 0.75 and task['data']['image'] == 'https://example.org/sub/0.jpg'
    )


def test_a_mended_shape_in_labelme(splits, tmp_path):
    """A box-only object gets a mask, and one gets a sentence; a copy of a shape is another object."""
    write_labelme(exported(splits, only=['val']), tmp_path)
    path = tmp_path / 'other.json'
    content = json.loads(path.read_text())
    (shape,) = content['shapes']
    shape['description'] = 'the mended cup'
    box = {**shape, 'shape_type': 'rectangle', 'points': [[1, 1], [30, 30]]}
    copy = {**shape, 'group_id': None, 'description': 'a copy'}
    dump_json({**content, 'shapes': [shape, box, copy]}, path)
    first, second = read_labelme(tmp_path).splits['val']
    assert (first['ref_id'], first['bbox'], first['expressions']) == (99, [1, 1, 29, 29], ['the mended cup'])
    assert second['ref_id'] > 99 and second['expressions'] == ['a copy']


def test_a_part_of_the_images_becomes_val(splits, tmp_path):
    records = [{**splits['train'][0], 'file_name': f'{n}.jpg', 'image_id': n, 'ref_id': n} for n in range(60)]
    write_labelme(exported({'train': records}), tmp_path)
    for path in tmp_path.glob('*.json'):
        dump_json({**json.loads(path.read_text()), 'split': None}, path)
    found = [read_labelme(tmp_path, options=ImportOptions(val=val)).splits for val in (0, 20, 20, 40)]
    names = [{record['file_name'] for record in each.get('val', [])} for each in found]
    assert not names[0] and names[1] == names[2] < names[3]
    assert 6 <= len(names[1]) <= 18 and list(found[0]) == ['train']
    for wrong in ({'val': 100.0}, {'val': -1.0}, {'without_sentence': 'x'}, {'split': ' '}):
        with pytest.raises(UserInputError):
            ImportOptions(**wrong)
