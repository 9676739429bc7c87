"""verify_coco.py as a user runs it."""

import json

import pytest
from coco_files import changed, sound_file, write_images

from mmrefseg.datasets.coco import check_coco

VERIFY = 'dataset_converters/verify_coco.py'


@pytest.fixture
def folder(tmp_path):
    return write_images(tmp_path / 'img')


def write(content, tmp_path):
    (tmp_path / 'mine.json').write_text(json.dumps(content))
    return tmp_path / 'mine.json'


def test_a_sound_file(tools, folder, tmp_path):
    done = tools.succeed(VERIFY, write(sound_file(), tmp_path), '--image-folder', folder)
    assert '4 images, 2 categories, 8 objects, of which 8 can be used: 8 with a mask' in done.stdout
    assert 'nothing is wrong' in done.stdout


def test_report_and_mended_copy(tools, folder, tmp_path):
    content = sound_file()
    for image in content['images']:
        del image['width']
    content['annotations'][0]['segmentation'] = [[1, 1]]
    content['annotations'][3]['category_id'] = 9
    content['annotations'][4].pop('area')
    content['images'][3]['id'] = 'four'
    content['annotations'][6]['image_id'] = content['annotations'][7]['image_id'] = 'four'
    path = write(content, tmp_path)
    done = tools.run(VERIFY, path, '--image-folder', folder)
    assert done.returncode == 1, done.stderr
    for line in (
        '8 objects, of which 7 can be used: 6 with a mask, 1 with a box only, 0 marked iscrowd',
        'objects that cannot be used\n  1 whose category_id no category has (4)',
        'objects with a box and no mask\n  1 polygon of fewer than 3 points (1)',
        '  4 images without width and height, read from the files (p0.png, p1.png, p2.png, ...)',
        '  1 without an area above 0, computed (5)',
    ):
        assert line in done.stdout
    out = tmp_path / 'new' / 'mended.json'
    done = tools.succeed(VERIFY, path, '--image-folder', folder, '--mend', out)
    assert f'written: {out} (7 of 8 objects)' in done.stdout
    mended = json.loads(out.read_text())
    # A box without a mask is what it is; nothing else is left to say.
    assert [s.split(': ')[1] for s in check_coco(mended, folder=folder).sentences()] == [
        '1 of 7 objects have a box and no mask'
    ]
    assert mended['images'][3]['original_id'] == 'four' and mended['annotations'][-1]['image_id'] == 4
    assert json.loads(path.read_text()) == content
    assert [file.name for file in out.parent.iterdir()] == ['mended.json']


def test_crowds(tools, tmp_path):
    path, out = write(changed(lambda a: a.update(iscrowd=1)), tmp_path), tmp_path / 'mended.json'
    assert '8 marked iscrowd' in tools.succeed(VERIFY, path, '--mend', out, '--no-crowds').stdout
    assert {a['iscrowd'] for a in json.loads(out.read_text())['annotations']} == {0}
    assert '--mend' in tools.fail(VERIFY, path, '--no-crowds')


def test_what_cannot_be_mended(tools, tmp_path):
    path, out = write(changed(lambda a: a.update(image_id=77)), tmp_path), tmp_path / 'mended.json'
    assert '8 of 8 objects unusable: 8 whose image_id no image has' in tools.fail(VERIFY, path, '--mend', out)
    assert "no 'images'" in tools.fail(VERIFY, write([1], tmp_path))
    assert 'no such file' in tools.fail(VERIFY, 'none.json')
    assert 'no folder' in tools.fail(VERIFY, write(sound_file(), tmp_path), '--image-folder', 'none')
    assert not out.exists()
