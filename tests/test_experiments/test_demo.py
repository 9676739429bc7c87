"""``make demo`` as a process, from any folder, with RefShapes tiny and one epoch of everything."""

import json
import subprocess
import sys

from PIL import Image


def run_demo(repo_root, folder):
    command = [
        sys.executable, str(repo_root / 'tools/run_demo.py'), '--size', 'tiny', '--pictures', '2',
        '--cfg-options', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1',
    ]  # fmt: skip
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)


def test_demo_leaves_summary_and_pictures_and_is_not_done_twice(repo_root, tmp_path):
    done = run_demo(repo_root, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    summary = json.loads((tmp_path / 'work_dirs/demo/summary.json').read_text())
    assert set(summary) == {
        'network', 'few_masks', 'rpp', 'rec_acc50', 'accept_rate', 'pseudo_miou', 'seconds', 'seed'
    }  # fmt: skip
    assert summary['network'] == 'box-frame'
    assert set(summary['few_masks']) == set(summary['rpp']) == {'decoder', 'cells'}
    for key in ('few_masks', 'rpp'):
        for scores in summary[key].values():
            assert set(scores) == {'miou', 'oiou', 'p50', 'p90'}
            assert all(0 <= value <= 100 for value in scores.values())
    assert '5 % + RPP' in done.stdout
    with Image.open(tmp_path / 'work_dirs/demo/pictures/predictions.png') as picture:
        assert picture.width > 400 and len(set(picture.convert('L').getdata())) > 50
    again = run_demo(repo_root, tmp_path)
    assert again.returncode == 0, again.stderr[-2000:]
    assert again.stderr.count('done before') == 12
    assert json.loads((tmp_path / 'work_dirs/demo/summary.json').read_text()) == summary
