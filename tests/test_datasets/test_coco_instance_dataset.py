"""Instances from a COCO file: the held-out part, classes by name, and what is said about wrong input."""

import json

import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from mmengine.dataset import Compose

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
    with pytest.raises(UserInputError, match=f'{names[1]}: found a file that is not an image'):
        dataset[1]
    with pytest.raises(UserInputError, match=f'{names[2]}: found no such file'):
        dataset[2]


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
