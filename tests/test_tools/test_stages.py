"""The shipped RefShapes configs through the real tools, a stage after the other."""

import json

import pytest

from mmrefseg.compat.checkpoint import load_checkpoint_file
from mmrefseg.experiments.stages import Stage

from .conftest import REPO

NEW = ('head.roi_memory.', 'head.mask_cell_head.', 'head.task_embedding.')


def test_segmentation_starts_from_comprehension(stages):
    """The next stage finds the previous one's best checkpoint, and takes all that has the right shape."""
    assert (stages.tools.folder / stages.best('rec')).is_file()
    report = next(line for line in stages.logs['m100'].splitlines() if 'tensors of the model' in line)
    assert stages.best('rec') in report
    trained = load_checkpoint_file(str(stages.tools.folder / stages.best('m100')))['state_dict']
    # a network of boxes has no features of RoIs, and need not tell two tasks apart
    new = [name for name in trained if name.startswith(NEW)]
    fitting, in_model = (
        int(report.split(word)[0].split()[-1]) for word in (' of the', ' tensors of the model')
    )
    assert fitting == in_model - len(new) - 1, report
    assert f'({len(new)} missing, 0 unexpected, 1 of another shape)' in report
    assert 'mismatched: head.decoder.position.weight' in stages.logs['m100']


def test_partial_res_starts_from_the_same_comprehension(stages):
    """Partial-RES takes all but the prompt and the longer sequence, and trains for steps, not epochs."""
    config = str(REPO / 'configs/partial_res/partial-res_tiny_m100_refshapes.py')
    few = (
        *('train_dataloader.dataset.indices=8', 'val_dataloader.dataset.indices=2'),
        *('train_cfg.max_iters=3', 'train_cfg.val_interval=3'),
        *('default_hooks.checkpoint.interval=3', 'default_hooks.logger.interval=1'),
    )
    command = ('train.py', config, '--work-dir', 'plain', '--load-from', stages.best('rec'))
    log = stages.tools.succeed(*command, '--cfg-options', *few).stdout
    report = next(line for line in log.splitlines() if 'tensors of the model' in line)
    assert stages.best('rec') in report and '(1 missing, ' in report and ' 1 of another shape)' in report
    assert 'missing: head.task_prompt.weight' in log
    assert 'mismatched: head.decoder.position.weight' in log
    stage = Stage('train', (), stages.tools.folder, epochs=1)
    done = [share for share in map(stage.progress, log.splitlines()) if share is not None]
    assert done == pytest.approx([1 / 3, 2 / 3, 1])
    trained = load_checkpoint_file(str(stages.tools.folder / 'plain/best.pth'))
    assert trained['meta']['iter'] == 3
    assert not [name for name in trained['state_dict'] if name.startswith((*NEW, 'auxiliary_heads'))]


def test_stage_before_is_missing(stages):
    sentence = stages.tools.fail(
        'train.py', stages.config('m100'), '--cfg-options', 'load_from=work_dirs/nothing_here/best.pth'
    )
    assert 'train the stage that writes it (nothing_here) first' in sentence


def test_comprehension_weights_are_not_enough_to_test_segmentation(stages):
    sentence = stages.tools.fail('test.py', stages.config('m100'), stages.best('rec'))
    assert 'head.decoder.position.weight' in sentence and '100%' in sentence


def test_submission_and_images(stages):
    """Every pair of five images: in the submission once, and one image file an image."""
    tools = stages.tools
    tools.succeed(
        'test.py', stages.config('m100'), stages.best('m100'), '--which-set', 'testB', '--format-only',
        '--options', 'jsonfile_prefix=mine', '--show-dir', 'shown', '--work-dir', 'testB',
        '--cfg-options', *stages.tiny,
    )  # fmt: skip
    records = json.loads((tools.folder / 'mine.res.json').read_text())
    objects = json.loads((tools.folder / 'data/annotations/refshapes_tiny/instances.json').read_text())[
        'testB'
    ]
    pairs = {(record['ref_id'], record['sent_id']) for record in records}
    known = {(item['ref_id'], sent): item['image_id'] for item in objects for sent in item['sent_ids']}
    assert len(pairs) == len(records) > 5 and pairs <= known.keys()
    images = {known[pair] for pair in pairs}
    assert len(images) == 5
    assert pairs == {pair for pair, image in known.items() if image in images}, (
        'every expression of each image'
    )
    assert len(list((tools.folder / 'testB').glob('*/shown/*.png'))) == 5
