"""``make demo-instances`` as a process, from any folder, with RefShapes tiny and one epoch."""

import json
import subprocess
import sys

from PIL import Image


def test_demo_leaves_scores_and_pictures_and_is_not_done_twice(repo_root, tmp_path):
    command = [
        sys.executable, str(repo_root / 'tools/run_instances_demo.py'), '--size', 'tiny', '--pictures', '2',
        '--cfg-options', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1',
    ]  # fmt: skip
    outputs = []
    for _ in range(2):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr[-2000:]
        outputs.append(done)
    assert outputs[1].stderr.count('done before') == 4
    assert outputs[0].stdout == outputs[1].stdout and 'AP50' in outputs[0].stdout
    summary = json.loads((tmp_path / 'work_dirs/demo-instances/summary.json').read_text())
    assert set(summary) == {'bbox', 'segm', 'train_seconds', 'seconds', 'seed'}
    for kind in ('bbox', 'segm'):
        assert set(summary[kind]) == {'AP', 'AP50', 'AP75', 'APs', 'APm', 'APl'}
        assert 0 <= summary[kind]['AP'] <= summary[kind]['AP50'] <= 100
        assert summary[kind]['APl'] is None  # no shape of 96 x 96 in a picture of 128
    pictures = sorted((tmp_path / 'work_dirs/demo-instances/pictures').iterdir())
    assert [path.name for path in pictures] == ['testA_000000.png', 'testA_000001.png']
    with Image.open(pictures[0]) as picture:
        assert picture.size == (128, 128)
