"""The shipped RefShapes configs through the real tools, a stage after the other."""

import json

from mmrefseg.compat.checkpoint import load_checkpoint_file

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


def test_stage_before_is_missing(stages):
    sentence = stages.tools.fail(
        'train.py', stages.config('m100'), '--cfg-options', 'load_from=work_dirs/nothing_here/best.pth'
    )
    assert 'train the stage that writes it (nothing_here) first' in sentence


def test_comprehension_weights_are_not_enough_to_test_segmentation(stages):
    sentence = stages.tools.fail('test.py', stages.config('m100'), stages.best('rec'))
    assert 'head.decoder.position.weight' in sentence and '100%' in sentence


def test_submission_and_pictures(stages):
    """Every pair of five pictures: in the submission once, and one picture file an image."""
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
        'every expression of each picture'
    )
    assert len(list((tools.folder / 'testB').glob('*/shown/*.png'))) == 5
