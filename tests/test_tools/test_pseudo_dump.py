"""Predictions of a whole split: which weights they are of, and who may write them."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import mmdet
import pytest
import torch

from mmrefseg.utils import file_sha256

MMDET_TEST = Path(mmdet.__file__).with_name('.mim') / 'tools' / 'test.py'
CONFIG = """
_base_ = [{base!r}]
test_dataloader = dict(dataset=dict(skip_predicted='pseudo/p.rank*.jsonl'))
test_evaluator = dict(_delete_=True, type='PseudoLabelDump', outfile_prefix='pseudo/p')
custom_hooks = [dict(type='WaitingHook')]
custom_imports = dict(imports=['mmrefseg', 'toy_model', 'waiting_hook'], allow_failed_imports=False)
work_dir = 'pseudo/work'
"""


@pytest.fixture
def dump(tools, trained) -> Path:
    """The config ``dump.py``, no shards yet, weights ``a.pth`` and others ``b.pth``; the shards' folder."""
    (tools.folder / 'dump.py').write_text(CONFIG.format(base=tools.config))
    folder = tools.folder / 'pseudo'
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copyfile(trained / 'best.pth', tools.folder / 'a.pth')
    state = torch.load(tools.folder / 'a.pth', weights_only=False)
    state['state_dict']['head.bias'] += 1
    torch.save(state, tools.folder / 'b.pth')
    return folder


def read(folder: Path, padding: int = 0) -> list[dict]:
    """All records; each pair is there once, but for what a sampler repeats in another process."""
    lines = [line for path in sorted(folder.glob('p.rank*.jsonl')) for line in path.read_text().splitlines()]
    records = [json.loads(line) for line in lines]
    assert len({(record['ref_id'], record['sent_id']) for record in records}) == len(records) - padding
    return records


def cut(folder: Path, number: int) -> None:
    """Leave the first lines of the only shard, as a run that was stopped."""
    shard = folder / 'p.rank0.jsonl'
    shard.write_text(''.join(shard.read_text().splitlines(keepends=True)[:number]))


def test_every_prediction_says_what_was_loaded(tools, dump):
    """Not what the config would load: its load_from is another name, and mmdet's own tool says the same."""
    options = ('--cfg-options', 'load_from=nowhere/best.pth')
    tools.succeed('test.py', 'dump.py', 'a.pth', *options)
    records = read(dump)
    digits = file_sha256(tools.folder / 'a.pth')[:16]
    sources = {(record['checkpoint'], record['checkpoint_sha256']) for record in records}
    assert len(records) == 7 and sources == {('a.pth', digits)}
    shutil.rmtree(dump)
    tools.succeed(str(MMDET_TEST), 'dump.py', str(tools.folder / 'a.pth'), '--work-dir', 'pseudo/mmdet')
    again = read(dump)
    assert {record.pop('checkpoint') for record in again} == {str(tools.folder / 'a.pth')}
    assert [record | {'checkpoint': 'a.pth'} for record in again] == records


def test_the_content_decides_what_goes_on(tools, dump):
    """The same weights under another name go on; others are refused, even where nothing is left to do."""
    tools.succeed('test.py', 'dump.py', 'a.pth')
    whole = read(dump)
    cut(dump, 3)
    (tools.folder / 'moved').mkdir(exist_ok=True)
    shutil.copyfile(tools.folder / 'a.pth', tools.folder / 'moved/c.pth')
    tools.succeed('test.py', 'dump.py', 'moved/c.pth')
    records = read(dump)
    assert [record.pop('checkpoint') for record in records] == ['a.pth'] * 3 + ['moved/c.pth'] * 4
    assert [record | {'checkpoint': 'a.pth'} for record in records] == whole
    found, expected = (file_sha256(tools.folder / name)[:16] for name in ('a.pth', 'b.pth'))
    sentence = tools.fail('test.py', 'dump.py', 'b.pth')
    assert f'found predictions of a.pth (sha256 {found}), expected those of b.pth' in sentence
    shutil.copyfile(tools.folder / 'b.pth', tools.folder / 'a.pth')  # trained anew into the same place
    sentence = tools.fail('test.py', 'dump.py', 'a.pth')
    assert f'a.pth (sha256 {found}), expected those of a.pth (sha256 {expected})' in sentence
    assert len(read(dump)) == 7
    tools.succeed('test.py', 'dump.py', 'b.pth', '--cfg-options', 'test_evaluator.resume=False')
    assert {record['checkpoint_sha256'] for record in read(dump)} == {expected}
    assert 'every expression already predicted' in tools.fail('test.py', 'dump.py', 'b.pth')


def test_one_run_at_a_time(tools, dump):
    """While a run writes, another is refused, of one process or two; once it was killed, two go on."""
    shard = dump / 'p.rank0.jsonl'
    first = tools.start('test.py', 'dump.py', 'a.pth', log='first.txt', WAIT_FOR='never')
    try:
        end = time.monotonic() + 250
        while not (shard.exists() and shard.read_text().count('\n') == 2):
            assert time.monotonic() < end, (tools.folder / 'first.txt').read_text()
            time.sleep(0.1)
        for script, *count in (('test.py',), ('dist_test.sh', '2')):
            sentence = tools.fail(script, 'dump.py', 'a.pth', *count)
            assert f'another run that writes predictions there (process {first} on ' in sentence
        assert len(read(dump)) == 2
    finally:
        os.kill(first, signal.SIGKILL)
    tools.succeed('dist_test.sh', 'dump.py', 'a.pth', '2')
    # Five were left for two processes.
    records = read(dump, padding=1)
    assert len(records) == 8 and len(list(dump.glob('p.rank*.jsonl'))) == 2
    assert len({(record['checkpoint'], record['checkpoint_sha256']) for record in records}) == 1


def test_the_selection_names_the_weights(tools, dump):
    """Each pseudo mask, and the report."""
    tools.succeed('test.py', 'dump.py', 'a.pth')
    splits = json.loads((tools.folder / 'data/instances.json').read_text())
    for record in splits['val']:
        del record['mask']
    (tools.folder / 'withheld.json').write_text(json.dumps(splits))
    pick = (
        'choose_pseudo_data.py', '--annotations', 'withheld.json', '--split', 'val', '--out', 'picked.json',
        '--strategy', 'all', '--predictions',
    )  # fmt: skip
    tools.succeed(*pick, 'pseudo/p')
    digits = file_sha256(tools.folder / 'a.pth')[:16]
    source = {'checkpoint': 'a.pth', 'checkpoint_sha256': digits}
    picked = json.loads((tools.folder / 'picked.json').read_text())['val']
    assert [record['mask_source'] for record in picked] == [{'kind': 'pseudo', **source}] * 4
    report = json.loads((tools.folder / 'picked_report.json').read_text())
    assert report['checkpoints'] == [{**source, 'predictions': 7}] and report['notes'] == []
    # Shards that were put together by hand, of which the last say nothing.
    lines = read(dump)
    for record in lines[5:]:
        del record['checkpoint'], record['checkpoint_sha256']
    lines[0]['checkpoint_sha256'] = '0' * 16
    (tools.folder / 'mixed.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    done = tools.succeed(*pick, 'mixed.jsonl', '--checkpoint', 'b.pth')
    assert 'predictions of different checkpoints: a.pth (sha256 0000000000000000), a.pth' in done.stdout
    report = json.loads((tools.folder / 'picked_report.json').read_text())
    other = {'checkpoint': 'b.pth', 'checkpoint_sha256': file_sha256(tools.folder / 'b.pth')[:16]}
    assert [item['predictions'] for item in report['checkpoints']] == [4, 2, 1]
    assert report['checkpoints'][1] == {**other, 'predictions': 2}
    picked = json.loads((tools.folder / 'picked.json').read_text())['val']
    assert picked[-1]['mask_source'] == {'kind': 'pseudo', **other}
