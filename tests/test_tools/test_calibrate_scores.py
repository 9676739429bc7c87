"""tools/analysis_tools/calibrate_scores.py as a process, and what reads its file."""

import json

import pytest

TOOL = 'analysis_tools/calibrate_scores.py'
# Of first sentences, whose masks are right, and of second ones, a quarter of the box aside (IoU about 0.6).
SCORES = (0.2, 0.1)


@pytest.fixture
def scored(tools, tmp_path):
    """Annotations and a prediction file in which the better masks have the higher score, both too low."""
    annotations = tools.folder / 'data' / 'instances.json'
    lines = []
    for record in json.loads(annotations.read_text())['val']:
        x, y, w, h = record['bbox']
        for number, sent_id in enumerate(record['sent_ids']):
            left, right = x + number * w // 4, x + w + number * w // 4
            mask = [[left, y, right, y, right, y + h, left, y + h]]
            line = dict(ref_id=record['ref_id'], sent_id=sent_id, segmentation=mask, bbox=[left, y, w, h])
            lines.append({**line, 'score': SCORES[number]})
    path = tmp_path / 'scored.json'
    path.write_text(json.dumps(lines))
    return annotations, lines, path


def test_measure_fit_apply(tools, scored, tmp_path):
    annotations, lines, path = scored
    fitted, out, plot = (tmp_path / name for name in ('calibration.json', 'numbers.json', 'plot.png'))
    arguments = (path, '--ann', annotations, '--split', 'val')
    done = tools.succeed(TOOL, *arguments, '--fit', fitted, '--json', out, '--plot', plot)
    assert 'ECE' in done.stdout and 'cross-validated' in done.stdout
    numbers = json.loads(out.read_text())
    assert numbers['as predicted']['ece'] == pytest.approx(numbers['as predicted']['iou'] - 0.157, abs=0.01)
    assert sum(row['masks'] for row in numbers['bins']) == numbers['masks'] == len(lines) == 7
    assert plot.read_bytes().startswith(b'\x89PNG') and plot.stat().st_size < 100_000
    content = json.loads(fitted.read_text())
    assert content['about']['split'] == 'val' and content['scores'][0] == 0 and content['ious'][-1] == 1

    rewritten, after = tmp_path / 'rewritten.json', tmp_path / 'after.json'
    tools.succeed(TOOL, *arguments, '--calibration', fitted, '--write', rewritten, '--json', after)
    found = json.loads(after.read_text())
    assert found['calibrated']['ece'] < 0.3 * found['as predicted']['ece']
    assert found['calibrated']['auroc50'] == pytest.approx(found['as predicted']['auroc50'], nan_ok=True)
    written = json.loads(rewritten.read_text())
    assert [{**line, 'score': 0} for line in written] == [{**line, 'score': 0} for line in lines]
    again = tmp_path / 'again.json'
    tools.succeed(TOOL, rewritten, *arguments[1:], '--json', again)
    assert json.loads(again.read_text())['as predicted'] == pytest.approx(found['calibrated'], nan_ok=True)


def test_boxes_alone(tools, scored, tmp_path):
    annotations, lines, _ = scored
    path, out = tmp_path / 'boxes.json', tmp_path / 'numbers.json'
    path.write_text(json.dumps([{k: v for k, v in line.items() if k != 'segmentation'} for line in lines]))
    tools.succeed(TOOL, path, '--ann', annotations, '--split', 'val', '--json', out)
    assert json.loads(out.read_text())['boxes'] == len(lines)


BAD = {
    'no score': (lambda lines: lines[2].pop('score'), 'found no score'),
    'a score of 2': (lambda lines: lines[2].update(score=2), 'found score 2'),
    'a prediction too few': (lambda lines: lines.pop(), '1 missing'),
}


@pytest.mark.parametrize('name', BAD)
def test_wrong_predictions(tools, scored, tmp_path, name):
    annotations, lines, _ = scored
    spoil, words = BAD[name]
    spoil(lines)
    path = tmp_path / 'bad.json'
    path.write_text(json.dumps(lines))
    assert words in tools.fail(TOOL, path, '--ann', annotations, '--split', 'val')


def test_wrong_arguments(tools, scored, tmp_path):
    annotations, _, path = scored
    arguments = (path, '--ann', annotations, '--split', 'val')
    other = tmp_path / 'other.json'
    other.write_text('{}')
    assert '--fit' in tools.fail(TOOL, *arguments, '--calibration', other)
    for wrong in (('--fit', 'x.json', '--calibration', other), ('--write', 'y.json')):
        assert tools.run(TOOL, *arguments, *wrong).returncode == 2


@pytest.mark.parametrize('option', ['--fit', '--plot', '--json'])
def test_what_is_read_is_never_replaced(tools, scored, tmp_path, option):
    annotations, _, path = scored
    before = annotations.read_bytes(), path.read_bytes()
    arguments = (path, '--ann', annotations, '--split', 'val')
    assert 'found the file of --ann' in tools.fail(TOOL, *arguments, option, annotations)
    assert 'found the file of the predictions' in tools.fail(TOOL, *arguments, option, path)
    twice = ('--fit', tmp_path / 'x.json', '--write', tmp_path / 'x.json')
    assert 'found the file of --fit' in tools.fail(TOOL, *arguments, *twice)
    assert (annotations.read_bytes(), path.read_bytes()) == before


@pytest.mark.parametrize('metric', ['RESMetric', 'PseudoLabelDump'])
def test_a_test_writes_calibrated_scores(tools, trained, tmp_path, metric):
    """Every score becomes what the file says, whatever the model."""
    flat, config = tmp_path / 'flat.json', tmp_path / 'config.py'
    flat.write_text(json.dumps({'scores': [0, 1], 'ious': [0.25, 0.25]}))
    evaluator = dict(_delete_=True, type=metric, outfile_prefix=str(tmp_path / 'out'))
    config.write_text(f'_base_ = [{tools.config!r}]\ntest_evaluator = {evaluator!r}\n')
    arguments = ('--work-dir', tmp_path / 'w', '--options', f'calibration={flat}')
    tools.succeed('test.py', config, trained / 'best.pth', *arguments)
    (path,) = tmp_path.glob('out.re*.json' if metric == 'RESMetric' else 'out.rank*.jsonl')
    text = path.read_text()
    lines = json.loads(text) if metric == 'RESMetric' else list(map(json.loads, text.splitlines()))
    assert lines and {line['score'] for line in lines} == {0.25}
