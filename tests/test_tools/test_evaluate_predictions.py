"""tools/analysis_tools/evaluate_predictions.py as a process."""

import copy
import csv
import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

TOOL = 'analysis_tools/evaluate_predictions.py'
KEYS = ['oiou', 'miou', 'p50', 'p60', 'p70', 'p80', 'p90', 'acc50']


@pytest.fixture(scope='module')
def case(tools, tmp_path_factory):
    """The toy annotations' val split and predictions that are its rectangles, moved a little."""
    folder = tmp_path_factory.mktemp('evaluate')
    objects = json.loads((tools.folder / 'data' / 'instances.json').read_text())['val']
    predictions = []
    for record in objects:
        x, y, w, h = record['bbox']
        for number, sent_id in enumerate(record['sent_ids']):
            left, right = x + number * w // 4, x + w + number * w // 4
            predictions.append(
                {
                    'ref_id': record['ref_id'],
                    'sent_id': sent_id,
                    'segmentation': [[left, y, right, y, right, y + h, left, y + h]],
                    'bbox': [left, y, w, h],
                }
            )
    path = folder / 'predictions.json'
    path.write_text(json.dumps(predictions))
    return tools.folder / 'data' / 'instances.json', objects, predictions, path


def run(tools, case, path, *args) -> dict:
    out = Path(path).with_suffix('.out.json')
    tools.succeed(TOOL, path, '--ann', case[0], '--split', 'val', '--json', out, *args)
    return json.loads(out.read_text())


def pixels(segmentation: list, size: tuple[int, int] = (64, 64)) -> np.ndarray:
    return coco_mask.decode(coco_mask.frPyObjects(segmentation, *size)).any(axis=2)


def expected(objects: list[dict], predictions: list[dict]) -> dict[str, float]:
    truth = {record['ref_id']: record for record in objects}
    counts = []
    for prediction in predictions:
        a, b = pixels(prediction['segmentation']), pixels(truth[prediction['ref_id']]['mask'])
        counts.append([(a & b).sum(), (a | b).sum()])
    inter, union = np.transpose(counts)
    table = {'oiou': 100 * inter.sum() / union.sum(), 'miou': 100 * (inter / union).mean()}
    return table | {f'p{k}0': 100 * (10 * inter >= k * union).mean() for k in (5, 6, 7, 8, 9)}


def test_numbers_and_table(tools, case, tmp_path):
    annotations, objects, predictions, path = case
    rows = tmp_path / 'rows.csv'
    done = tools.succeed(TOOL, path, '--ann', annotations, '--split', 'val', '--per-expression', rows)
    assert 'protocol: sentence, frame: original' in done.stdout and 'mIoU' in done.stdout
    numbers = run(tools, case, path)
    assert list(numbers)[:8] == KEYS and numbers['num_expressions'] == len(predictions) == 7
    table = expected(objects, predictions)
    assert {key: numbers[key] for key in table} == pytest.approx(table, rel=1e-12)
    # Second sentences are a quarter of the box aside: IoU 3 / 5.
    assert numbers['acc50'] == 100.0 and 0 < numbers['p80'] < 100
    with open(rows) as file:
        shares = [float(row['iou']) for row in csv.DictReader(file)]
    assert 100 * np.mean(shares) == pytest.approx(numbers['miou'])


def test_without_boxes_there_is_no_acc50(tools, case, tmp_path):
    bare = [{key: value for key, value in p.items() if key != 'bbox'} for p in case[2]]
    path = tmp_path / 'bare.json'
    path.write_text(json.dumps(bare))
    numbers = run(tools, case, path)
    assert numbers['acc50'] is None
    assert numbers['miou'] == run(tools, case, case[3])['miou']


def test_protocols_and_frame(tools, case, tmp_path):
    annotations, objects, predictions, path = case
    avg = run(tools, case, path, '--protocol', 'avg')
    assert (
        avg['protocol'] == 'avg' and avg['num_objects'] == 4 and avg['miou'] != run(tools, case, path)['miou']
    )
    first = list({p['ref_id']: p for p in predictions[::-1]}.values())
    one_each = tmp_path / 'cat.json'
    one_each.write_text(json.dumps(first))
    cat = run(tools, case, one_each, '--protocol', 'cat')
    assert cat['miou'] == pytest.approx(expected(objects, first)['miou'])
    sentence = tools.fail(TOOL, path, '--ann', annotations, '--split', 'val', '--protocol', 'cat')
    assert 'duplicate' in sentence and 'objects of the split' in sentence
    network = run(tools, case, path, '--frame', 'network', '--network-size', '96', '96')
    assert network['frame'] == 'network'
    assert network['miou'] == pytest.approx(run(tools, case, path)['miou'], abs=1.0)
    assert tools.run(TOOL, path, '--ann', annotations, '--split', 'val', '--frame', 'network').returncode == 2


BAD = {
    'missing': (lambda p: p.pop(), '1 missing (ref_id'),
    'duplicate': (lambda p: p.append(p[2]), '1 duplicate (ref_id'),
    'unknown': (lambda p: p[0].update(ref_id=999), '1 unknown (ref_id 999'),
    'wrong size': (
        lambda p: p[1].update(segmentation={'size': [9, 9], 'counts': 'Q2'}),
        'found an RLE of size [9, 9]',
    ),
    'nan': (lambda p: p[1].update(bbox=[1, float('nan'), 3, 4]), 'four finite numbers'),
}


@pytest.mark.parametrize('name', BAD)
def test_bad_files_are_one_sentence(tools, case, tmp_path, name):
    predictions = copy.deepcopy(case[2])
    mutate, words = BAD[name]
    mutate(predictions)
    path = tmp_path / 'bad.json'
    path.write_text(json.dumps(predictions))
    sentence = tools.fail(TOOL, path, '--ann', case[0], '--split', 'val')
    assert words in sentence


def test_wrong_split_and_file(tools, case):
    assert "no split 'testZ'" in tools.fail(TOOL, case[3], '--ann', case[0], '--split', 'testZ')
    assert 'no such file' in tools.fail(TOOL, 'none.json', '--ann', case[0], '--split', 'val')
