"""Labelling tools' formats as a user converts them, there and back."""

import json

import numpy as np

from mmrefseg.datasets.annotations import load_split
from mmrefseg.structures.masks import to_bitmap

CONVERT = 'dataset_converters/convert.py'
EXPORT = 'dataset_converters/export.py'
TEMPLATE = 'COCO_train2014_{:012d}.jpg'


def same_objects(path, source, splits):
    """How many objects are the same in both files."""
    count = 0
    for split in splits:
        before = {record['ref_id']: record for record in load_split(source, split)}
        after = {record['ref_id']: record for record in load_split(path, split)}
        assert before.keys() == after.keys()
        for ref_id, record in before.items():
            size = record['height'], record['width']
            bitmaps = [to_bitmap(each[ref_id]['mask'], *size) for each in (before, after)]
            np.testing.assert_array_equal(*bitmaps)
            assert set(record['expressions']) == set(after[ref_id]['expressions'])
            count += 1
    return count


def test_refcoco_to_labelling_tools_and_back(tools, test_data, tmp_path):
    mini = test_data / 'mini_refcoco' / 'refcoco'
    source, splits = tmp_path / 'instances.json', ('val', 'testA', 'testB')
    tools.succeed(CONVERT, 'refer', mini / 'refs(unc).p', mini / 'instances.json', '--out', source)
    common = [source, '--img-template', TEMPLATE, '--categories', mini / 'instances.json', '--tolerance', '0']

    done = tools.succeed(EXPORT, 'labelme', *common, '--out', tmp_path / 'labelme')
    assert '107 objects, 0 of them without a mask' in done.stdout
    tools.succeed(CONVERT, 'labelme', tmp_path / 'labelme', '--out', tmp_path / 'labelme.json')
    assert same_objects(tmp_path / 'labelme.json', source, splits) == 107

    done = tools.succeed(
        EXPORT, 'label-studio', *common, '--split', 'val', '--out', tmp_path / 'tasks.json', '--brush'
    )
    assert f'the labelling interface is {tmp_path}/tasks.json.interface.xml' in done.stdout.replace('\n', '')
    tasks = json.loads((tmp_path / 'tasks.json').read_text())
    for task in tasks:
        task['annotations'] = task.pop('predictions')
    (tmp_path / 'project.json').write_text(json.dumps(tasks))
    tools.succeed(CONVERT, 'label-studio', tmp_path / 'project.json', '--out', tmp_path / 'studio.json')
    assert same_objects(tmp_path / 'studio.json', source, ['val']) == 51

    tools.succeed(EXPORT, 'cvat-coco', *common, '--split', 'val', '--out', tmp_path / 'cvat')
    labels = json.loads((tmp_path / 'cvat' / 'labels.json').read_text())
    assert 'person' in {label['name'] for label in labels}
    exported = tmp_path / 'cvat' / 'annotations' / 'instances_val.json'
    tools.succeed(CONVERT, 'coco', exported, '--out', tmp_path / 'cvat.json')
    assert same_objects(tmp_path / 'cvat.json', source, ['val']) == 51


def test_an_export_leaves_files_that_are_there_alone(tools, tmp_path):
    record = {'image_id': 1, 'file_name': 'photos/a.png', 'height': 48, 'width': 64, 'bbox': [1, 1, 9, 9]}
    record |= {'ref_id': 1, 'sent_ids': [1], 'category_id': 1, 'expressions': ['the cup']}
    other = record | {'image_id': 2, 'file_name': 'photos/b.png', 'ref_id': 2, 'sent_ids': [2]}
    source = tmp_path / 'mine.json'
    source.write_text(json.dumps({'train': [other, record]}))
    (tmp_path / 'photos').mkdir()
    for target, out, there in (
        ('labelme', tmp_path, 'photos/a.json'),
        ('cvat-coco', tmp_path / 'cvat', 'cvat/labels.json'),
        ('label-studio', tmp_path / 'tasks.json', 'tasks.json.interface.xml'),
    ):
        drawn = tmp_path / there
        drawn.parent.mkdir(exist_ok=True)
        drawn.write_text('drawn by hand')
        before = sorted(tmp_path.rglob('*'))
        said = tools.fail(EXPORT, target, source, '--out', out)
        assert f'--out {out}: found a file that is there, {drawn}, expected none; ' in said
        assert drawn.read_text() == 'drawn by hand' and sorted(tmp_path.rglob('*')) == before
        tools.succeed(EXPORT, target, source, '--out', out, '--overwrite')
        assert drawn.read_text() != 'drawn by hand'
    assert 'found 2 files that are there, the first ' in tools.fail(
        EXPORT, 'labelme', source, '--out', tmp_path
    )
    nowhere = [EXPORT, 'labelme', source, '--images', tmp_path / 'none', '--out', tmp_path / 'x']
    assert f'--images {tmp_path}/none: found no such folder' in tools.fail(*nowhere)
    assert not (tmp_path / 'x').exists()


def test_an_import_leaves_files_that_are_there_alone(tools, tmp_path):
    """In both forms; the file that is read may be the one that is written, if that is asked for."""
    line = {'image': 'a.png', 'height': 48, 'width': 64, 'bbox': [1, 1, 9, 9], 'expression': 'the cup'}
    source, out = tmp_path / 'mine.jsonl', tmp_path / 'mine.json'
    source.write_text(json.dumps(line))
    out.write_text('drawn by hand')
    first = [CONVERT, 'jsonlines', source, '--out', out]
    assert f'--out {out}: found a file that is there, {out}, expected none; name' in tools.fail(*first)
    assert out.read_text() == 'drawn by hand'
    tools.succeed(*first, '--overwrite')
    assert json.loads(out.read_text())['train'][0]['expressions'] == ['the cup']
    (tmp_path / 'instances.json').write_text('drawn by hand')
    back = [CONVERT, 'instances', out, '--to', 'refer', '--by', 'me', '--out', tmp_path]
    assert f'found a file that is there, {tmp_path}/instances.json, expected none' in tools.fail(*back)
    assert (tmp_path / 'instances.json').read_text() == 'drawn by hand'
    assert not (tmp_path / 'refs(me).p').exists()
    tools.succeed(*back, '--overwrite')
    assert 'found 2 files that are there, the first' in tools.fail(*back)
    tools.succeed(CONVERT, 'instances', out, '--out', out, '--overwrite')
    tools.succeed(CONVERT, 'instances', out, '--out', '/dev/null')


def test_options_of_the_readers(tools, tmp_path):
    box = (
        '<box label="cup" xtl="1" ytl="1" xbr="20" ybr="20"><attribute name="note">the cup</attribute></box>'
    )
    flat = '<polygon label="cup" points="1,1;9,9"/>'
    images = ''.join(f'<image name="{n}.jpg" width="64" height="48">{box}{flat}</image>' for n in range(20))
    (tmp_path / 'annotations.xml').write_text(f'<annotations>{images}</annotations>')
    out = tmp_path / 'instances.json'
    arguments = [CONVERT, 'cvat', tmp_path, '--out', out, '--overwrite']
    assert 'polygon 0 of 4 numbers' in tools.fail(*arguments)
    done = tools.succeed(*arguments, '--skip-bad', '--text-field', 'note', '--split', 'mine', '--val', '50')
    assert '20 bad records were skipped' in done.stderr
    splits = json.loads(out.read_text())
    assert list(splits) == ['val', 'mine'] and len(splits['val']) + len(splits['mine']) == 20
    assert splits['val'][0]['expressions'] == ['the cup']
    done = tools.succeed(*arguments, '--skip-bad')
    assert '20 objects have no sentence of their own' in done.stderr
    assert 'no sentence' in tools.fail(*arguments, '--without-sentence', 'refuse')
    assert '--val: found 100' in tools.fail(*arguments, '--val', '100')
    assert 'is not from 0 to 100' in tools.fail(EXPORT, 'labelme', out, '--out', 'x', '--tolerance', '-1')
