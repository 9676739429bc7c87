"""``make demo-instances`` as a process, from any folder, with RefShapes tiny and a few steps."""

import json
import subprocess
import sys

from PIL import Image


def test_demo_leaves_scores_and_pictures_and_is_not_done_twice(repo_root, tmp_path):
    command = [
        sys.executable, str(repo_root / 'tools/run_instances_demo.py'), '--size', 'tiny', '--pictures', '2',
        '--cfg-options', 'train_cfg.max_iters=8', 'train_cfg.val_interval=8',
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


def test_few_masks(repo_root, tmp_path):
    """One table of three trainings: with the other boxes, without, with all masks."""
    command = [
        sys.executable, str(repo_root / 'tools/run_instances_demo.py'), '--size', 'tiny',
        '--cfg-options', 'train_cfg.max_iters=2', 'train_cfg.val_interval=2', '--few-masks',
    ]  # fmt: skip
    done = subprocess.run([*command, '3'], cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'mask AP' in done.stdout and 'left out' in done.stdout
    folder = tmp_path / 'work_dirs/demo-instances/few_masks'
    rows = json.loads((folder / 'summary.json').read_text())['rows']
    assert [row['seeds'] for row in rows] == [[3]] * 3
    assert rows[0]['trained_on'].startswith('5 % of the masks') and rows[2]['trained_on'] == 'all masks'
    assert all(0 <= row[key]['mean'] <= 100 for row in rows for key in ('segm_mAP', 'bbox_mAP_50'))
    sample = json.loads((folder / 'seed3/annotations/instances_train_sample_5.json').read_text())
    masks = sum('segmentation' in each for each in sample['annotations'])
    assert masks == round(0.05 * len(sample['annotations']))
    trained = {}
    for name in ('with_boxes', 'without_boxes', 'all_masks'):
        stamp = json.loads((folder / f'seed3/{name}/stages/train_mask_r_cnn.json').read_text())
        trained[name] = ' '.join(stamp['command'])
    assert ['instances_train_sample_5.json' in each for each in trained.values()] == [True, True, False]
    assert ['no-boxes' in each for each in trained.values()] == [False, True, False]
