"""Instances from a COCO file: the held-out part, classes by name, and what is said about wrong input."""

import json

import pytest
from mmdet.datasets import CocoDataset

from mmrefseg.datasets.coco_instance_dataset import CocoInstanceDataset
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
