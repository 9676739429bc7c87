"""Instances from a COCO file: the held-out part, classes by name, and what is said about wrong input."""

import copy
import json

import cv2
import mmcv
import numpy as np
import pytest
from coco_files import AREA, HEIGHT, WIDTH, changed, sound_file, write_images
from image_bombs import png_that_claims
from mmdet.datasets import CocoDataset
from mmengine.dataset import Compose
from mmengine.logging import MMLogger

from mmrefseg.datasets.coco_instance_dataset import CocoInstanceDataset
from mmrefseg.models.heads.partial_mask_head import has_mask
from mmrefseg.utils import UserInputError

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs'),
]


@pytest.fixture(scope='module')
def folder(test_data):
    return test_data / 'tiny_coco'


def build(folder, ann_file='annotations/instances_train2017.json', kind=CocoInstanceDataset, **settings):
    prefix = dict(img='train2017/')
    return kind(data_root=str(folder), ann_file=ann_file, data_prefix=prefix, pipeline=PIPELINE, **settings)


def ids(dataset):
    return [dataset.get_data_info(position)['img_id'] for position in range(len(dataset))]


def test_held_out(folder):
    """A tenth of all images, none in both parts, whatever is filtered and in whatever order the file is."""
    everything = ids(build(folder))
    val = ids(build(folder, part='val', test_mode=True))
    train = ids(build(folder, part='train', filter_cfg=dict(filter_empty_gt=True, min_size=400)))
    assert len(everything) == 50 and len(val) == 5 and 0 < len(train) < 45
    assert not set(val) & set(train)
    assert {*val, *ids(build(folder, part='train'))} == set(everything)
    assert ids(build(folder, part='val', held_out_seed=1)) != val


def test_order_of_the_file_does_not_matter(folder, tmp_path):
    content = json.loads((folder / 'annotations/instances_train2017.json').read_text())
    content['images'].reverse()
    content['categories'].reverse()
    (tmp_path / 'turned.json').write_text(json.dumps(content))
    first, turned = (build(folder, part='val'), build(folder, str(tmp_path / 'turned.json'), part='val'))
    assert set(ids(first)) == set(ids(turned))
    sample = first.get_data_info(0)
    same = next(
        turned.get_data_info(position) for position in range(5) if ids(turned)[position] == sample['img_id']
    )
    labels = [instance['bbox_label'] for instance in sample['instances']]
    assert labels and labels == [instance['bbox_label'] for instance in same['instances']]


def test_the_originals_way(folder):
    """held_out=0: both parts are all images."""
    for part in ('train', 'val'):
        assert ids(build(folder, part=part, held_out=0)) == ids(build(folder))


def test_samples_are_mmdets(folder):
    ours, theirs = build(folder), build(folder, kind=CocoDataset)
    assert len(ours) == len(theirs)
    for position in (0, 20, 49):
        assert ours.get_data_info(position) == theirs.get_data_info(position)
    assert len(ours[3]['data_samples'].gt_instances) == len(theirs[3]['data_samples'].gt_instances)


def test_nothing_is_printed(folder, capsys):
    build(folder)
    assert capsys.readouterr().out == ''


@pytest.mark.parametrize(
    ('settings', 'words'),
    [
        (dict(part='test'), "part='test'"),
        (dict(held_out=1.0), 'below 1'),
        (dict(ann_file='none.json'), 'none.json: found no such file'),
        (dict(metainfo=dict(classes=('person', 'unicorn'))), "no category 'unicorn'"),
        (dict(metainfo=dict(classes=('Person',))), "no category 'Person' (did you mean person?)"),
        (dict(metainfo=dict(classes='person')), "classes='person'"),  # ('person') is no tuple
        (dict(part='val', held_out=0.001), "no images with instances of the classes in part 'val'"),
    ],
)
def test_wrong_settings(folder, settings, words):
    with pytest.raises(UserInputError) as error:
        build(folder, **settings)
    assert words in str(error.value)


def test_wrong_folder(folder, tmp_path):
    content = (folder / 'annotations/instances_train2017.json').read_text()
    (tmp_path / 'x.json').write_text(content)
    with pytest.raises(UserInputError, match=r'no folder .*train2017'):
        build(tmp_path, 'x.json')
    (tmp_path / 'list.json').write_text('[]')
    with pytest.raises(UserInputError, match="no 'images'"):
        build(tmp_path, 'list.json')


def test_bad_images(folder, tmp_path):
    """A missing and a broken one are named; others are read."""
    content = json.loads((folder / 'annotations/instances_train2017.json').read_text())
    content['images'] = content['images'][:3]
    content['annotations'] = [
        a for a in content['annotations'] if a['image_id'] in {image['id'] for image in content['images']}
    ]
    (tmp_path / 'x.json').write_text(json.dumps(content))
    (tmp_path / 'train2017').mkdir()
    names = [image['file_name'] for image in content['images']]
    (tmp_path / 'train2017' / names[0]).symlink_to(folder / 'train2017' / names[0])
    (tmp_path / 'train2017' / names[1]).write_text('not an image')
    dataset = build(tmp_path, 'x.json', test_mode=True)
    assert dataset[0]['inputs'].ndim == 3
    with pytest.raises(UserInputError, match=f'{names[1]}: found a file that cannot be decoded'):
        dataset[1]
    with pytest.raises(UserInputError, match=rf'{names[2]}: found no readable file .No such file'):
        dataset[2]


@pytest.fixture
def said(monkeypatch):
    """What is logged as a warning."""
    sentences = []
    monkeypatch.setattr(MMLogger, 'warning', lambda _, sentence: sentences.append(sentence))
    return sentences


def open_file(content, tmp_path, poly2mask=True, **settings):
    """A data set of a file like the sound one, to train on."""
    if not (tmp_path / 'img').is_dir():
        write_images(tmp_path / 'img')
    (tmp_path / 'mine.json').write_text(json.dumps(content))
    loader = dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=poly2mask)
    settings = dict(filter_cfg=dict(filter_empty_gt=True, min_size=32)) | settings
    return CocoInstanceDataset(
        ann_file=str(tmp_path / 'mine.json'),
        data_prefix=dict(img=str(tmp_path / 'img')),
        metainfo=dict(classes=('bolt', 'nut')),
        **{'pipeline': [PIPELINE[0], loader, PIPELINE[2]], **settings},
    )


def pixels(dataset):
    """Foreground pixels of each mask that is trained on."""
    instances = [dataset[place]['data_samples'].gt_instances for place in range(len(dataset))]
    return [int(count) for found in instances for count in found.masks.to_ndarray().sum((1, 2))]


def test_objects_as_people_write_them(tmp_path, said):
    """Ids from 0 and repeated, no area, flat polygons, corners, no sizes: all eight are trained on."""
    content = changed(
        lambda a: a.update(
            id=a['id'] // 2,
            bbox=[a['bbox'][0], a['bbox'][1], a['bbox'][0] + 40, a['bbox'][1] + 44],
            segmentation=a['segmentation'][0],
        )
    )
    for annotation in content['annotations']:
        del annotation['area']
    for image in content['images']:
        del image['height']
    dataset = open_file(content, tmp_path)
    assert pixels(dataset) == [AREA] * 8
    boxes = [instance['bbox'] for place in range(4) for instance in dataset.get_data_info(place)['instances']]
    assert boxes[0] == [10, 15, 50, 59] and len(boxes) == 8
    assert 'mended in reading' in said[0] and '8 without an area' in said[0] and 'mine.json' in said[0]


def test_text_ids(tmp_path):
    content = sound_file()
    for image in content['images']:
        image['id'] = f'IMG_{image["id"]}'
    for annotation in content['annotations']:
        annotation['image_id'] = f'IMG_{annotation["image_id"]}'
    dataset = open_file(content, tmp_path, part='train', held_out=0.25)
    assert len(dataset) == 3 and {*ids(dataset)} < {'IMG_1', 'IMG_2', 'IMG_3', 'IMG_4'}


def test_what_is_lost_is_said_before_training(tmp_path, said):
    content = sound_file()
    content['annotations'][0]['image_id'] = 77
    content['annotations'][1].update(bbox=[70, 15, 0.5, 44], segmentation=[])
    content['annotations'][2]['ignore'] = 1
    content['annotations'][3].update(segmentation=[[1, 1, 5, 5]])
    dataset = open_file(content, tmp_path)
    assert said == [
        f'{tmp_path}/mine.json: 3 of 8 objects unusable: 1 marked ignore (3), 1 narrower than a pixel (2), '
        '1 whose image_id no image has (1)',
        f'{tmp_path}/mine.json: 2 of 8 objects have a box and no mask: 1 polygon of fewer than 3 points (4), '
        '1 without a segmentation (2)',
    ]
    trained = [
        instance for place in range(len(dataset)) for instance in dataset.get_data_info(place)['instances']
    ]
    assert len(trained) == 5
    assert [instance.get('has_mask', True) for instance in trained] == [False, True, True, True, True]


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(iscrowd=1), '8 of 8 objects unusable: 8 marked iscrowd'),
        (dict(image_id=9), '8 of 8 objects unusable: 8 whose image_id no image has'),
        (dict(bbox=[1, 1, 0, 0], segmentation=[]), '8 of 8 objects unusable: 8 box without area'),
        (dict(category_id=3), '8 of 8 objects unusable: 8 of other classes'),
    ],
)
def test_training_stops_where_nothing_is_left(change, words, tmp_path):
    content = changed(lambda a: a.update(change))
    content['categories'].append({'id': 3, 'name': 'screw'})
    with pytest.raises(UserInputError, match='nothing to learn from') as error:
        open_file(content, tmp_path, filter_cfg=None)
    assert words in str(error.value)
    assert len(open_file(content, tmp_path, test_mode=True)) == 4


@pytest.mark.parametrize('filter_cfg', [None, dict(filter_empty_gt=True)])
@pytest.mark.parametrize('part', ['all', 'train'])
def test_training_stops_without_annotations(filter_cfg, part, tmp_path):
    content = sound_file() | {'annotations': []}
    with pytest.raises(UserInputError, match=f"nothing to learn from in part '{part}': no annotations"):
        open_file(content, tmp_path, filter_cfg=filter_cfg, part=part)
    assert len(open_file(content, tmp_path, test_mode=True)) == 4
    del content['annotations']
    with pytest.raises(UserInputError, match='nothing to learn from'):
        open_file(content, tmp_path, filter_cfg=filter_cfg, part=part)


def test_objects_of_other_classes_are_said(tmp_path, said):
    content = sound_file()
    content['categories'].append({'id': 3, 'name': 'Bolt'})
    content['annotations'][0]['category_id'] = 3
    assert len(pixels(open_file(content, tmp_path))) == 7
    (sentence,) = said
    assert '1 of 8 objects left out: of classes that are not asked for (Bolt)' in sentence


def test_small_images_are_said(tmp_path, said):
    content = sound_file()
    with pytest.raises(UserInputError, match='no images with instances'):
        open_file(content, tmp_path, filter_cfg=dict(filter_empty_gt=True, min_size=97))
    assert said == [
        f'{tmp_path}/mine.json: 8 objects left out with 4 images smaller than filter_cfg.min_size=97'
    ]


def test_missing_images_are_left_out_of_training_only(tmp_path, said):
    write_images(tmp_path / 'img')
    (tmp_path / 'img/p2.png').unlink()
    assert pixels(open_file(sound_file(), tmp_path)) == [AREA] * 6
    assert '2 of 8 objects unusable: 2 of images that are missing (5, 6)' in said[0]
    with pytest.raises(UserInputError, match=r'p2.png: found no readable file .No such file'):
        open_file(sound_file(), tmp_path, test_mode=True)[2]
    for name in ('p0.png', 'p1.png', 'p3.png'):
        (tmp_path / 'img' / name).unlink()
    with pytest.raises(
        UserInputError, match=r'4 images left out: 4 that are missing \(p0.png, p1.png, p2.png, ...\)'
    ):
        open_file(sound_file(), tmp_path)


@pytest.mark.parametrize('test_mode', [True, False])
def test_images_outside_the_folder_are_not_read(test_mode, tmp_path):
    content = changed(lambda image: image.update(file_name='../secret.png'), 'images')
    cv2.imwrite(str(tmp_path / 'secret.png'), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    with pytest.raises(UserInputError, match='4 whose file_name leaves the image folder'):
        open_file(content, tmp_path, test_mode=test_mode)


@pytest.mark.parametrize('orientation', [5, 6, 7, 8])
@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_turned_images_are_loaded_as_they_were_annotated(orientation, backend, tmp_path):
    """Pixel by pixel the stored image, in the size of its record; one annotated as shown stays."""
    folder = write_images(tmp_path / 'img', suffix='jpg', orientation=orientation)
    content = changed(
        lambda image: image.update(file_name=image['file_name'].replace('png', 'jpg')), 'images'
    )
    load = [dict(type='LoadImageFromFile', imdecode_backend=backend), *PIPELINE[1:]]
    (tmp_path / 'mine.json').write_text(json.dumps(content))
    settings = dict(
        ann_file=str(tmp_path / 'mine.json'),
        data_prefix=dict(img=str(folder)),
        metainfo=dict(classes=('bolt', 'nut')),
        pipeline=load,
    )
    dataset = CocoInstanceDataset(**settings)
    stored = cv2.imread(str(folder / 'p0.jpg'), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    found = dataset[0]
    image = found['inputs'].permute(1, 2, 0).numpy()
    assert image.shape == stored.shape and np.abs(image.astype(int) - stored).mean() < 2
    assert found['data_samples'].ori_shape == (HEIGHT, WIDTH) and pixels(dataset) == [AREA] * 8
    as_shown = copy.deepcopy(content)
    for image in as_shown['images']:
        image.update(height=WIDTH, width=HEIGHT)
    for annotation in as_shown['annotations']:
        annotation.update(bbox=[10, 100, 20, 20], segmentation=[[10, 100, 30, 100, 30, 120, 10, 120]])
    (tmp_path / 'mine.json').write_text(json.dumps(as_shown))
    dataset = CocoInstanceDataset(**settings)
    assert dataset[0]['inputs'].shape[1:] == (WIDTH, HEIGHT) and pixels(dataset) == [20 * 20] * 8


def test_an_image_of_another_size_is_an_error_when_it_is_loaded(tmp_path):
    """Whoever replaces an image after the file was opened."""
    dataset = open_file(sound_file(), tmp_path)
    write_images(tmp_path / 'img', HEIGHT, WIDTH + 2)
    with pytest.raises(
        UserInputError, match='an image of 130 x 96 pixels, expected 128 x 96 as its record says'
    ):
        dataset[0]


@pytest.mark.parametrize('test_mode', [True, False])
@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
@pytest.mark.parametrize('side', [65000, 13400])
def test_a_bomb_is_never_decoded(test_mode, backend, side, tmp_path, monkeypatch, said):
    """Seen when the file is opened, it is left out of training; later on, it is refused before decoding."""
    load = dict(pipeline=[dict(type='LoadImageFromFile', imdecode_backend=backend), *PIPELINE[1:]])
    dataset = open_file(sound_file(), tmp_path, test_mode=test_mode, **load)
    assert dataset[0]['inputs'].shape[1:] == (HEIGHT, WIDTH)
    (tmp_path / 'img/p0.png').write_bytes(png_that_claims(side, side))
    monkeypatch.setattr(mmcv, 'imfrombytes', lambda *_, **__: pytest.fail('it was decoded'))
    with pytest.raises(UserInputError, match=f'p0.png: found an image that claims {side} x {side} pixels'):
        dataset[0]
    again = open_file(sound_file(), tmp_path, test_mode=test_mode, **load)
    assert len(again) == (4 if test_mode else 3)
    if test_mode:
        with pytest.raises(UserInputError, match=f'claims {side} x {side} pixels'):
            again[0]
    else:
        assert '2 of 8 objects unusable: 2 of images that are no readable images (1, 2)' in said[0]


def test_a_truncated_image_is_an_error_when_it_is_loaded(tmp_path):
    """OpenCV fills the rest with grey."""
    dataset = open_file(sound_file(), tmp_path)
    path = tmp_path / 'img/p0.png'
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserInputError, match=r'p0.png: found a truncated image'):
        dataset[0]


def test_run_lengths_are_trained_on_with_polygons_asked_for(tmp_path):
    """mmdet ignores every object whose mask is no polygon where poly2mask is False."""
    counts = [10 * HEIGHT + 20] + [40, HEIGHT - 40] * 29 + [40]
    rle = {'size': [HEIGHT, WIDTH], 'counts': [*counts, HEIGHT * WIDTH - sum(counts)]}
    content = changed(lambda a: a.update(segmentation=rle, bbox=[10, 20, 30, 40]))
    assert pixels(open_file(content, tmp_path, poly2mask=False)) == [30 * 40] * 8
    from_polygons = open_file(sound_file(), tmp_path, poly2mask=False)
    assert pixels(from_polygons) == [AREA] * 8
    assert type(from_polygons[0]['data_samples'].gt_instances.masks).__name__ == 'PolygonMasks'


@pytest.mark.parametrize('poly2mask', [True, False])
def test_objects_with_only_a_box(folder, tmp_path, poly2mask):
    """They stay, in their places, with a mask that covers nothing; mmdet's dataset loses them or fails."""
    content = json.loads((folder / 'annotations/instances_train2017.json').read_text())
    objects = [each for each in content['annotations'] if not each['iscrowd']]
    for number, annotation in enumerate(objects[1::2]):
        annotation['segmentation'] = [[], None][number % 2]
        if number % 3 == 0:
            del annotation['segmentation']
    (tmp_path / 'some.json').write_text(json.dumps(content))
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=poly2mask),
        dict(type='RandomChoiceResize', scales=[(200, 160)], keep_ratio=True),
        dict(type='RandomFlip', prob=1.0),
        dict(type='PackDetInputs'),
    ]
    full = build(folder)
    some = build(folder, str(tmp_path / 'some.json'))
    some.pipeline = Compose(pipeline)
    lacking = {tuple(each['bbox']) for each in objects[1::2]}
    count = 0
    for position in range(0, len(some), 5):
        truth = some[position]['data_samples'].gt_instances
        instances = [each for each in some.get_data_info(position)['instances'] if not each['ignore_flag']]
        whole = [each for each in full.get_data_info(position)['instances'] if not each['ignore_flag']]
        assert [each['bbox'] for each in instances] == [each['bbox'] for each in whole]
        known = [each.get('has_mask', True) for each in instances]
        assert has_mask(truth.masks).tolist() == known and len(truth.bboxes) == len(known)
        for each in instances:
            x1, y1, x2, y2 = each['bbox']
            assert each.get('has_mask', True) == (_near(lacking, [x1, y1, x2 - x1, y2 - y1]) is None)
        count += known.count(False)
    assert count > 10


def _near(boxes, box):
    return next((each for each in boxes if np.allclose(each, box, rtol=0, atol=1e-6)), None)


def test_require_masks(folder, tmp_path):
    """Only objects with masks, and images that show one."""
    content = json.loads((folder / 'annotations/instances_train2017.json').read_text())
    chosen = [each for each in content['annotations'] if not each['iscrowd']][3:9]
    for annotation in content['annotations']:
        if annotation not in chosen:
            annotation.pop('segmentation')
    (tmp_path / 'few.json').write_text(json.dumps(content))
    dataset = build(folder, str(tmp_path / 'few.json'), require_masks=True)
    assert set(ids(dataset)) == {each['image_id'] for each in chosen}
    found = [
        each for position in range(len(dataset)) for each in dataset.get_data_info(position)['instances']
    ]
    assert len(found) == 6 and all('has_mask' not in each for each in found)
    for annotation in chosen:
        del annotation['segmentation']
    (tmp_path / 'none.json').write_text(json.dumps(content))
    with pytest.raises(UserInputError, match='no images with objects with a mask'):
        build(folder, str(tmp_path / 'none.json'), require_masks=True)
