"""RefShapes on disk: formats that agree, determinism, resuming, errors, and the tool as a process."""

import errno
import json
import os
import pickle
import runpy
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mmrefseg.codecs.contour_codec import ContourCodec
from mmrefseg.datasets.refshapes import PRESETS, generate, make_image
from mmrefseg.datasets.refshapes import generate as _package_function
from mmrefseg.datasets.refshapes.shapes import CATEGORY_IDS, CLASSES, COLORS
from mmrefseg.structures.polygons import vertices_to_mask
from mmrefseg.utils import UserInputError

generate_module = sys.modules[_package_function.__module__]
TINY = {'train': 48, 'val': 16, 'testA': 16, 'testB': 16}
MINI = replace(
    PRESETS['tiny'],
    name='mini',
    splits={s: replace(r, num_images=10) for s, r in PRESETS['tiny'].splits.items() if s in ('train', 'val')},
)


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    return generate('tiny', tmp_path_factory.mktemp('data'), seed=3, num_workers=1, progress=False)


@pytest.fixture(scope='module')
def records(tiny):
    return json.loads((tiny.annotations / 'instances.json').read_text())


def decode(segmentation, height, width):
    if isinstance(segmentation, dict):
        return coco_mask.decode(segmentation)
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width)))


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in Path(folder).rglob('*') if p.is_file()}


@pytest.mark.parametrize('other_disk', [False, True])
def test_links_to_folders_stay(tmp_path, monkeypatch, other_disk):
    """data/images may be a link to where there is room, made or yet to be made, and so may the set itself."""
    monkeypatch.setitem(PRESETS, 'mini', MINI)
    out = tmp_path / 'data'
    (out / 'annotations').mkdir(parents=True)
    (out / 'images').symlink_to('../room/images')
    (tmp_path / 'room/annotations').mkdir(parents=True)
    (tmp_path / 'room/annotations/old').touch()
    (out / 'annotations/refshapes_mini').symlink_to('../../room/annotations')
    if other_disk:

        def rename(source, target):
            if '.part' in str(source):
                raise OSError(errno.EXDEV, 'Invalid cross-device link')
            os.rename(source, target)

        monkeypatch.setattr(Path, 'rename', rename)
    made = generate('mini', out, num_workers=1, progress=False, overwrite=True)
    assert (out / 'images').is_symlink() and (out / 'annotations/refshapes_mini').is_symlink()
    assert len(list((tmp_path / 'room/images/refshapes_mini').glob('*.png'))) == 20
    names = {path.name for path in (tmp_path / 'room/annotations').iterdir()}
    assert names == {'instances.json', 'meta.json', 'refer', 'coco'}
    assert not generate('mini', out, num_workers=1, progress=False).created
    assert made.created and not list(tmp_path.rglob('.*'))


def test_splits_are_complete_and_ids_are_unique(tiny, records):
    assert {split: tiny.meta['counts'][split]['images'] for split in records} == TINY
    everything = [record for split in records.values() for record in split]
    assert len(everything) > 300
    for ids in (
        [r['ref_id'] for r in everything],
        [r['ann_id'] for r in everything],
        [i for r in everything for i in r['sent_ids']],
    ):
        assert len(set(ids)) == len(ids)
    for record in everything:
        assert len(record['sent_ids']) == len(record['expressions']) == len(record['kinds']) >= 1
        assert (tiny.images / record['file_name']).is_file()
    assert len(list(tiny.images.iterdir())) == sum(TINY.values())


def test_boxes_areas_and_masks_agree(records):
    kinds = Counter()
    for record in (r for split in records.values() for r in split):
        mask = decode(record['mask'], record['height'], record['width'])
        x, y, w, h = cv2.boundingRect(mask)
        assert [x, y, w, h] == record['bbox']
        assert int(mask.sum()) == record['area'] > 60
        assert record['attributes']['visible'] > 0.55
        kinds[type(record['mask']).__name__] += 1
        if isinstance(record['mask'], list):
            (vertices,) = record['mask']
            assert shapely.Polygon(np.reshape(vertices, (-1, 2))).is_valid
            # a tip thinner than a pixel can leave a crumb, but there is one part
            assert cv2.connectedComponentsWithStats(mask)[2][1:, -1].max() >= 0.95 * mask.sum()
    assert kinds['list'] > 100 and kinds['dict'] > 10


def test_images_show_what_is_annotated(tiny, records):
    """A plain object has its colour where its mask, less the rim, says it is."""
    checked = 0
    for record in records['train']:
        if record['attributes']['texture'] != 'plain':
            continue
        pixels = cv2.imread(str(tiny.images / record['file_name']))[..., ::-1]
        inside = cv2.erode(decode(record['mask'], *pixels.shape[:2]), np.ones((5, 5), np.uint8)) > 0
        if inside.sum() > 30:
            away = np.abs(pixels[inside].astype(float) - COLORS[record['attributes']['color']]).max(1)
            assert np.percentile(away, 90) < 40, record['file_name']
            checked += 1
    assert checked > 40


def test_coco_files_hold_all_objects(tiny, records):
    for split, expected in TINY.items():
        coco = COCO(str(tiny.annotations / 'coco' / f'instances_{split}.json'))
        assert len(coco.imgs) == expected
        assert {c['name']: c['id'] for c in coco.dataset['categories']} == CATEGORY_IDS
        assert len(coco.anns) == tiny.meta['counts'][split]['objects'] >= len(records[split])
        for record in records[split]:
            ann = coco.anns[record['ann_id']]
            assert ann['bbox'] == record['bbox'] and ann['category_id'] == record['category_id']
            assert CLASSES[ann['category_id'] - 1] == record['attributes']['class']
            assert int(coco.annToMask(ann).sum()) == ann['area']
            assert coco.imgs[record['image_id']]['file_name'] == record['file_name']


def test_refer_files_say_the_same(tiny, records):
    raw = (tiny.annotations / 'refer' / 'refs(synth).p').read_bytes()
    assert raw[:2] == b'\x80\x02'
    refs = {ref['ref_id']: ref for ref in pickle.loads(raw)}
    instances = json.loads((tiny.annotations / 'refer' / 'instances.json').read_text())
    annotations = {ann['id']: ann for ann in instances['annotations']}
    everything = [(split, record) for split, group in records.items() for record in group]
    assert len(refs) == len(everything)
    for split, record in everything:
        ref = refs[record['ref_id']]
        assert ref['split'] == split and ref['image_id'] == record['image_id']
        assert [s['sent'] for s in ref['sentences']] == record['expressions']
        assert [s['sent_id'] for s in ref['sentences']] == ref['sent_ids'] == record['sent_ids']
        assert all(s['tokens'] == s['sent'].split() for s in ref['sentences'])
        assert annotations[ref['ann_id']]['segmentation'] == record['mask']


def test_splits_share_no_scene(records):
    """No arrangement of boxes occurs twice, within a split or across."""
    scenes = {}
    for split, group in records.items():
        for record in group:
            box = (*record['bbox'], record['category_id'])
            scenes.setdefault((split, record['image_id']), []).append(box)
    assert len(scenes) == sum(TINY.values())
    assert len({tuple(boxes) for boxes in scenes.values()}) == len(scenes)


def test_same_bytes_for_any_number_of_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(generate_module, 'CHUNK', 4)
    one, two, other = (tmp_path / name for name in ('one', 'two', 'other'))
    assert generate(MINI, one, num_workers=1, progress=False).created
    generate(MINI, two, num_workers=2, progress=False)
    generate(MINI, other, seed=1, num_workers=1, progress=False)
    files = contents(one)
    assert len(files) == 20 + 6
    assert files == contents(two)
    assert files.keys() == contents(other).keys()
    assert all(files[name] != data for name, data in contents(other).items())


def test_interrupted_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(generate_module, 'CHUNK', 4)
    drawn = []

    def draw(seed, split, index, preset):
        drawn.append((split, index))
        if len(drawn) == 7:
            raise KeyboardInterrupt
        return make_image(seed, split, index, preset)

    monkeypatch.setattr(generate_module, 'make_image', draw)
    with pytest.raises(KeyboardInterrupt):
        generate(MINI, tmp_path / 'a', num_workers=1, progress=False)
    assert not (tmp_path / 'a' / 'annotations').exists() and not (tmp_path / 'a' / 'images').exists()
    generate(MINI, tmp_path / 'a', num_workers=1, progress=False)
    again = sum(count - 1 for count in Counter(drawn).values())
    assert again == 3, 'only the unfinished chunk is drawn again'
    generate(MINI, tmp_path / 'b', num_workers=1, progress=False)
    assert contents(tmp_path / 'a') == contents(tmp_path / 'b')


def test_interrupted_between_the_two_moves(tmp_path, monkeypatch):
    move = generate_module._move

    def fail(source, target):
        if source.name == 'annotations':
            raise KeyboardInterrupt
        move(source, target)

    monkeypatch.setattr(generate_module, '_move', fail)
    with pytest.raises(KeyboardInterrupt):
        generate(MINI, tmp_path, num_workers=1, progress=False)
    monkeypatch.setattr(generate_module, '_move', move)
    assert generate(MINI, tmp_path, num_workers=1, progress=False).created
    assert not generate(MINI, tmp_path, num_workers=1, progress=False).created
    assert {p.name for p in tmp_path.iterdir()} == {'images', 'annotations'}


def test_existing_sets(tmp_path):
    first = generate(MINI, tmp_path, num_workers=1, progress=False)
    assert first.created
    stamp = (first.annotations / 'meta.json').stat().st_mtime_ns
    assert not generate(MINI, tmp_path, num_workers=1, progress=False).created
    assert (first.annotations / 'meta.json').stat().st_mtime_ns == stamp
    with pytest.raises(UserInputError, match=r'another seed.*overwrite'):
        generate(MINI, tmp_path, seed=5, num_workers=1, progress=False)
    assert generate(MINI, tmp_path, seed=5, num_workers=1, overwrite=True, progress=False).created
    next(first.images.iterdir()).unlink()
    with pytest.raises(UserInputError, match='found 19 images, expected 20'):
        generate(MINI, tmp_path, seed=5, num_workers=1, progress=False)
    with pytest.raises(UserInputError, match='one of'):
        generate('huge', tmp_path)


def test_contours_of_18_points_are_enough(records):
    """Through the codec and back; the hole of a ring is what a single contour cannot express."""
    codec, ious = ContourCodec(num_points=18, sampling='even'), {name: [] for name in CLASSES}
    for record in (r for group in records.values() for r in group):
        mask = decode(record['mask'], record['height'], record['width'])
        vertices = codec.decode_mask(codec.encode_mask(mask, mask.shape), mask.shape)
        drawn = vertices_to_mask(vertices, *mask.shape) > 0
        ious[record['attributes']['class']].append((drawn & (mask > 0)).sum() / (drawn | (mask > 0)).sum())
    assert all(len(values) >= 10 for values in ious.values())
    means = {name: np.mean(values) for name, values in ious.items()}
    assert min(means.values()) > 0.82 and np.mean(list(means.values())) > 0.9, means


def test_tool_as_a_process(tmp_path, repo_root):
    tool = [sys.executable, str(repo_root / 'tools' / 'dataset_converters' / 'create_refshapes.py')]

    def run(*args):
        # the installed package is tested, wherever the tool is started from
        environment = {**os.environ, 'PYTHONPATH': str(repo_root)}
        command = [*tool, *map(str, args)]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    made = run('--size', 'tiny', '--out', tmp_path / 'd', '--workers', 1, '--preview', tmp_path / 'p.png')
    assert made.returncode == 0, made.stderr
    assert 'testB: 16 images' in made.stdout
    assert cv2.imread(str(tmp_path / 'p.png')).shape[0] > 800
    again = run('--size', 'tiny', '--out', tmp_path / 'd')
    assert again.returncode == 0 and 'left alone' in again.stdout
    refused = run('--size', 'tiny', '--out', tmp_path / 'd', '--seed', 1)
    assert refused.returncode == 2
    assert 'another seed' in refused.stderr and 'Traceback' not in refused.stderr


def test_help_of_the_tool_teaches(repo_root, monkeypatch, capsys):
    tool = runpy.run_path(str(repo_root / 'tools' / 'dataset_converters' / 'create_refshapes.py'))
    monkeypatch.setattr(sys, 'argv', ['create_refshapes.py', '--help'])
    with pytest.raises(SystemExit) as stop:
        tool['parse_args']()
    assert stop.value.code == 0
    told = capsys.readouterr().out
    assert all(word in told for word in ('examples', 'instances.json', 'testB', 'tiny: 96 images'))
