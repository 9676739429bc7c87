"""Samples of masks (how many, nested, withheld for good, a function of the seed), and mixed sets."""

import copy
import json

import pytest

from mmrefseg.datasets.converters import mix_datasets, sample_coco_masks, sample_masks
from mmrefseg.utils import UserInputError


def make_records(count, per_image=3):
    return [
        {
            'image_id': index // per_image,
            'ref_id': index,
            'bbox': [index % per_image, 1, 5, 5],
            'mask': [[float(index), 1000.5, 2, 3, 4, 5]],
            'area': 1000.5,
            'mask_source': 'human',
            'expressions': ['x'],
        }
        for index in range(count)
    ]


def kept(records):
    return {record['ref_id'] for record in records if 'mask' in record}


@pytest.mark.parametrize('count', [1, 3, 10, 49, 50, 150, 999, 1000])
def test_how_many_keep_their_mask(count):
    samples = sample_masks(make_records(count), [1, 5, 10, 100], seed=0)
    for ratio, records in samples.items():
        assert len(records) == count
        assert len(kept(records)) == max(1, round(ratio * count / 100))


def test_none_keeps_its_mask():
    samples = sample_masks(make_records(10), [1], seed=0, with_empty=True)
    assert [len(kept(records)) for records in samples.values()] == [0, 1]
    assert '1000.5' not in json.dumps(samples[0])


def test_samples_are_nested_ordered_and_physically_without_masks():
    records = make_records(1000)
    before = copy.deepcopy(records)
    samples = sample_masks(records, [10, 1, 5], seed=3)
    assert kept(samples[1]) < kept(samples[5]) < kept(samples[10])
    assert records == before
    for sample in samples.values():
        assert [r['ref_id'] for r in sample] == list(range(1000))
        for record, full in zip(sample, before, strict=True):
            boxes = {key: full[key] for key in ('image_id', 'ref_id', 'bbox', 'expressions')}
            assert record == (full if 'mask' in record else boxes)
        assert json.dumps(sample).count('1000.5') == 2 * len(kept(sample))


def test_the_seed_decides():
    records = make_records(1000)
    drawn = [kept(sample_masks(records, [5], seed)[5]) for seed in range(20)]
    assert kept(sample_masks(records, [5, 10], 7)[5]) == drawn[7]
    assert len({frozenset(each) for each in drawn}) == 20
    # Every object has the same chance: over 200 seeds, 5 % of 1000 means 10 times each.
    times = [0] * 1000
    for seed in range(200):
        for ref_id in kept(sample_masks(records, [5], seed)[5]):
            times[ref_id] += 1
    assert sum(times) == 200 * 50 and max(times) < 30 and sum(t == 0 for t in times) < 5
    assert abs(sum(times[:500]) - 5000) < 300


def test_the_order_of_the_file_does_not_matter():
    records = make_records(100)
    assert kept(sample_masks(records, [10], 0)[10]) == kept(sample_masks(records[::-1], [10], 0)[10])


def test_two_refs_of_one_annotation_stay_together():
    records = make_records(100)
    twins = [{**record, 'ref_id': 1000 + record['ref_id']} for record in records]
    for seed in range(5):
        sample = sample_masks(records + twins, [5.5], seed)[5.5]
        ids = kept(sample)
        assert {ref_id % 1000 for ref_id in ids} == {ref_id - 1000 for ref_id in ids if ref_id >= 1000}
        assert len(ids) == 12
        withheld = [json.dumps(r['mask']) for r in records if r['ref_id'] not in ids]
        text = json.dumps(sample)
        assert len(withheld) == 94 and not any(mask in text for mask in withheld)


def test_by_image():
    records = make_records(300)
    samples = sample_masks(records, [1, 10], 0, 'image')
    for ratio, images in ((1, 1), (10, 10)):
        ids = kept(samples[ratio])
        assert len({i // 3 for i in ids}) == images and len(ids) == 3 * images
    assert kept(samples[1]) < kept(samples[10])


def test_objects_without_a_mask_in_the_source():
    records = make_records(100)
    for record in records[10:]:
        del record['mask']
    assert kept(sample_masks(records, [5], 0)[5]) <= set(range(10))
    with pytest.raises(UserInputError, match=r'found 10 objects with masks, expected 20 \(20 % of 100\)'):
        sample_masks(records, [20], 0)


@pytest.mark.parametrize(
    'arguments',
    [
        ([0], 'object'),
        ([101], 'object'),
        ([-1], 'object'),
        ([float('nan')], 'object'),
        ([5], 'sentence'),
    ],
)
def test_wrong_arguments(arguments):
    with pytest.raises(UserInputError):
        sample_masks(make_records(10), arguments[0], 0, arguments[1])


def test_mixing_leaves_out_what_any_set_tests_on():
    def records(name, images):
        return [
            {'image_id': image, 'ref_id': number, 'expressions': ['a', 'b'], 'sent_ids': [7, 9], 'name': name}
            for number, image in enumerate(images)
        ]

    datasets = {
        'refcoco-unc': {'train': records('rt', [1, 2, 3]), 'val': records('rv', [4])},
        'refcocog-umd': {'train': records('gt', [4, 5, 2]), 'val': records('gv', [3])},
        'flickr30k': {'train': records('ft', [3, 4]), 'test': records('fe', [1])},
    }
    mixed, dropped = mix_datasets(datasets)
    assert dropped == {'refcoco-unc': 1, 'refcocog-umd': 1, 'flickr30k': 0}
    train = mixed['train']
    assert [(r['name'], r['image_id']) for r in train] == [
        ('rt', 1),
        ('rt', 2),
        ('gt', 5),
        ('gt', 2),
        ('ft', 3),
        ('ft', 4),
    ]
    assert [r['ref_id'] for r in train] == list(range(6))
    assert [i for r in train for i in r['sent_ids']] == list(range(12))
    assert (train[3]['source_dataset'], train[3]['source_ref_id']) == ('refcocog-umd', 2)
    assert [r['data_source'] for r in train] == ['coco'] * 4 + ['flickr'] * 2
    assert set(mixed) == {'train', 'val_refcoco_unc', 'val_refcocog_umd', 'test_flickr30k'}
    assert mixed['val_refcocog_umd'][0]['ref_id'] == 0


def make_annotations(count, per_image=3):
    return [
        {
            'id': index,
            'image_id': index // per_image,
            'category_id': 1,
            'bbox': [index % per_image, 1.0, 5, 4],
            'segmentation': [[float(index), 1000.5, 2, 3, 4, 5]],
            'area': 1000.5,
            'iscrowd': 0,
        }
        for index in range(count)
    ]


@pytest.mark.parametrize('unit', ['object', 'image'])
def test_coco_samples_are_nested_ordered_and_physically_without_masks(unit):
    annotations = make_annotations(300)
    crowd = {**annotations[0], 'id': 300, 'iscrowd': 1, 'segmentation': {'size': [9, 9], 'counts': [81]}}
    before = copy.deepcopy([*annotations, crowd])
    samples = sample_coco_masks([*annotations, crowd], [10, 1, 5], 3, unit)
    assert [*annotations, crowd] == before
    kept = {r: {a['id'] for a in each if 'segmentation' in a} - {300} for r, each in samples.items()}
    assert kept[1] < kept[5] < kept[10]
    for ratio, sample in samples.items():
        assert len(kept[ratio]) == 3 * ratio  # of images, all three of their objects
        assert len({i // 3 for i in kept[ratio]}) == ratio or unit == 'object'
        assert sample[-1] == crowd, 'a crowd is no object'
        for annotation, full in zip(sample[:-1], before, strict=False):
            boxed = {key: value for key, value in full.items() if key != 'segmentation'} | {'area': 20.0}
            assert annotation == (full if full['id'] in kept[ratio] else boxed)
    assert samples == sample_coco_masks([*annotations, crowd], [10, 1, 5], 3, unit)
    assert samples != sample_coco_masks([*annotations, crowd], [10, 1, 5], 4, unit)


def test_coco_sample_of_what_has_masks():
    """Shares are of all objects; those without a mask are never drawn."""
    annotations = make_annotations(100)
    for annotation, nothing in zip(annotations[10:], [None, [], {}] * 30, strict=True):
        annotation['segmentation'] = nothing
    sample = sample_coco_masks(annotations, [5], 0)[5]
    assert sum('segmentation' in each for each in sample) == 5
    assert {each['id'] for each in sample if 'segmentation' in each} < set(range(10))
    with pytest.raises(UserInputError, match='found 10 objects with masks, expected 20'):
        sample_coco_masks(annotations, [20], 0)


@pytest.mark.parametrize(
    'broken',
    [{'bbox': None}, {'bbox': [1, 2, 3]}, {'bbox': [1, 2, '3', 4]}, {'image_id': None}, {'image_id': [1]}],
)
def test_coco_annotation_without_box_or_image(broken):
    annotations = make_annotations(20)
    annotations[7] |= broken
    with pytest.raises(
        UserInputError, match=r"a\.json: found the annotation \{'id': 7, .*expected image_id and"
    ):
        sample_coco_masks(annotations, [5], 0, where='a.json')
    for wrong in (None, {'1': {}}, ['text']):
        with pytest.raises(UserInputError, match=r'a\.json: found'):
            sample_coco_masks(wrong, [5], 0, where='a.json')
