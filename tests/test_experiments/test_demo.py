"""``make demo`` as a process, from any folder, with RefShapes tiny and one epoch of everything."""

import json
import subprocess
import sys

import pytest
from PIL import Image

from mmrefseg.experiments.demo import opening_line
from mmrefseg.experiments.few_masks import BOX_FRAME, FROZEN_BOX_FRAME, PARTIAL_RES, SHIPPED_REC, PartialStudy


def run_demo(repo_root, folder):
    command = [
        sys.executable, str(repo_root / 'tools/run_demo.py'), '--size', 'tiny', '--pictures', '2',
        '--cfg-options', 'train_cfg.max_epochs=1',
    ]  # fmt: skip
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)


def has_a_drawing(path):
    with Image.open(path) as picture:
        return picture.width > 400 and len(set(picture.convert('L').getdata())) > 50


def test_demo_leaves_summary_and_pictures_and_is_not_done_twice(repo_root, tmp_path):
    done = run_demo(repo_root, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    said = done.stdout.splitlines()
    assert (
        said[0].startswith("BoxRefiner, this package's own method (") and f'from {SHIPPED_REC} (' in said[0]
    )
    assert said[1].endswith(': work_dirs/demo/pictures/first_masks.png')
    demo = tmp_path / 'work_dirs/demo'
    assert has_a_drawing(demo / 'pictures/first_masks.png') and has_a_drawing(
        demo / 'pictures/predictions.png'
    )
    summary = json.loads((demo / 'summary.json').read_text())
    assert set(summary) == {
        'network', 'start', 'split', 'few_masks', 'rpp', 'best_readout', 'gain', 'rec_acc50', 'accept_rate',
        'pseudo_miou', 'seconds', 'seed',
    }  # fmt: skip
    assert [summary[key] for key in ('network', 'start', 'split')] == [
        'box-refiner',
        SHIPPED_REC,
        'testA',
    ]
    assert set(summary['few_masks']) == set(summary['rpp']) == {'refiner'}
    for key in ('few_masks', 'rpp'):
        for scores in summary[key].values():
            assert set(scores) == {'miou', 'oiou', 'p50', 'p90'}
            assert all(0 <= value <= 100 for value in scores.values())
    best = [summary[key][readout]['miou'] for key, readout in summary['best_readout'].items()]
    assert summary['gain'] == pytest.approx(best[1] - best[0], abs=0.006)
    assert '5 % + RPP' in done.stdout and 'best readout against best readout' in ' '.join(done.stdout.split())
    again = run_demo(repo_root, tmp_path)
    assert again.returncode == 0, again.stderr[-2000:]
    assert again.stderr.count('done before') == 10
    assert json.loads((demo / 'summary.json').read_text()) == summary


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({}, ('BoxFrame', "own method (--network partial-res runs the paper's)", 'from nothing', 'minutes')),
        ({'rec': SHIPPED_REC}, (f'from {SHIPPED_REC} (boxes only; no mask was seen)', 'about')),
        (
            {'network': PARTIAL_RES, 'rec': SHIPPED_REC},
            ("Partial-RES, the paper's network", 'BoxRefiner'),
        ),
        ({'network': FROZEN_BOX_FRAME, 'rec': SHIPPED_REC}, ('BoxFrame on frozen boxes, this', 'about')),
        ({'network': BOX_FRAME, 'size': 'tiny'}, ('from nothing',)),
    ],
)
def test_the_first_line_says_network_start_and_time(tmp_path, options, words):
    line = opening_line(PartialStudy(tmp_path, 0, **options))
    assert all(word in line for word in words) and '\n' not in line
    assert ('minutes' in line) == (options.get('size') != 'tiny')
    trained = opening_line(PartialStudy(tmp_path, 0))
    assert trained != opening_line(PartialStudy(tmp_path, 0, rec=SHIPPED_REC))


@pytest.mark.parametrize(
    ('command', 'words'),
    [
        (('run_demo.py', '--folder', ''), 'found an empty name'),
        (('run_demo.py', '--seed', '-1'), "found '-1', expected a whole number from 0"),
        (('run_experiment.py', '--seeds', '0', '99999999999'), "found '99999999999'"),
        (('run_experiment.py', '--rec-epochs', '3'), 'found no --ablation'),
        (
            ('run_experiment.py', '--ratios', '0'),
            '--ratios: found 0, which no network of the table can learn',
        ),
        (('run_experiment.py', '--rivals', '--selections', 'rpp'), '--selections: found --rivals'),
        (('run_experiment.py', '--choice', '--ratios', '1'), '--ratios: found --choice'),
        (('run_experiment.py', '--rec', __file__), 'test_demo.py: found a file that torch cannot read'),
        (('run_experiment.py', '--rec', '.'), '--rec .: found a folder, expected a checkpoint'),
        (('run_experiment.py', '--rec', 'mmrefseg://nope'), 'found no weights of that name'),
        (('run_demo.py', '--cfg-options', 'foo'), "found 'foo', expected key=value"),
        (('run_experiment.py', '--cfg-options', 'a.b=1', '=2'), "found '=2', expected key=value"),
    ],
)
def test_what_cannot_run_is_said_before_anything_is_made(repo_root, tmp_path, command, words):
    script, *options = command
    run = [sys.executable, str(repo_root / 'tools' / script), *options]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and words in done.stderr and not list(tmp_path.iterdir())
