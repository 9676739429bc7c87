"""Every benchmark runs as a process, at toy size, and finds that both sides give the same."""

import json
import os

import pytest
from test_tools.conftest import Tools

TOY = ['--toy', '--threads', '1', '--repeats', '2', '--size', '96', '--batch', '3', '--points', '4']
FACTS = {'machine', 'options', 'rows'}


def run(root, tmp_path, name, *args):
    """A benchmark's table as text, and what it writes."""
    out = tmp_path / 'results' / f'{name}.json'
    script = root / 'benchmarks' / f'{name}.py'
    tools = Tools(tmp_path)
    result = tools.succeed(script, *args, '--out', out, MKL_NUM_THREADS='1', **tools.server.warm)
    found = json.loads(out.read_text())
    assert found.keys() >= FACTS
    assert found['machine']['cores'] == os.cpu_count()
    for row in found['rows']:
        numbers = [value for value in row.values() if not isinstance(value, str)]
        assert numbers and all(value >= 0 for value in numbers), row
    return result.stdout, found


def test_decoding(repo_root, tmp_path):
    text, found = run(repo_root, tmp_path, 'decoding', *TOY)
    assert found['same_tokens'] and found['tokens'] == [3, 9] and found['distinct_tokens'] > 1
    assert [row['decoding'] for row in found['rows']] == ['prefix recomputed', 'plain', 'accelerated']
    assert found['ratio_of_acceleration'] > 0
    assert found['ratio'] > 0 and 'ratio' in text and 'last third ms' in text


def test_inference(repo_root, tmp_path):
    _, found = run(repo_root, tmp_path, 'inference', *TOY)
    assert found['same_masks'] and 0 < found['largest_difference'] < 1e-4
    assert [row['network'] for row in found['rows']] == ['plain', 'accelerated']
    for row in found['rows']:
        parts = sum(value for key, value in row.items() if key.endswith('_ms'))
        assert parts < 2 * row['ms']


def test_shared_backbone(repo_root, tmp_path, test_data):
    boxes = ['--boxes', str(test_data / 'refcoco_boxes'), '--images', '2']
    _, found = run(repo_root, tmp_path, 'shared_backbone', *TOY, *boxes)
    assert found['same_masks'] and sum(found['expressions']) == round(2 * found['mean_of_all'])
    # reference.md: 10,834 + 5,657 + 5,095 sentences; 3,000 images
    assert found['mean_of_all'] == pytest.approx(21_586 / 3_000)


def test_train_step(repo_root, tmp_path):
    _, found = run(repo_root, tmp_path, 'train_step', *TOY)
    assert found['same_loss']
    assert [row['step'] for row in found['rows']] == ['loop form', 'plain', 'accelerated']
    assert all(row['peak_mb'] >= row['model_mb'] > 50 for row in found['rows'])


def test_dataset(repo_root, tmp_path, test_data):
    boxes = ['--boxes', str(test_data / 'refcoco_boxes')]
    _, found = run(repo_root, tmp_path, 'dataset', *boxes, '--scale', '0.005', '--repeats', '1')
    assert found['same_data'] and found['objects'] == 212
    assert [row['dataset'] for row in found['rows']] == ['no data', 'json.load', 'RefSegDataset']


def test_selection(repo_root, tmp_path):
    sizes = ['--numbers', '40', '80', '--repeats', '1', '--loop-objects', '10']
    _, found = run(repo_root, tmp_path, 'selection', *sizes)
    assert [row['objects'] for row in found['rows']] == [40, 80]
    assert all(0 < row['accepted'] <= row['objects'] for row in found['rows'])
    assert found['loop_seconds_of_all'] > 0


def test_lavt(repo_root, tmp_path):
    _, found = run(repo_root, tmp_path, 'lavt', *TOY, '--sentences', '1', '3')
    assert [(row['path'], row['sentences'], row['images']) for row in found['rows']] == [
        (path, sentences, images)
        for sentences, images in ((1, 3), (3, 1))
        for path in ('pair by pair', 'plain', 'accelerated')
    ]  # fmt: skip
    assert all(0 < found[f'difference_{count}'] < 1e-4 and found[f'ratio_{count}'] > 0 for count in (1, 3))


def test_pieces(repo_root, tmp_path):
    _, found = run(repo_root, tmp_path, 'pieces', *TOY)
    pieces = {(row['work'], row['piece']) for row in found['rows']}
    assert len(pieces) == len(found['rows']) >= 8
    assert ('train', 'FoldedConvModule') in pieces and ('seqtr', 'StepwiseHead') in pieces
    assert ('lavt', 'IndexedWindows') in pieces and ('lavt', 'StepwiseHead') not in pieces


def test_a_missing_folder_is_said(repo_root, tmp_path):
    result = Tools(tmp_path).run(repo_root / 'benchmarks/dataset.py', '--boxes', tmp_path)
    assert result.returncode != 0
    assert f'--boxes {tmp_path}: no ' in result.stderr
    assert 'Traceback' not in result.stderr


def test_refiner(repo_root, tmp_path):
    _, found = run(repo_root, tmp_path, 'refiner', *TOY)
    assert [row['network'] for row in found['rows']] == ['contours', 'contours, refined', 'box, refined']
    assert found['contours, refined of contours, ratio'] > 0


def test_feature_cache(repo_root, tmp_path):
    _, found = run(repo_root, tmp_path, 'feature_cache', *TOY)
    assert [row['features'] for row in found['rows']] == ['computed', 'read']
    assert found['loss_difference'] < 1e-3
    # six by six patches of 32 channels, in half precision
    assert found['megabytes_an_image'] == pytest.approx(2 * 6 * 6 * 32 / 1e6)
