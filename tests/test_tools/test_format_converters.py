"""Labelling tools' formats as a user converts them, there and back."""

import json

import numpy as np
from coco_files import HEIGHT, WIDTH, sound_file

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
    away = [EXPORT, 'labelme', source, '--images', tmp_path / 'away', '--out', tmp_path / 'x']
    (tmp_path / 'away' / 'photos').mkdir(parents=True)
    said = tools.fail(*away)
    assert (
        f'--images {tmp_path}/away: found 2 of 2 images missing (the first is photos/b.png), expected' in said
    )
    (tmp_path / 'away' / 'photos' / 'b.png').write_text('')
    assert 'found 1 of 2 images missing (the first is photos/a.png), expected' in tools.fail(*away)
    assert not (tmp_path / 'x').exists()
    (tmp_path / 'away' / 'photos' / 'a.png').write_text('')
    tools.succeed(*away)
    written = tmp_path / 'x' / 'photos' / 'a.json'
    assert (written.parent / json.loads(written.read_text())['imagePath']).resolve().is_file()
    nowhere = [EXPORT, 'labelme', source, '--images', tmp_path / 'none', '--out', tmp_path / 'x']
    assert f'--images {tmp_path}/none: found no such folder' in tools.fail(*nowhere)


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


def test_bad_objects_of_coco_stop_the_import(tools, tmp_path):
    """As those of other formats do; --skip-bad leaves them out and lists each."""
    content, out = sound_file(), tmp_path / 'out.json'
    one, two, three, four, five, six, *_ = content['annotations']
    one['segmentation'] = {'size': [HEIGHT // 2, WIDTH], 'counts': [10, HEIGHT // 2 * WIDTH - 10]}
    two['segmentation'] = {'size': [HEIGHT, WIDTH], 'counts': 'no such code'}
    three['image_id'], four['image_id'] = 99, [1]
    five['category_id'], six['category_id'] = 99, {}
    arguments = [CONVERT, 'coco', tmp_path / 'mine.json', '--out', out]
    arguments[2].write_text(json.dumps(content))
    said = tools.fail(*arguments)
    assert (
        'mine.json: found 6 of 8 objects that cannot be read: 2 whose category_id no category has (5, 6), '
        in said
    )
    assert (
        '2 whose image_id no image has (3, 4), ' in said
        and '1 RLE of another size than its image (1)' in said
    )
    assert '; mend them, or leave them out by import coco --skip-bad' in said and not out.exists()
    done = tools.succeed(*arguments, '--skip-bad')
    assert '6 bad records were skipped' in done.stderr and 'unusable' not in done.stderr
    assert 'have a box and no mask' not in done.stderr
    records = json.loads(out.read_text())['train']
    assert len(records) == 2 and all(record['mask'] for record in records)
    listed = (tmp_path / 'out.json.skipped.txt').read_text().splitlines()
    assert len(listed) == 6 and sum('annotation 3: found whose image_id' in line for line in listed) == 1
    for annotation in content['annotations']:
        annotation.update(segmentation=[], image_id=1, category_id=1)
    arguments[2].write_text(json.dumps(content))
    tools.succeed(*arguments, '--overwrite')
    records = json.loads(out.read_text())['train']
    assert len(records) == 8 and not any('mask' in record for record in records), 'boxes are no bad masks'


def test_names_of_coco_that_lead_out_of_the_folder(tools, tmp_path):
    (tmp_path / 'img').mkdir()
    path, out = tmp_path / 'mine.json', tmp_path / 'out.json'
    for name in ('../../../etc/passwd', '/etc/passwd', 'a/../../b.png', '..\\b.png', 'C:\\b.png'):
        content = sound_file()
        content['images'][1]['file_name'] = name
        path.write_text(json.dumps(content))
        said = tools.fail(CONVERT, 'coco', path, '--out', out)
        assert 'mine.json annotation 3: found the file_name ' in said and 'leads out of the folder' in said
        said = tools.fail(CONVERT, 'coco', path, '--images', tmp_path / 'img', '--out', out)
        assert 'leaves the image folder' in said and not out.exists()
    done = tools.succeed(CONVERT, 'coco', path, '--out', out, '--skip-bad')
    assert '2 bad records were skipped' in done.stderr
