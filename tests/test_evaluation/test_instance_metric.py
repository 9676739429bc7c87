"""AP of instances against mmdet's and pycocotools' own numbers, whatever a sampler pads and a file omits."""

import json

import numpy as np
import pytest
import torch
from coco_files import HEIGHT, WIDTH, changed, rle_of, sound_file
from mmdet.evaluation import CocoMetric
from mmengine.logging import MMLogger
from pycocotools import mask as coco_mask
from rich.console import Console

from mmrefseg.evaluation.functional.instances import COLUMNS, average_precision
from mmrefseg.evaluation.metrics.instance_metric import InstanceMetric
from mmrefseg.evaluation.tables import precision_tables
from mmrefseg.structures.masks import to_bitmap
from mmrefseg.utils import UserInputError, plain_console


@pytest.fixture(scope='module')
def ann_file(test_data):
    return str(test_data / 'tiny_coco/annotations/instances_val2017.json')


@pytest.fixture(scope='module')
def truth(ann_file):
    with open(ann_file) as file:
        return json.load(file)


@pytest.fixture(scope='module')
def classes(truth):
    return tuple(category['name'] for category in truth['categories'])


@pytest.fixture(scope='module')
def samples(truth, classes):
    """One prediction per image: true boxes and masks, moved a little; some of another class, some missing."""
    rng = np.random.default_rng(0)
    labels = {category['id']: place for place, category in enumerate(truth['categories'])}
    samples = []
    for image in truth['images'][:15]:
        height, width = image['height'], image['width']
        boxes, masks, found = [], [], []
        for annotation in truth['annotations']:
            if annotation['image_id'] != image['id'] or annotation['iscrowd'] or rng.random() < 0.1:
                continue
            mask = coco_mask.decode(
                coco_mask.merge(coco_mask.frPyObjects(annotation['segmentation'], height, width))
            )
            masks.append(np.roll(mask, rng.integers(-4, 5, 2), (0, 1)).astype(bool))
            x, y, w, h = np.array(annotation['bbox']) + rng.normal(0, 3, 4)
            boxes.append([x, y, x + max(w, 1), y + max(h, 1)])
            right = rng.random() < 0.8
            found.append(labels[annotation['category_id']] if right else rng.integers(len(classes)))
        scores = np.round(rng.random(len(found)), 1)  # many are equal
        predicted = dict(
            bboxes=torch.tensor(boxes).reshape(-1, 4).float(),
            scores=torch.tensor(scores).float(),
            labels=torch.tensor(found).long(),
            masks=torch.from_numpy(np.array(masks).reshape(-1, height, width)),
        )
        samples.append(dict(img_id=image['id'], ori_shape=(height, width), pred_instances=predicted))
    return samples


def evaluate(metric, samples, classes):
    metric.dataset_meta = dict(classes=classes)
    for sample in samples:
        metric.process({}, [sample])
    return metric.evaluate(len(samples))


@pytest.fixture(scope='module')
def numbers(ann_file, samples, classes):
    return evaluate(InstanceMetric(ann_file, classwise=True), samples, classes)


def test_equals_mmdet(truth, samples, classes, numbers, tmp_path):
    """To mmdet's three digits, on a file that has the tested images only."""
    tested = {sample['img_id'] for sample in samples}
    part = {**truth, 'images': [image for image in truth['images'] if image['id'] in tested]}
    part['annotations'] = [a for a in truth['annotations'] if a['image_id'] in tested]
    (tmp_path / 'part.json').write_text(json.dumps(part))
    theirs = evaluate(CocoMetric(str(tmp_path / 'part.json'), metric=['bbox', 'segm']), samples, classes)
    assert len(theirs) == 12
    for key, value in theirs.items():
        assert numbers[key] == pytest.approx(value, abs=5.1e-4), key
    assert 0.05 < numbers['coco/segm_mAP'] < numbers['coco/segm_mAP_50'] < 1
    assert numbers['coco/bbox_mAP'] != numbers['coco/segm_mAP']


def test_backends_are_equal_to_the_last_digit(ann_file, samples, classes, numbers):
    pytest.importorskip('faster_coco_eval')
    metric = InstanceMetric(ann_file, classwise=True, backend='faster-coco-eval')
    assert evaluate(metric, samples, classes) == numbers


def test_repeated_samples_count_once(ann_file, samples, classes, numbers):
    shuffled = [samples[3], *reversed(samples), samples[0]]
    assert evaluate(InstanceMetric(ann_file, classwise=True), shuffled, classes) == numbers


def test_classes_by_name(truth, samples, classes, numbers, tmp_path):
    """The order of the categories in the file does not matter."""
    turned = {**truth, 'categories': truth['categories'][::-1]}
    (tmp_path / 'turned.json').write_text(json.dumps(turned))
    metric = InstanceMetric(str(tmp_path / 'turned.json'), classwise=True)
    assert evaluate(metric, samples, classes) == numbers


def test_mean_of_the_classes(numbers, classes):
    """AP is the mean over the classes that have ground truth."""
    for kind in ('bbox', 'segm'):
        values = [numbers[f'coco/{kind}_{name}_mAP'] for name in classes]
        present = [value for value in values if value >= 0]
        assert 5 < len(present) < len(classes)
        assert np.mean(present) == pytest.approx(numbers[f'coco/{kind}_mAP'], abs=1e-12)


def test_nothing_found(truth):
    for kind in ('bbox', 'segm'):
        result = average_precision(truth, [], kind)
        assert list(result.columns) == list(COLUMNS)
        assert set(result.columns.values()) == {0.0}
        assert set(result.per_category.values()) == {0.0, -1.0}


def test_perfect(truth):
    """Ground truth as detections: 1 everywhere; crowds are no one's fault."""
    detections = [{**a, 'score': 0.5} for a in truth['annotations'] if not a['iscrowd']]
    assert set(average_precision(truth, detections, 'bbox').columns.values()) == {1.0}


def test_files(ann_file, samples, classes, tmp_path):
    """format_only writes both files and computes nothing; repeated images are written once."""
    prefix = tmp_path / 'folder' / '007'
    metric = InstanceMetric(ann_file, format_only=True, outfile_prefix=str(prefix))
    assert evaluate(metric, [*samples, samples[0]], classes) == {}
    boxes, masks = (json.loads((prefix.parent / f'007.{kind}.json').read_text()) for kind in ('bbox', 'segm'))
    assert len(boxes) == len(masks) == sum(len(s['pred_instances']['scores']) for s in samples)
    assert list(masks[0]) == ['image_id', 'bbox', 'score', 'category_id', 'segmentation']
    assert 'segmentation' not in boxes[0]
    order = [(line['image_id'], -line['score']) for line in masks]
    assert order == sorted(order)


def test_tables(numbers):
    columns, per_class = precision_tables({key.removeprefix('coco/'): v for key, v in numbers.items()})
    console = Console(width=120, record=True, file=open('/dev/null', 'w'))  # noqa: SIM115
    console.print(columns)
    console.print(per_class)
    text = console.export_text()
    for heading in ('AP50', 'AP75', 'APs', 'APm', 'APl', 'bbox', 'segm'):
        assert heading in text
    assert f'{100 * numbers["coco/segm_mAP"]:.3f}' in text
    assert 'person' in text and ' - ' in text, 'a class without ground truth'
    assert precision_tables({'miou': 3.0}) == []


def test_wrong_input(ann_file, samples, classes, tmp_path):
    with pytest.raises(UserInputError, match='outfile_prefix'):
        InstanceMetric(ann_file, format_only=True)
    with pytest.raises(UserInputError, match=r"metric='mask'.*bbox or segm"):
        InstanceMetric(ann_file, metric='mask')
    with pytest.raises(UserInputError, match=r"'box'.*some of image_id"):
        InstanceMetric(ann_file, submission_keys='image_id,box')
    with pytest.raises(UserInputError, match='pycocotools or faster-coco-eval'):
        evaluate(InstanceMetric(ann_file, backend='coco'), samples, classes)
    with pytest.raises(UserInputError, match="no category 'unicorn'"):
        evaluate(InstanceMetric(ann_file), samples, ('unicorn',))
    with pytest.raises(UserInputError, match=r'a prediction of class [1-9].*the 1 classes.*num_classes'):
        evaluate(InstanceMetric(ann_file), samples, classes[:1])
    (tmp_path / 'test.json').write_text(json.dumps({'images': [], 'categories': []}))
    with pytest.raises(UserInputError, match=r"no 'annotations'.*--format-only"):
        InstanceMetric(str(tmp_path / 'test.json'))
    boxes_only = [{**samples[0], 'pred_instances': {**samples[0]['pred_instances']}}]
    del boxes_only[0]['pred_instances']['masks']
    with pytest.raises(UserInputError, match="set metric='bbox'"):
        evaluate(InstanceMetric(ann_file), boxes_only, classes)


def perfect(content, tmp_path, shape=(HEIGHT, WIDTH), **settings):
    """The numbers of a file whose objects are the sound one's, for predictions that are these objects."""
    (tmp_path / 'mine.json').write_text(json.dumps(content))
    metric = InstanceMetric(str(tmp_path / 'mine.json'), **settings)
    samples = []
    for number, image in enumerate(content['images'], 1):
        objects = [a for a in sound_file()['annotations'] if a['image_id'] == number]
        masks = np.array([to_bitmap(a['segmentation'], HEIGHT, WIDTH) for a in objects])
        boxes = [[x, y, x + w, y + h] for x, y, w, h in (a['bbox'] for a in objects)]
        found = dict(
            bboxes=torch.tensor(boxes).float(),
            scores=torch.tensor([0.9, 0.8]),
            labels=torch.tensor([0, 1]),
            masks=torch.from_numpy(masks),
        )
        samples.append(dict(img_id=image['id'], ori_shape=shape, pred_instances=found))
    return evaluate(metric, samples, ('bolt', 'nut'))


def with_ids(images=lambda id_: id_, categories=lambda id_: id_, annotations=lambda id_: id_):
    content = sound_file()
    for image in content['images']:
        image['id'] = images(image['id'])
    for category in content['categories']:
        category['id'] = categories(category['id'])
    for a in content['annotations']:
        a.update(
            id=annotations(a['id']), image_id=images(a['image_id']), category_id=categories(a['category_id'])
        )
    return content


IDS = {
    'from 0': lambda id_: id_ - 1,
    'negative': lambda id_: -id_,
    'text': lambda id_: f'IMG_{id_:05}',
    'digits': str,
    'huge': lambda id_: 10**30 + id_,
    'mixed': lambda id_: id_ if id_ % 2 else f'x{id_}',
}
BACKENDS = ['pycocotools', 'faster-coco-eval']


@pytest.mark.parametrize('of', ['annotations', 'images', 'categories'])
@pytest.mark.parametrize('kind', IDS)
def test_perfect_whatever_the_ids(kind, of, tmp_path):
    numbers = perfect(with_ids(**{of: IDS[kind]}), tmp_path)
    assert numbers['coco/bbox_mAP'] == numbers['coco/segm_mAP'] == 1.0
    assert numbers['coco/segm_mAP_m'] == 1.0


@pytest.mark.parametrize('backend', BACKENDS)
def test_perfect_with_repeated_ids_and_with_none(backend, tmp_path):
    for ids in (lambda id_: id_ // 3, lambda _: None):
        numbers = perfect(with_ids(annotations=ids), tmp_path, backend=backend)
        assert numbers['coco/bbox_mAP'] == numbers['coco/segm_mAP'] == 1.0


def test_result_files_have_the_ids_of_the_file(tmp_path):
    content = with_ids(images=lambda id_: f'IMG_{id_}', categories=lambda id_: f'kind {id_}')
    perfect(content, tmp_path, outfile_prefix=str(tmp_path / 'out'))
    lines = json.loads((tmp_path / 'out.segm.json').read_text())
    assert [line['image_id'] for line in lines] == [f'IMG_{1 + k // 2}' for k in range(8)]
    assert {line['category_id'] for line in lines} == {'kind 1', 'kind 2'}


PEOPLES = {
    'no area': lambda a: a.pop('area'),
    'no iscrowd': lambda a: a.pop('iscrowd'),
    'no box': lambda a: a.pop('bbox'),
    'corners': lambda a: a.update(bbox=[a['bbox'][0], a['bbox'][1], a['bbox'][0] + 40, a['bbox'][1] + 44]),
    'an area of megapixels': lambda a: a.update(area=1e300),
    'a size of text': lambda a: a.update(segmentation={**rle_of(a), 'size': [str(HEIGHT), str(WIDTH)]}),
    'flat polygon': lambda a: a.update(segmentation=a['segmentation'][0]),
    'two names': lambda a: a.update(
        category_id=3 if a['category_id'] == 2 and a['image_id'] > 2 else a['category_id']
    ),
}


@pytest.mark.parametrize('kind', PEOPLES)
def test_perfect_whatever_was_mended(kind, tmp_path):
    content = changed(PEOPLES[kind])
    content['categories'].append({'id': 3, 'name': 'nut'})
    numbers = perfect(content, tmp_path)
    assert numbers['coco/bbox_mAP'] == numbers['coco/segm_mAP'] == 1.0


@pytest.mark.parametrize('size', [(None, None), (WIDTH, HEIGHT), (HEIGHT // 2, WIDTH // 2)])
def test_sizes_are_those_that_were_tested(size, tmp_path):
    content = changed(lambda image: image.update(height=size[0], width=size[1]), 'images')
    numbers = perfect(content, tmp_path)
    assert numbers['coco/bbox_mAP'] == numbers['coco/segm_mAP'] == 1.0


@pytest.mark.parametrize('backend', BACKENDS)
def test_objects_without_a_mask_are_neither_found_nor_missed(backend, tmp_path):
    """Their boxes count for boxes; for masks, what lies in them does not."""
    content = sound_file()
    content['annotations'][1]['segmentation'] = []
    content['annotations'][4]['segmentation'] = [[1, 1, 2, 2]]
    numbers = perfect(content, tmp_path, backend=backend)
    assert numbers['coco/bbox_mAP'] == numbers['coco/segm_mAP'] == 1.0
    with pytest.raises(UserInputError, match=r"no object with a mask, expected masks.*metric='bbox'"):
        perfect(changed(lambda a: a.update(segmentation=[])), tmp_path)
    boxes = perfect(changed(lambda a: a.update(segmentation=[])), tmp_path, metric='bbox')
    assert boxes['coco/bbox_mAP'] == 1.0


def test_nothing_to_score(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(MMLogger, 'warning', lambda _, sentence: said.append(sentence))
    assert perfect(changed(lambda a: a.update(iscrowd=1)), tmp_path)['coco/segm_mAP'] == -1.0
    assert 'nothing to score: 8 of 8 objects unusable: 8 marked iscrowd' in said[0]
    with pytest.raises(UserInputError, match='8 of 8 objects unusable: 8 whose image_id no image has'):
        perfect(changed(lambda a: a.update(image_id=9)), tmp_path)


def test_classes_are_printed_as_they_are_called(capsys):
    """rich would read [/red] as markup, and :cat: as an emoji."""
    names = ['[/red]', '[bold]x', ':cat:', 'café']
    table = precision_tables({'segm_mAP': 0.5, **{f'segm_{name}_mAP': 0.25 for name in names}})[1]
    plain_console().print(table)
    printed = capsys.readouterr().out
    assert all(name in printed for name in names) and printed.count('25.000') == 4
