"""The converters as a user runs them."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmrefseg.datasets.annotations import load_split

CONVERT = 'dataset_converters/convert.py'
SAMPLE = 'dataset_converters/sample_masks.py'
VERIFY = 'dataset_converters/verify_refcoco.py'
MIX = 'dataset_converters/mix_datasets.py'


@pytest.fixture
def mini(test_data):
    return test_data / 'mini_refcoco'


def test_from_refer_to_a_sampled_file_and_back(tools, mini, tmp_path):
    out = tmp_path / 'annotations' / 'instances.json'
    files = [mini / 'refcoco' / 'refs(unc).p', mini / 'refcoco' / 'instances.json']
    done = tools.run(CONVERT, 'refer', *files, '--out', out, '--verify', 'refcoco-unc')
    assert done.returncode == 1, done.stderr
    assert 'val     sentences       10834       147  differs by -10687' in done.stdout
    splits = json.loads(out.read_text())
    assert sum(len(r['expressions']) for records in splits.values() for r in records) == 309

    done = tools.succeed(SAMPLE, out, '--split', 'val', '--ratio', '1', '5', '10', '--seed', '4')
    assert 'instances_sample_5.json: 3 of 51 objects have a mask' in done.stdout
    samples = {}
    for ratio, masks in ((1, 1), (5, 3), (10, 5)):
        path = out.with_name(f'instances_sample_{ratio}.json')
        sampled = json.loads(path.read_text())
        assert sampled['testA'] == splits['testA'] and list(sampled) == list(splits)
        samples[ratio] = {r['ref_id'] for r in sampled['val'] if 'mask' in r}
        assert len(samples[ratio]) == masks
        withheld = [r for r in splits['val'] if r['ref_id'] not in samples[ratio]]
        assert not any(json.dumps(r['mask'])[:80] in path.read_text() for r in withheld)
        meta = json.loads(path.with_suffix('.meta.json').read_text())
        assert (meta['seed'], meta['ratio'], meta['unit'], meta['masks']) == (4, ratio, 'object', masks)
        assert len(meta['source_sha256']) == 64
    assert samples[1] < samples[5] < samples[10]
    first = out.with_name('instances_sample_5.json').read_bytes()
    tools.succeed(
        SAMPLE, out, '--split', 'val', '--ratio', '5', '--seed', '4', '--out-dir', tmp_path / 'again'
    )
    assert (tmp_path / 'again' / 'instances_sample_5.json').read_bytes() == first

    tools.succeed(CONVERT, 'instances', out, '--to', 'refer', '--by', 'me', '--out', tmp_path / 'back')
    again = tmp_path / 'again.json'
    files = [tmp_path / 'back' / 'refs(me).p', tmp_path / 'back' / 'instances.json']
    tools.succeed(CONVERT, 'refer', *files, '--out', again)
    assert json.loads(again.read_text()) == splits


def test_sampling_seqtrs_file_of_single_sentences(tools, mini, tmp_path):
    source = mini / 'refcoco' / 'seqtr_instances.json'
    tools.succeed(SAMPLE, source, '--split', 'val', '--ratio', '10', '--out-dir', tmp_path)
    path = tmp_path / 'seqtr_instances_sample_10.json'
    sampled, full = load_split(path, 'val'), load_split(source, 'val')
    assert sum('mask' in record for record in sampled) == 5
    ids = [(record['ref_id'], record['sent_ids'], record['expressions']) for record in full]
    assert [(record['ref_id'], record['sent_ids'], record['expressions']) for record in sampled] == ids


def test_sampling_a_coco_file(tools, test_data, tmp_path):
    source = test_data / 'tiny_coco/annotations/instances_train2017.json'
    full = json.loads(source.read_text())
    objects = sum(not each['iscrowd'] for each in full['annotations'])
    done = tools.succeed(SAMPLE, source, '--ratio', '5', '10', '--out-dir', tmp_path)
    chosen = []
    for ratio in (5, 10):
        path, count = tmp_path / f'instances_train2017_sample_{ratio}.json', round(objects * ratio / 100)
        assert f'{path}: {count} of {objects} objects have a mask' in done.stdout.replace('\n', '')
        sampled = json.loads(path.read_text())
        assert (sampled['images'], sampled['categories']) == (full['images'], full['categories'])
        for annotation, before in zip(sampled['annotations'], full['annotations'], strict=True):
            assert [annotation[key] for key in ('id', 'bbox')] == [before[key] for key in ('id', 'bbox')]
        known = [each for each in sampled['annotations'] if 'segmentation' in each and not each['iscrowd']]
        chosen.append({each['id'] for each in known})
        meta = json.loads(path.with_suffix('.meta.json').read_text())
        assert (meta['objects'], meta['masks'], meta['unit']) == (objects, count, 'object')
        assert 'split' not in meta
    assert chosen[0] < chosen[1]
    sentence = tools.fail(SAMPLE, source, '--split', 'val', '--out-dir', tmp_path)
    assert 'found a COCO file and --split val, expected no split' in sentence


def test_verify(tools, mini, tmp_path):
    source = mini / 'refcocog' / 'seqtr_instances.json'
    done = tools.run(VERIFY, source, '--dataset', 'refcocog-umd', '--split', 'val', 'test')
    assert done.returncode == 1
    assert 'differs in test, val (refcocog-umd)' in done.stdout
    assert 'test    images           2600         2  differs by -2598' in done.stdout
    record = {'height': 9, 'width': 9, 'bbox': [1, 1, 5, 5]}
    whole = [{**record, 'image_id': n % 4650, 'ref_id': n, 'expressions': ['x']} for n in range(5000)]
    for entry in whole[:4536]:
        entry['expressions'] = ['x', 'y']
    (tmp_path / 'a.json').write_text(json.dumps({'val': whole}))
    arguments = ['--dataset', 'refcocog-google', '--split', 'val']
    assert 'complete' in tools.succeed(VERIFY, tmp_path / 'a.json', *arguments).stdout
    assert 'no such file' in tools.fail(VERIFY, tmp_path / 'b.json', *arguments)


def test_mixing(tools, mini, tmp_path):
    loaded, files = {}, []
    for name, folder, train in (('refcoco-unc', 'refcoco', 'testA'), ('refcocog-umd', 'refcocog', 'test')):
        splits = json.loads((mini / folder / 'seqtr_instances.json').read_text())
        loaded[name] = {'train' if split == train else split: records for split, records in splits.items()}
        (tmp_path / f'{name}.json').write_text(json.dumps(loaded[name]))
        files.append(f'{name}={tmp_path / name}.json')
    tested = {r['image_id'] for splits in loaded.values() for s in splits if s != 'train' for r in splits[s]}
    refs = {(name, r['ref_id'], r['image_id']) for name, splits in loaded.items() for r in splits['train']}
    expected = {(name, ref_id) for name, ref_id, image_id in refs if image_id not in tested}
    assert 0 < len(expected) < len(refs)
    before = (tmp_path / 'refcoco-unc.json').read_bytes()
    assert 'found the source' in tools.fail(MIX, *files, '--out', tmp_path / 'refcoco-unc.json')
    assert (tmp_path / 'refcoco-unc.json').read_bytes() == before
    same_name = files[1].replace('refcocog-umd=', 'refcoco-unc=')
    assert 'one NAME twice' in tools.fail(MIX, files[0], same_name, '--out', tmp_path / 'mixed.json')
    tools.succeed(MIX, *files, '--out', tmp_path / 'mixed.json')
    mixed = load_split(tmp_path / 'mixed.json', 'train')
    assert {(r['source_dataset'], r['source_ref_id']) for r in mixed} == expected
    assert len(mixed) == len(expected)
    assert len(load_split(tmp_path / 'mixed.json', 'val_refcoco_unc')) == 51


BOX = {'image': 'a.jpg', 'expression': 'x', 'bbox': [1, 1, 9, 9], 'height': 48, 'width': 64}
EMPTY = coco_mask.encode(np.zeros((48, 64), order='F', dtype=np.uint8))['counts'].decode()
# what a user can get wrong: (change to a line, words of the sentence)
BAD = {
    'empty expression': ({'expression': ' '}, 'an empty expression'),
    'no expressions': ({'expressions': []}, 'no expressions'),
    'two points': ({'mask': [[1, 1, 9, 9]]}, 'polygon 0 of 4 numbers'),
    'polygon outside': ({'mask': [[70, 1, 90, 1, 90, 9]]}, 'polygon 0 outside the image'),
    'NaN in a polygon': ({'mask': [[1, 1, float('nan'), 1, 9, 9]]}, 'polygon 0 with NaN'),
    'RLE of another size': ({'mask': {'size': [64, 48], 'counts': EMPTY}}, 'an RLE of size [64, 48]'),
    'empty mask': ({'mask': {'size': [48, 64], 'counts': EMPTY}}, 'an empty mask'),
    'box without area': ({'bbox': [1, 1, 0, 9]}, 'without area'),
    'box outside': ({'bbox': [70, 1, 5, 9]}, 'outside the image'),
    'NaN in a box': ({'bbox': [1, float('nan'), 5, 9]}, 'nan'),
}


def test_bad_lines_are_one_sentence_each_or_a_list(tools, tmp_path):
    source, out = tmp_path / 'mine.jsonl', tmp_path / 'out.json'
    lines = [{**BOX, **change} for change, _ in BAD.values()]
    source.write_text(''.join(f'{json.dumps(line)}\n' for line in [{**BOX, 'bbox': [2, 2, 9, 9]}, *lines]))
    sentence = tools.fail(CONVERT, 'jsonlines', source, '--out', out)
    assert 'mine.jsonl line 2' in sentence and 'an empty expression' in sentence
    assert not out.exists()
    done = tools.succeed(CONVERT, 'jsonlines', source, '--out', out, '--skip-bad')
    assert f'{len(BAD)} bad records were skipped' in done.stderr
    listed = (tmp_path / 'out.json.skipped.txt').read_text().splitlines()
    assert len(listed) == len(BAD) == 10
    for number, (line, (_, words)) in enumerate(zip(listed, BAD.values(), strict=True), start=2):
        assert words in line and f'line {number}' in line
    assert len(json.loads(out.read_text())['train']) == 1


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b"cos\nsystem\n(S'touch executed'\ntR.", 'a pickle that would call os.system'),
        (b'\x80\x02]', 'no readable pickle'),
    ],
)
def test_bad_pickles(tools, mini, tmp_path, content, words):
    (tmp_path / 'refs(unc).p').write_bytes(content)
    files = [tmp_path / 'refs(unc).p', mini / 'refcoco' / 'instances.json']
    assert words in tools.fail(CONVERT, 'refer', *files, '--out', tmp_path / 'x.json')
    assert not (tools.folder / 'executed').exists()


def test_bad_arguments(tools, mini, tmp_path):
    source = mini / 'refcoco' / 'seqtr_instances.json'
    assert "no split 'train'" in tools.fail(SAMPLE, source, '--out-dir', tmp_path)
    assert 'above 0 and at most 100' in tools.fail(SAMPLE, source, '--split', 'val', '--ratio', '0')
    coco = mini / 'refcoco' / 'instances.json'
    assert 'a COCO file and --split val' in tools.fail(SAMPLE, coco, '--split', 'val', '--out-dir', tmp_path)
    assert 'SPLIT=FILE' in tools.fail(CONVERT, 'boxes-csv', 'x.csv', '--images', '.', '--out', 'x.json')
    twice = ['val=x.csv', 'val=y.csv', '--images', '.', '--out', 'x.json']
    assert 'one SPLIT twice' in tools.fail(CONVERT, 'boxes-csv', *twice)
    assert '--images' in tools.fail(CONVERT, 'simrec', 'x.json', '--out', 'x.json')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('script', [CONVERT, SAMPLE, VERIFY, MIX])
def test_help_shows_commands_to_paste(tools, script):
    done = tools.succeed(script, '--help')
    assert f'python tools/{script}' in done.stdout
