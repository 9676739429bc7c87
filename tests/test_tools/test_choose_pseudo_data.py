"""tools/choose_pseudo_data.py as a process: the paper's command, the explicit one, and what it refuses."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

TOOL = 'choose_pseudo_data.py'


def encode(mask: np.ndarray) -> dict:
    rle = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {'size': rle['size'], 'counts': rle['counts'].decode()}


@pytest.fixture
def case(tools) -> dict[str, Path]:
    """Toy objects of which two have masks; predictions: fitting, misplaced, empty, none."""
    folder = tools.folder / 'data' / 'annotations' / 'toyset'
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    full = json.loads((tools.folder / 'data' / 'instances.json').read_text())
    (folder / 'instances.json').write_text(json.dumps(full))
    sample = copy.deepcopy(full)
    for record in sample['train'][2:]:
        del record['mask']
    (folder / 'instances_sample_5.json').write_text(json.dumps(sample))
    prefix = tools.folder / 'work_dirs' / 'partial-res_darknet53_m05-pseudo_toyset' / 'pseudo'
    shutil.rmtree(prefix.parent, ignore_errors=True)
    prefix.parent.mkdir(parents=True)
    lines = []
    for record in full['train'][:-1]:
        x, y, w, h = record['bbox']
        for number, sent_id in enumerate(record['sent_ids']):
            mask = np.zeros((64, 64))
            if record['ref_id'] != 3:
                # Object 4 is missed by both sentences, the others by the second.
                shift = 20 if number or record['ref_id'] == 4 else 0
                mask[max(y - shift, 0) : y + h - shift, x : x + w] = 1
            lines.append(
                {'ref_id': record['ref_id'], 'sent_id': sent_id, 'segmentation': encode(mask), 'score': 0.5}
            )
    for rank in (0, 1):
        text = ''.join(json.dumps(line) + '\n' for line in lines[rank::2])
        prefix.with_name(f'pseudo.rank{rank}.jsonl').write_text(text)
    return {'folder': folder, 'prefix': prefix, 'sample': folder / 'instances_sample_5.json'}


def load(path: Path) -> dict:
    return json.loads(path.read_text())


def test_the_papers_command(tools, case):
    done = tools.succeed(TOOL, '--ratio', 5, '--dataset', 'toyset')
    picked = load(case['folder'] / 'instances_sample_5_box_pick.json')
    sample = load(case['sample'])
    assert {name: len(records) for name, records in picked.items()} == {'train': 8, 'val': 4, 'testA': 1}
    assert picked['val'] == sample['val'] and picked['train'][:2] == sample['train'][:2]
    sources = [record.get('mask_source', 'mask' in record) for record in picked['train']]
    unknown = {'kind': 'pseudo', 'checkpoint': None, 'checkpoint_sha256': None}
    assert sources == [True, True, unknown, False, False, unknown, unknown, False]
    report = load(case['folder'] / 'instances_sample_5_box_pick_report.json')
    numbers = {key: report[key] for key in ('true', 'accepted', 'rejected', 'unpredicted', 'empty')}
    assert numbers == {'true': 2, 'accepted': 3, 'rejected': 2, 'unpredicted': 1, 'empty': 1}
    assert report['accept_rate'] == pytest.approx(50.0) and report['predictions'] == 14
    assert report['truth']['accepted']['miou'] > 99 and report['truth']['rejected']['miou'] < 40
    assert 'accepted' in done.stdout and 'choosing' in done.stderr


def test_explicit_paths_and_the_truth_left_out(tools, case, tmp_path):
    explicit = [
        '--predictions',
        case['prefix'],
        '--annotations',
        case['sample'],
        '--out',
        tmp_path / 'o.json',
    ]
    tools.succeed(TOOL, *explicit, '--report', tmp_path / 'r.json')
    assert 'truth' not in load(tmp_path / 'r.json')
    first = (tmp_path / 'o.json').read_bytes()
    # The full file may hold anything: it changes the report and nothing else.
    full = load(case['folder'] / 'instances.json')
    for record in full['train']:
        record['mask'] = [[0, 0, 7, 0, 7, 7.125, 0, 7]]
    (tmp_path / 'full.json').write_text(json.dumps(full))
    tools.succeed(TOOL, *explicit, '--full-annotations', tmp_path / 'full.json')
    assert (tmp_path / 'o.json').read_bytes() == first and b'7.125' not in first
    assert load(tmp_path / 'o_report.json')['truth']['accepted']['miou'] < 50
    tools.succeed(TOOL, *explicit, '--strategy', 'all', '--combine', 'vote')
    picked = load(tmp_path / 'o.json')['train']
    assert [r['ref_id'] for r in picked if r.get('mask_source')] == [2, 4, 5, 6]
    assert picked[2]['mask_expression'] == [None, None]


def test_a_stopped_dump_is_noted(tools, case, tmp_path):
    shard = case['prefix'].with_name('pseudo.rank1.jsonl')
    shard.write_text(shard.read_text()[:-20])
    done = tools.succeed(TOOL, '--ratio', 5, '--dataset', 'toyset', '--out', tmp_path / 'o.json')
    assert 'half a line' in done.stdout.replace('\n', ' ')
    assert load(tmp_path / 'o_report.json')['predictions'] == 13


def test_refusals(tools, case, tmp_path):
    explicit = ['--predictions', case['prefix'], '--annotations', case['sample']]
    assert 'no predictions' in tools.fail(TOOL, '--predictions', 'none', '--annotations', case['sample'])
    assert 'no such file' in tools.fail(TOOL, '--predictions', case['prefix'], '--annotations', 'none.json')
    assert 'expected another file' in tools.fail(TOOL, *explicit, '--out', case['sample'])
    assert 'threshold' in tools.fail(TOOL, *explicit, '--threshold', '7', '--out', tmp_path / 'o.json')
    line = json.loads(case['prefix'].with_name('pseudo.rank0.jsonl').read_text().splitlines()[2])
    line['segmentation']['size'] = [32, 32]
    (tmp_path / 'bad.jsonl').write_text(json.dumps(line) + '\n')
    sentence = tools.fail(
        TOOL,
        '--predictions',
        tmp_path / 'bad.jsonl',
        '--annotations',
        case['sample'],
        '--out',
        tmp_path / 'o.json',
    )
    assert 'size [32, 32]' in sentence and f'ref_id {line["ref_id"]}' in sentence
    assert not (tmp_path / 'o.json').exists()
    assert tools.run(TOOL, '--ratio', 5).returncode == 2
    sentence = tools.fail(TOOL, '--ratio', 7, '--dataset', 'toyset')
    assert '--ratio 7: found no instances_sample_7.json' in sentence
    assert 'expected instances_sample_5.json;' in sentence
    sentence = tools.fail(TOOL, '--ratio', 5, '--dataset', 'nope')
    assert '--dataset nope, --ratio 5: found no instances_sample_5.json' in sentence
