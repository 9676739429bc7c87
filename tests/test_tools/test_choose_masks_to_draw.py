"""tools/choose_masks_to_draw.py as a process: list, table, pictures, the sample file, what it refuses."""

import csv
import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmrefseg.cli.main import TOOL_VERBS
from mmrefseg.datasets.annotations import load_split
from mmrefseg.structures.masks import to_rle

TOOL = 'choose_masks_to_draw.py'
FULL = 'data/instances.json'


@pytest.fixture
def place(tools, tmp_path):
    """The toy objects of the split train, and predictions: those of object 5 disagree and fit badly."""
    records = load_split(tools.folder / FULL, 'train')
    lines = []
    for record in records:
        x, y, w, h = record['bbox']
        for number, sent_id in enumerate(record['sent_ids']):
            odd = record['ref_id'] == 5
            left, width = (x + 9 * number, 5) if odd else (x, w)
            box = [[left, y, left + width, y, left + width, y + h, left, y + h]]
            lines.append(
                {
                    'ref_id': record['ref_id'],
                    'sent_id': sent_id,
                    'segmentation': to_rle(box, 64, 64),
                    'bbox': [left, y, width, h],
                    'score': 0.1 if odd else 0.9,
                }
            )
    (tmp_path / 'p.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return tmp_path


def load(path):
    return json.loads(path.read_text())


def test_everything(tools, place):
    options = ['--predictions', place / 'p.jsonl', '--images', 'data/images', '--img-template', '{}.png']
    outputs = [
        '--out', place / 'l.json', '--csv', place / 'l.csv', '--sheet', place / 's.png',
        '--apply', place / 'a.json',
    ]  # fmt: skip
    done = tools.succeed(TOOL, FULL, '--budget', '3', '--coverage', 'none', *options, *outputs)
    assert '3 of 8 objects' in done.stdout and 'a.json: 3 of 8 objects have a mask' in done.stdout
    listed = load(place / 'l.json')
    assert listed['budget'] == 3 and listed['weights']['doubt'] == 1 and listed['split'] == 'train'
    first = listed['objects'][0]
    assert first['ref_ids'] == [5] and first['rank'] == 1 and first['disagreement'] == 1
    assert 'its sentences disagree (IoU 0.00)' in first['why']
    with open(place / 'l.csv', encoding='utf-8') as file:
        assert [json.loads(row['ref_ids']) for row in csv.DictReader(file)] == [
            row['ref_ids'] for row in listed['objects']
        ]
    page = np.asarray(Image.open(place / 's_1.png'))
    assert page.shape[1] == 900 and not (place / 's_2.png').exists()
    full, sample = load(tools.folder / FULL), load(place / 'a.json')
    chosen = {ref for row in listed['objects'] for ref in row['ref_ids']}
    assert {record['ref_id'] for record in sample['train'] if 'mask' in record} == chosen
    assert sample['val'] == full['val'] and len(sample['train']) == 8
    for before, after in zip(full['train'], sample['train'], strict=True):
        assert after == (
            before if after['ref_id'] in chosen else {k: before[k] for k in before if k != 'mask'}
        )
    meta = load(place / 'a.meta.json')
    assert (meta['masks'], meta['objects'], meta['rule']) == (3, 8, 'need') and len(
        meta['source_sha256']
    ) == 64


def test_the_next_round_begins_where_the_last_has_ended(tools, place):
    first = [FULL, '--budget', '25%', '--random', '--seed', '4', '--apply', place / 'one.json']
    tools.succeed(TOOL, *first)
    known = {record['ref_id'] for record in load(place / 'one.json')['train'] if 'mask' in record}
    assert len(known) == 2
    # who draws has no masks to apply; who has them names their file
    said = tools.fail(
        TOOL, place / 'one.json', '--budget', '2', '--apply', place / 'two.json', '--out', place / 'list.json'
    )
    assert 'found no mask of 2 of the 4 objects' in said and '--masks' in said
    assert len(load(place / 'list.json')['objects']) == 2 and not (place / 'two.json').exists()
    tools.succeed(
        TOOL, place / 'one.json', '--budget', '2', '--masks', FULL, '--apply', place / 'two.json',
        '--predictions', place / 'p.jsonl', '--compare', 'box', '--weights', 'rarity=0',
    )  # fmt: skip
    both = {record['ref_id'] for record in load(place / 'two.json')['train'] if 'mask' in record}
    assert known < both and len(both) == 4


def test_own_descriptors(tools, place):
    ref_ids = np.array([record['ref_id'] for record in load_split(tools.folder / FULL, 'train')])
    groups = np.eye(2)[(ref_ids >= 4).astype(int)]
    np.savez(place / 'd.npz', ref_ids=ref_ids, features=groups)
    arguments = [
        FULL,
        '--budget',
        '2',
        '--descriptors',
        place / 'd.npz',
        '--out',
        place / 'l.json',
        '--overwrite',
    ]
    tools.succeed(TOOL, *arguments)
    chosen = [row['ref_ids'][0] for row in load(place / 'l.json')['objects']]
    assert sorted(ref_id >= 4 for ref_id in chosen) == [False, True]
    np.savez(place / 'd.npz', ref_ids=ref_ids[1:], features=groups[1:])
    assert 'no descriptor of 1 objects' in tools.fail(TOOL, *arguments)
    np.savez(place / 'd.npz', ref_ids=ref_ids, features=groups[1:])
    assert 'expected an .npz file with ref_ids' in tools.fail(TOOL, *arguments)
    np.savez(place / 'd.npz', ref_ids=ref_ids, features=groups * np.nan)
    assert 'not finite' in tools.fail(TOOL, *arguments)


def test_refusals(tools, place):
    out = ['--out', place / 'l.json']
    for options, said in (
        (['--budget', '9', *out], '--budget: found 9, expected at most the 8 objects'),
        (['--budget', 'some', *out], "--budget: found 'some'"),
        (['--budget', '2'], 'found nothing to write, expected --out'),
        (['--budget', '2', '--sheet', place / 's.png'], '--sheet: found no --images'),
        (['--budget', '2', *out, '--weights', 'doubts=1'], "--weights: found 'doubts=1'"),
        (['--budget', '2', *out, '--random', '--weights', 'doubt=1'], '--random: found predictions'),
        (['--budget', '2', *out, '--masks', FULL], '--masks: found no --apply'),
        (['--budget', '2', *out, '--seed', '-1'], '--seed: found -1'),
        (['--budget', '2', *out, '--split', 'none'], "found no split 'none'"),
        (['--budget', '2', *out, '--predictions', 'none'], 'found no predictions'),
        (['--budget', '2', *out, '--images', 'data/images'], 'no such file'),
        (['--budget', '2', '--apply', 'data'], '--apply data: found a folder'),
    ):
        assert said in tools.fail(TOOL, FULL, *options), options
    assert not (place / 'l.json').exists()


def test_no_file_is_replaced_unless_asked_for(tools, place):
    """Whatever option names it, also what lies beside --apply and the pages; all that is there stays."""
    mine = place / 'mine.txt'
    mine.write_text('mine')
    for name in ('a.meta.json', 's_1.png'):
        (place / name).write_text('mine')
    images = ('--images', 'data/images', '--img-template', '{}.png')
    for options, there in (
        (('--out', mine), mine),
        (('--csv', mine), mine),
        (('--apply', mine), mine),
        (('--apply', place / 'a.json'), place / 'a.meta.json'),
        (('--sheet', place / 's.png', *images), place / 's_1.png'),
    ):
        said = tools.fail(TOOL, FULL, '--budget', '2', '--random', *options)
        assert f'{options[0]} {options[1]}: found a file that is there, {there}' in said
        assert f'name another {options[0]}, or add --overwrite' in said and there.read_text() == 'mine'
        tools.succeed(TOOL, FULL, '--budget', '2', '--random', *options, '--overwrite')
        assert there.read_bytes() != b'mine'
        mine.write_text('mine')


def test_what_is_read_is_never_replaced(tools, place):
    """Not even with --overwrite, by a link or another spelling; nor what the same run writes."""
    own = place / 'm1.json'
    own.write_bytes((tools.folder / FULL).read_bytes())
    (place / 'link.json').symlink_to(own)
    (place / 'i').mkdir()
    (place / 'i/0_1.png').write_bytes((tools.folder / 'data/images/0.png').read_bytes())
    more = ['--budget', '3', '--predictions', place / 'p.jsonl', '--overwrite']
    for options, said in (
        (('--apply', own), 'the file of the annotations'),
        (('--out', f'{place}/../{place.name}/m1.json'), 'the file of the annotations'),
        (('--csv', place / 'link.json'), 'the file of the annotations'),
        (('--csv', place / 'p.jsonl'), 'the file of --predictions'),
        (('--apply', place / 'p.jsonl', '--masks', FULL), 'the file of --predictions'),
        (('--apply', place / 'n.json', '--masks', place / 'n.json'), 'the file of --masks'),
        (('--out', place / 'n.json', '--csv', place / 'n.json'), 'the file of --out'),
        (('--out', place / 'n.meta.json', '--apply', place / 'n.json'), 'the file of --out'),
    ):
        sentence = tools.fail(TOOL, own, *more, *options)
        assert f': found {said}, expected another file; rename it' in sentence
    assert own.read_bytes() == (tools.folder / FULL).read_bytes() and not (place / 'n.json').exists()
    photo = place / 'i/0_1.png'
    sheet = ('--sheet', place / 'i/0.png', '--images', place / 'i', '--img-template', '{}_1.png')
    assert 'found an image of --images' in tools.fail(TOOL, own, *more, *sheet)
    assert photo.read_bytes() == (tools.folder / 'data/images/0.png').read_bytes()


def test_the_verbs_examples_run(tools, place):
    """What ``mmrefseg choose --help`` shows, on the toy objects."""
    (verb,) = [verb for verb in TOOL_VERBS if verb.name == 'choose']
    for example in verb.examples:
        words = shlex.split(example.replace('data/annotations/mine/instances.json', FULL))
        words[words.index('--budget') + 1] = '25%'
        words[-1] = str(place / words[-1])
        assert words.pop(0) == 'choose' and FULL in words
        tools.succeed(TOOL, *words)
        assert Path(words[-1]).is_file()


def test_no_torch(tools, place, repo_root):
    code = (
        'import runpy, sys; sys.argv = sys.argv[1:]\n'
        'try: runpy.run_path(sys.argv[0], run_name="__main__")\n'
        'except SystemExit as end: assert not end.code, end.code\n'
        'assert "torch" not in sys.modules and "mmengine" not in sys.modules\n'
    )
    options = ['--budget', '2', '--predictions', place / 'p.jsonl', '--apply', place / 'a.json']
    options += ['--images', 'data/images', '--img-template', '{}.png', '--sheet', place / 's.png']
    done = subprocess.run(
        [sys.executable, '-c', code, str(repo_root / 'tools' / TOOL), FULL, *map(str, options)],
        cwd=tools.folder, env=tools.environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
