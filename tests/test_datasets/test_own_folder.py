"""What a folder of photos holds, found without being told."""

import json
import shutil

import pytest
from PIL import Image

from mmrefseg.datasets.converters import exported, write_cvat_coco, write_labelme
from mmrefseg.datasets.converters.own_folder import read_own_folder
from mmrefseg.utils import UserInputError, dump_json

HEIGHT, WIDTH = 48, 64
SQUARE = [[10, 10, 40, 10, 40, 40, 10, 40]]


def record(number, **fields):
    known = {
        'image_id': number,
        'file_name': f'{number}.jpg',
        'height': HEIGHT,
        'width': WIDTH,
        'ref_id': number,
    }
    known.update(
        bbox=[10, 10, 30, 30], expressions=['the cup', 'cup on the table'], category_id=1, category='cup'
    )
    return {**known, 'sent_ids': [2 * number, 2 * number + 1], **fields}


@pytest.fixture
def photos(tmp_path):
    """Twelve photos in ``images``."""
    (tmp_path / 'images').mkdir()
    for number in range(12):
        Image.new('RGB', (WIDTH, HEIGHT)).save(tmp_path / 'images' / f'{number}.jpg')
    return tmp_path


def records(masks=3):
    return [record(number, **({'mask': SQUARE} if number < masks else {})) for number in range(12)]


def in_working_format(root):
    dump_json({'train': records()}, root / 'annotations' / 'instances.json')


def in_json_lines(root):
    lines = [{'image': f'{n}.jpg', 'expression': 'the cup', 'bbox': [10, 10, 30, 30]} for n in range(12)]
    for line in lines[:3]:
        line['mask'] = SQUARE
    (root / 'mine.jsonl').write_text('\n'.join(map(json.dumps, lines)))


def in_labelme(root):
    write_labelme(exported({'train': records()}), root / 'images')


def in_coco(root):
    write_cvat_coco(exported({'train': records()}), root)


def in_cvat(root):
    def item(number):
        box = '<box label="cup" group_id="1" xtl="10" ytl="10" xbr="40" ybr="40"/>'
        polygon = '<polygon label="cup" group_id="1" points="10,10;40,10;40,40;10,40"/>' if number < 3 else ''
        return f'<image name="{number}.jpg" width="64" height="48">{box}{polygon}</image>'

    (root / 'annotations.xml').write_text(f'<annotations>{"".join(map(item, range(12)))}</annotations>')


def in_label_studio(root):
    frame = {'original_width': WIDTH, 'original_height': HEIGHT}
    tasks = []
    for number in range(12):
        value = {'x': 10, 'y': 10, 'width': 50, 'height': 60, 'rectanglelabels': ['cup']}
        results = [{**frame, 'id': f'ref{number}', 'type': 'rectanglelabels', 'value': value}]
        if number < 3:
            value = {'points': [[20, 20], [60, 20], [60, 80]], 'polygonlabels': ['cup']}
            results.append({**frame, 'id': f'ref{number}.1', 'type': 'polygonlabels', 'value': value})
        tasks.append(
            {'data': {'image': f'/data/upload/1/{number}.jpg'}, 'annotations': [{'result': results}]}
        )
    dump_json(tasks, root / 'project.json')


def in_yolo(root):
    (root / 'labels').mkdir()
    for number in range(12):
        polygon = '0 .2 .2 .6 .2 .6 .8 .2 .8' if number < 3 else '0 .4 .4 .3 .3'
        (root / 'labels' / f'{number}.txt').write_text(polygon)
    (root / 'classes.txt').write_text('cup')


def in_voc(root):
    (root / 'Annotations').mkdir()
    shutil.move(root / 'images', root / 'JPEGImages')
    for number in range(12):
        box = '<xmin>11</xmin><ymin>11</ymin><xmax>40</xmax><ymax>40</ymax>'
        text = f'<annotation><object><name>cup</name><bndbox>{box}</bndbox></object></annotation>'
        (root / 'Annotations' / f'{number}.xml').write_text(text)
    (root / 'SegmentationObject').mkdir()
    for number in range(3):
        mask = Image.new('L', (WIDTH, HEIGHT))
        mask.paste(1, (10, 10, 40, 40))
        mask.save(root / 'SegmentationObject' / f'{number}.png')


def in_masks(root):
    (root / 'masks').mkdir()
    for number in range(12):
        mask = Image.new('L', (WIDTH, HEIGHT))
        mask.paste(255, (10, 10, 40, 40))
        mask.save(root / 'masks' / f'{number}_the cup.png')


FORMATS = {
    'working format': in_working_format,
    'json lines': in_json_lines,
    'labelme': in_labelme,
    'COCO': in_coco,
    'CVAT': in_cvat,
    'Label Studio': in_label_studio,
    'YOLO': in_yolo,
    'Pascal VOC': in_voc,
    'mask images': in_masks,
}


@pytest.mark.parametrize('name', FORMATS)
def test_every_format_is_found(photos, name):
    FORMATS[name](photos)
    data = read_own_folder(photos)
    assert f'({name})' in data.source
    everything = [each for split in data.splits.values() for each in split]
    assert len(everything) == 12 and sorted(data.splits) == ['train', 'val']
    assert all((data.images / each['file_name']).is_file() for each in everything)
    assert sum('mask' in each for each in everything) == (12 if name == 'mask images' else 3)
    assert 2 <= len(data.splits['val']) <= 3 and data.num_images == data.num_objects
    if name != 'mask images':  # three masks are all for learning
        assert data.num_masks == 3
    assert 'held out' in data.remarks[-1] and f'train: {data.num_objects} objects' in data.summary()
    again = read_own_folder(photos)
    assert again.splits == data.splits


def test_numbers_of_a_folder(photos):
    in_working_format(photos)
    data = read_own_folder(photos)
    assert (data.num_categories, data.longest_sentence) == (2, 4)
    assert data.typical_object(128) == 60


def test_splits_of_ones_own_stay(photos):
    splits = {'val': records()[:4], 'train': records()[4:]}
    dump_json(splits, photos / 'instances.json')
    assert {split: len(found) for split, found in read_own_folder(photos).splits.items()} == {
        'val': 4,
        'train': 8,
    }
    dump_json({'train': records()[:1]}, photos / 'instances.json')
    data = read_own_folder(photos)
    assert data.splits['val'] == data.splits['train'] and 'there is one image' in data.remarks[-1]
    dump_json({'train': records()[:2]}, photos / 'instances.json')
    assert [len(each) for each in read_own_folder(photos).splits.values()] == [1, 1]


def test_what_is_missing_is_told(photos):
    with pytest.raises(UserInputError, match='found no annotations'):
        read_own_folder(photos)
    with pytest.raises(UserInputError, match='no folder'):
        read_own_folder(photos / 'none')
    dump_json({'val': records()}, photos / 'instances.json')
    with pytest.raises(UserInputError, match='expected a split "train"'):
        read_own_folder(photos)
    dump_json({'train': [*records(), record(77)]}, photos / 'instances.json')
    with pytest.raises(UserInputError, match=r'1 of 13 images missing \(the first is 77\.jpg\)'):
        read_own_folder(photos)
    dump_json({'train': [record(0, file_name=None)]}, photos / 'instances.json')
    with pytest.raises(UserInputError, match='objects without a file_name'):
        read_own_folder(photos)
    for name in ('a.json', 'b.json'):
        dump_json({'train': records()}, photos / name)
    (photos / 'instances.json').unlink()
    with pytest.raises(
        UserInputError, match=r'several annotation files \(.*a\.json, .*b\.json\)|\(a\.json, b\.json\)'
    ):
        read_own_folder(photos)
    for path in photos.glob('?.json'):
        path.unlink()
    write_cvat_coco(exported({'train': records()}), photos)
    other = photos / 'annotations' / 'more_train.json'
    shutil.copy(photos / 'annotations' / 'instances_train.json', other)
    with pytest.raises(UserInputError, match="the split 'train', which another file has"):
        read_own_folder(photos)


def test_another_file_of_annotations(photos):
    in_working_format(photos)
    chosen = photos / 'chosen.json'
    dump_json({'train': records(1)[:8], 'val': records(1)[8:]}, chosen)
    data = read_own_folder(photos, chosen)
    assert (data.num_objects, data.num_masks, data.images) == (8, 1, photos / 'images')
    assert not data.remarks
