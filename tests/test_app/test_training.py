"""A training as a process: started, followed, stopped, resumed, found again; with a stand-in for the tool."""

import json
import sys
import time

import pytest

from mmrefseg.app import training
from mmrefseg.app.progress import draw_progress
from mmrefseg.app.training import TrainingJob
from mmrefseg.utils import UserInputError

STAND_IN = """
import json, sys, time
from pathlib import Path
data, _, folder, *options = sys.argv[1:]
if '--fail' in options:
    sys.exit('error: photos: found no annotations, expected some; label some images')
run = Path(folder)
for name in ('boxes', 'masks'):
    (run / f'{name}.py').write_text('max_epochs = 4\\n')
    (run / name / '1/vis_data').mkdir(parents=True, exist_ok=True)
slugs = {'boxes': 'boxes_and_sentences', 'masks': 'masks_in_the_boxes'}
(run / 'stages').mkdir(exist_ok=True)
for name, slug in slugs.items():
    (run / 'stages' / f'{slug}.log').write_text('INFO - Epoch(train)  [2][5/10] loss: 3.0\\n')
    lines = [json.dumps({'loss': 5.0 - step, 'step': step}) for step in range(3)]
    (run / name / '1/vis_data/scalars.json').write_text('\\n'.join([*lines, '{"half']))
    while not (run / 'go').exists():
        time.sleep(0.02)
    (run / name / 'best.pth').touch()
    (run / 'stages' / f'{slug}.json').write_text('{"command": [], "seconds": 60.0}')
(run / 'stages/scores_on_val.json').write_text('{"command": [], "seconds": 5.0}')
(run / 'val.json').write_text('{"miou": 61.5, "protocol": "sentence"}')
"""


@pytest.fixture
def job(tmp_path, monkeypatch):
    """With a small script in place of tools/train_folder.py; it does not outlive the test."""
    script = tmp_path / 'stand_in.py'
    script.write_text(STAND_IN)
    monkeypatch.setattr(
        training, 'python', lambda tool, *words: (sys.executable, str(script), *map(str, words))
    )
    job = TrainingJob(tmp_path / 'run_1')
    yield job
    job.stop()


def until(true):
    """Wait for it."""
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_stop_and_resume(job, tmp_path):
    job.start(tmp_path / 'photos')
    until(lambda: job.progress().losses)
    found = TrainingJob(job.folder)  # an app that is opened again
    progress = found.progress()
    assert progress.state == 'running' and progress.seconds > 0
    assert dict(progress.stages) == {
        'boxes and sentences': pytest.approx(0.375), 'masks in the boxes': 0.0, 'scores on val': 0.0,
    }  # fmt: skip
    assert progress.share == pytest.approx(3 * 0.375 / 7)
    assert progress.losses == {'boxes and sentences': [(0.0, 5.0), (1.0, 4.0), (2.0, 3.0)]}
    with pytest.raises(UserInputError, match='a training that runs'):
        found.start(tmp_path / 'photos')
    found.stop()
    assert not job.running and job.progress().state == 'stopped'
    job.stop()  # nothing left to stop

    (job.folder / 'go').touch()
    TrainingJob(job.folder).resume()
    until(lambda: not job.running)
    done = job.progress()
    assert done.state == 'done' and done.scores == {'miou': 61.5} and done.share == 1
    assert done.seconds == 125 and len(done.losses) == 2
    assert '61.5 %' in draw_progress(done)


def test_a_failure_is_told(job, tmp_path):
    job.start(tmp_path / 'photos', ['--fail'])
    until(lambda: not job.running)
    progress = job.progress()
    assert progress.state == 'failed'
    assert progress.error == 'photos: found no annotations, expected some; label some images'
    assert 'found no annotations' in draw_progress(progress)


def test_another_process_of_that_number_is_none_of_ours(job):
    job.folder.mkdir()
    content = {'pid': 1, 'born': '0', 'started': 0.0, 'command': ['x']}
    (job.folder / 'job.json').write_text(json.dumps(content))
    assert not job.running and job.progress().state == 'failed'


def test_nothing_to_resume(job):
    with pytest.raises(UserInputError, match='found no training'):
        job.resume()


def test_before_the_first():
    assert 'No training yet' in draw_progress(None)
