"""Samples, epochs, workers, mixed sources and what can be left out."""

import copy
import json

import numpy as np
import pytest
from mmdet.registry import DATASETS
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from mmrefseg.datasets.predicted_pairs import NothingLeft
from mmrefseg.datasets.ref_seg_dataset import RefSegDataset
from mmrefseg.utils import UserInputError, load_json

BOX = {'height': 48, 'width': 64, 'bbox': [10, 10, 20, 20], 'category_id': 2}
MASK = [[10, 10, 30, 10, 30, 30, 10, 30]]


def make_objects(first, images, per_image, sentences):
    """Objects with 1..sentences expressions; every third has a mask."""
    objects = []
    for index in range(images * per_image):
        number = first + index
        count = 1 + index % sentences
        record = {**BOX, 'image_id': first + index // per_image, 'ref_id': number}
        record['expressions'] = [f'object {number} sentence {k}' for k in range(count)]
        record['sent_ids'] = [10 * number + k for k in range(count)]
        if index % 3 == 0:
            record['mask'] = copy.deepcopy(MASK)
        objects.append(record)
    return objects


@pytest.fixture
def ann_file(tmp_path):
    path = tmp_path / 'instances.json'
    splits = {'train': make_objects(0, 6, 4, 5), 'val': make_objects(100, 3, 3, 3)}
    path.write_text(json.dumps(splits))
    return str(path)


class Draw:
    """Stands for the transform that draws: one sentence and one number per sample."""

    def __call__(self, results):
        rng = results['rng']
        sentences = [rng.choice(instance['expressions']) for instance in results['instances']]
        return {'sample': results['sample_idx'], 'sentences': sentences, 'number': rng.random()}


def test_it_is_registered(ann_file):
    dataset = DATASETS.build({'type': 'RefSegDataset', 'ann_file': ann_file, 'metainfo': {'classes': ['x']}})
    assert isinstance(dataset, RefSegDataset)
    assert dataset.metainfo['dataset_type'] == 'referring' and dataset.metainfo['classes'] == ['x']


def test_training_sample_of_an_object(ann_file):
    dataset = RefSegDataset(ann_file, data_prefix={'img_path': 'images'}, data_root='')
    assert len(dataset) == 24
    results = dataset.get_data_info(9)
    rng = results.pop('rng')
    assert 0 <= rng.random() < 1
    expected = load_json(ann_file)['train'][9]
    path = 'images/COCO_train2014_000000000002.jpg'
    assert results == {
        'img_path': path,
        'img_id': 2,
        'height': 48,
        'width': 64,
        'split': 'train',
        'sample_idx': 9,
        'instances': [{**expected, 'img_path': path}],
    }
    assert len(results['instances'][0]['expressions']) == 5
    assert dataset.get_cat_ids(9) == [2]


@pytest.mark.parametrize('group_by', ['object', 'expression', 'image'])
@pytest.mark.parametrize('max_pairs', [None, 2])
def test_testing_sees_every_expression_once(ann_file, group_by, max_pairs):
    dataset = RefSegDataset(ann_file, 'val', group_by=group_by, max_pairs=max_pairs, test_mode=True)
    samples = [dataset.get_data_info(index) for index in range(len(dataset))]
    seen = [
        (instance['ref_id'], *instance['sent_ids'], *instance['expressions'])
        for sample in samples
        for instance in sample['instances']
    ]
    expected = [
        (record['ref_id'], sent_id, text)
        for record in load_json(ann_file)['val']
        for sent_id, text in zip(record['sent_ids'], record['expressions'], strict=True)
    ]
    assert seen == expected and len(expected) == 18
    sizes = [len(sample['instances']) for sample in samples]
    assert max(sizes) <= (max_pairs or 99)
    groups = {'object': [1, 2, 3] * 3, 'expression': [1] * 18, 'image': [6, 6, 6]}[group_by]
    if max_pairs is None:
        assert sizes == groups
    else:
        assert len(sizes) == sum(-(-size // 2) for size in groups)
    for sample in samples:
        assert {instance['image_id'] for instance in sample['instances']} == {sample['img_id']}


def test_training_groups(ann_file):
    by_image = RefSegDataset(ann_file, group_by='image')
    sample = by_image.get_data_info(1)
    assert len(by_image) == 6 and [instance['ref_id'] for instance in sample['instances']] == [4, 5, 6, 7]
    assert [len(instance['expressions']) for instance in sample['instances']] == [5, 1, 2, 3]
    chunks = RefSegDataset(ann_file, group_by='image', max_pairs=3)
    assert [len(chunks.get_data_info(i)['instances']) for i in range(2)] == [2, 2] and len(chunks) == 12
    by_expression = RefSegDataset(ann_file, group_by='expression')
    assert len(by_expression) == sum(1 + index % 5 for index in range(24))
    assert len(by_expression.get_data_info(2)['instances'][0]['expressions']) == 1


def draw_epochs(dataset, workers, epochs=3):
    loader = DataLoader(
        dataset,
        batch_size=4,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=pseudo_collate,
        multiprocessing_context='fork' if workers else None,
    )
    drawn = []
    for epoch in range(epochs):
        dataset.set_epoch(epoch)
        batches = list(loader)
        drawn.append(
            [
                (int(sample), number, *sentences)
                for batch in batches
                for sample, number, sentences in zip(
                    batch['sample'], batch['number'], zip(*batch['sentences'], strict=True), strict=True
                )
            ]
        )
    return drawn


def test_what_is_drawn_depends_on_seed_epoch_and_sample_only(ann_file):
    alone = draw_epochs(RefSegDataset(ann_file, pipeline=[Draw()]), 0)
    assert [len(epoch) for epoch in alone] == [24] * 3
    changed = [sum(a != b for a, b in zip(alone[0], alone[k], strict=True)) for k in (1, 2)]
    assert min(changed) > 20
    sentences = {index: {epoch[index][2] for epoch in alone} for index in range(24)}
    assert sum(len(texts) > 1 for texts in sentences.values()) > 10
    for workers in (1, 2):
        assert draw_epochs(RefSegDataset(ann_file, pipeline=[Draw()]), workers) == alone
    assert draw_epochs(RefSegDataset(ann_file, pipeline=[Draw()], seed=1), 0) != alone


def test_every_expression_is_drawn_about_equally_often(ann_file):
    dataset = RefSegDataset(ann_file, pipeline=[Draw()])
    drawn = []
    for epoch in range(500):
        dataset.set_epoch(epoch)
        drawn += dataset[4]['sentences']
    _, counts = np.unique(drawn, return_counts=True)
    assert len(counts) == 5 and counts.min() > 60 and counts.max() < 140


def test_a_subset_keeps_its_own_epoch(ann_file):
    dataset = RefSegDataset(ann_file)
    dataset.set_epoch(4)
    subset = dataset.get_subset([5, 7])
    subset.set_epoch(9)
    assert (dataset.epoch, subset.epoch, len(subset)) == (4, 9, 2)
    assert subset.get_data_info(1)['instances'][0]['ref_id'] == 7
    assert subset._records is dataset._records


def test_training_on_the_objects_with_a_mask(ann_file):
    dataset = RefSegDataset(ann_file, require_masks=True)
    ids = [dataset.get_data_info(index)['instances'][0]['ref_id'] for index in range(len(dataset))]
    assert ids == list(range(0, 24, 3))


def test_sources_of_a_mixed_set(tmp_path):
    sources = {'coco': 4, 'flickr': 5, 'saiaprtc12': 6, None: 7}
    records = [
        {**BOX, 'image_id': number, 'expressions': ['x']} | ({'data_source': name} if name else {})
        for name, number in sources.items()
    ]
    records.append(
        {**BOX, 'image_id': 8, 'expressions': ['x'], 'file_name': 'd/e.png', 'data_source': 'coco'}
    )
    path = tmp_path / 'mixed.json'
    path.write_text(json.dumps({'train': records[:3] + records[4:], 'none': records}))
    folders = {'coco': 'mscoco', 'flickr': '/f30k', 'saiaprtc12': 's'}
    dataset = RefSegDataset('mixed.json', data_root=str(tmp_path), data_prefix={'img_path': folders})
    assert [dataset.get_data_info(index)['img_path'] for index in range(4)] == [
        f'{tmp_path}/mscoco/COCO_train2014_000000000004.jpg',
        '/f30k/5.jpg',
        f'{tmp_path}/s/6.jpg',
        f'{tmp_path}/mscoco/d/e.png',
    ]
    with pytest.raises(UserInputError, match='data_source None'):
        RefSegDataset(str(path), 'none', data_prefix={'img_path': folders})
    with pytest.raises(UserInputError, match='img_template'):
        RefSegDataset(str(path), data_prefix={'img_path': folders}, img_template='{:d}-{:d}.jpg')
    plain = RefSegDataset(str(path), data_prefix={'img_path': 'all'}, img_template='{}.png')
    assert plain.get_data_info(0)['img_path'] == 'all/4.png'


def test_test_images_of_other_sets_are_left_out(ann_file, tmp_path):
    other = tmp_path / 'other.json'
    other.write_text(
        json.dumps(
            {
                'train': [{**BOX, 'image_id': 0, 'expressions': ['x']}],
                'val': [{**BOX, 'image_id': 1, 'expressions': ['x']}],
                'test': [{**BOX, 'image_id': 3, 'expressions': ['x'], 'data_source': 'coco'}],
            }
        )
    )

    def images(*sources):
        dataset = RefSegDataset(ann_file, group_by='image', exclude_images_of=sources)
        return [dataset.get_data_info(index)['img_id'] for index in range(len(dataset))]

    assert images() == [0, 1, 2, 3, 4, 5]
    assert images(str(other)) == [0, 2, 4, 5]
    assert images({'ann_file': str(other), 'splits': ['val']}) == [0, 2, 3, 4, 5]
    relative = RefSegDataset('instances.json', data_root=str(tmp_path), exclude_images_of=['other.json'])
    assert len(relative) == 16
    with pytest.raises(UserInputError, match="no split 'testB'"):
        images({'ann_file': str(other), 'splits': ['testB']})
    with pytest.raises(UserInputError, match='only images'):
        images({'ann_file': ann_file, 'splits': ['train']})


def test_images_of_another_source_may_have_the_same_number(tmp_path):
    path = tmp_path / 'a.json'
    records = [{**BOX, 'image_id': 1, 'expressions': ['x'], 'data_source': name} for name in ('coco', 'vg')]
    path.write_text(json.dumps({'train': records, 'val': records[:1]}))
    dataset = RefSegDataset(str(path), data_prefix={'img_path': 'x'}, exclude_images_of=[str(path)])
    assert [dataset.get_data_info(i)['instances'][0]['data_source'] for i in range(len(dataset))] == ['vg']


def test_a_stopped_prediction_goes_on(ann_file, tmp_path):
    lines = [json.dumps({'ref_id': 101, 'sent_id': 1010}), json.dumps({'ref_id': 100, 'sent_id': 1000})]
    (tmp_path / 'p.rank0.jsonl').write_text('\n'.join(lines) + '\n')
    (tmp_path / 'p.rank1.jsonl').write_text(json.dumps({'ref_id': 102, 'sent_id': 1021}) + '\n{"ref_id": 10')
    pattern = str(tmp_path / 'p.rank*.jsonl')
    for group_by in ('expression', 'object', 'image'):
        dataset = RefSegDataset(ann_file, 'val', group_by=group_by, test_mode=True, skip_predicted=pattern)
        pairs = [
            (instance['ref_id'], *instance['sent_ids'], *instance['expressions'])
            for index in range(len(dataset))
            for instance in dataset.get_data_info(index)['instances']
        ]
        assert len(pairs) == 18 - 3 and pairs[:3] == [
            (101, 1011, 'object 101 sentence 1'),
            (102, 1020, 'object 102 sentence 0'),
            (102, 1022, 'object 102 sentence 2'),
        ]
    assert len(RefSegDataset(ann_file, 'val', test_mode=True, skip_predicted='/nowhere*.jsonl')) == 18
    (tmp_path / 'p.rank2.jsonl').write_text('half a line\n' + lines[0])
    with pytest.raises(UserInputError, match=r'p\.rank2\.jsonl line 1: found text'):
        RefSegDataset(ann_file, 'val', test_mode=True, skip_predicted=pattern)


def test_nothing_is_left_to_predict(ann_file, tmp_path):
    shard = tmp_path / 'all [1].jsonl'
    records = load_json(ann_file)['val']
    pairs = [{'ref_id': r['ref_id'], 'sent_id': sent_id} for r in records for sent_id in r['sent_ids']]
    shard.write_text(''.join(f'{json.dumps(pair)}\n' for pair in pairs))
    with pytest.raises(NothingLeft):
        RefSegDataset(ann_file, 'val', test_mode=True, skip_predicted=[str(shard)])


def test_expressions_without_target_are_left_out(tmp_path):
    path = tmp_path / 'g.json'
    nothing = {**BOX, 'image_id': 2, 'expressions': ['nothing'], 'no_target': True, 'bbox': [0, 0, 0, 0]}
    path.write_text(
        json.dumps({'train': [{**BOX, 'image_id': 1, 'expressions': ['x']}, nothing], 'val': [nothing]})
    )
    assert len(RefSegDataset(str(path))) == 1
    with pytest.raises(UserInputError, match='only expressions without target'):
        RefSegDataset(str(path), 'val')


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ({'group_by': 'sentence'}, "group_by='sentence'"),
        ({'max_pairs': 0}, 'max_pairs=0'),
        ({'skip_predicted': 'x'}, 'skip_predicted in training'),
        ({'split': 'testB'}, "no split 'testB'"),
    ],
)
def test_wrong_arguments(ann_file, arguments, words):
    with pytest.raises(UserInputError, match=words):
        RefSegDataset(ann_file, **arguments)


def test_no_object_has_a_mask(tmp_path):
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps({'train': [{**BOX, 'image_id': 1, 'expressions': ['x']}]}))
    assert 'mask' not in RefSegDataset(str(path)).get_data_info(0)['instances'][0]
    with pytest.raises(UserInputError, match='no object with a mask'):
        RefSegDataset(str(path), require_masks=True)


def test_the_real_sentences(test_data):
    folder = test_data / 'mini_refcoco'
    total = 0
    for split, sentences, objects in (('val', 147, 51), ('testA', 80, 27), ('testB', 82, 29)):
        arguments = {'split': split, 'data_prefix': {'img_path': str(folder / 'images')}, 'test_mode': True}
        path = str(folder / 'refcoco' / 'seqtr_instances.json')
        dataset = RefSegDataset(path, **arguments)
        assert len(dataset) == sentences
        assert len(RefSegDataset(path, group_by='object', **arguments)) == objects
        pairs = {
            (i['ref_id'], i['sent_ids'][0])
            for k in range(sentences)
            for i in dataset.get_data_info(k)['instances']
        }
        assert len(pairs) == sentences
        total += sentences
    assert total == 309
