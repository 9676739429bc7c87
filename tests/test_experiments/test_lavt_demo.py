"""``make demo-lavt`` as a process, from any folder, with RefShapes tiny and one epoch."""

import json
import subprocess
import sys

from PIL import Image


def run_demo(repo_root, folder):
    command = [
        sys.executable, str(repo_root / 'tools/run_lavt_demo.py'), '--size', 'tiny', '--pictures', '2',
        '--protocols', 'sentence', '--cfg-options', 'train_cfg.max_epochs=1',
        'train_cfg.val_interval=1',
    ]  # fmt: skip
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)


def test_demo_leaves_table_pictures_and_page_and_is_not_done_twice(repo_root, tmp_path):
    done = run_demo(repo_root, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    summary = json.loads((tmp_path / 'work_dirs/demo-lavt/summary.json').read_text())
    assert set(summary) == {'protocols', 'failures', 'sentences', 'train_seconds', 'seconds', 'seed'}
    assert set(summary['protocols']['sentence']) == {'miou', 'oiou', 'p50', 'p90'}
    assert all(0 <= value <= 100 for value in summary['protocols']['sentence'].values())
    assert 0 < summary['failures'] <= summary['sentences'] and summary['sentences'] > 50
    assert 0 < summary['train_seconds'] < summary['seconds']
    assert 'per sentence, original size' in done.stdout
    assert 'late LAVT on RefShapes tiny testA' in done.stdout
    with Image.open(tmp_path / 'work_dirs/demo-lavt/pictures/predictions.png') as picture:
        assert picture.width > 400 and len(set(picture.convert('L').getdata())) > 50
    page = (tmp_path / 'work_dirs/demo-lavt/failures/index.html').read_text()
    assert 'late LAVT on RefShapes tiny testA' in page and page.count('<figure>') >= 12
    again = run_demo(repo_root, tmp_path)
    assert again.returncode == 0, again.stderr[-2000:]
    assert again.stderr.count('done before') == 5
    assert json.loads((tmp_path / 'work_dirs/demo-lavt/summary.json').read_text()) == summary
