"""The full-size RefCOCO configs on real images and sentences, stage by stage, through the real tools.

Two steps of training a stage at 128 pixels, without pretrained weights and with noise for word vectors: that
everything fits together is checked, not what is learned. The images that stand in for a training split are
RefCOCO's val and test images, so nothing learned here may ever be reported.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from test_tools.conftest import Tools

from mmrefseg.compat.checkpoint import load_checkpoint_file
from mmrefseg.utils import file_sha256

DATASET = 'refcoco-unc'
ANNOTATIONS = f'data/annotations/{DATASET}'
SENTENCES = {'val': 147, 'testA': 80, 'testB': 82}
REFINERS = ('refiner-m00', 'refiner-m100')
METRICS = ('oiou', 'miou', 'p50', 'p60', 'p70', 'p80', 'p90', 'acc50')
# Small enough for one CPU core: images of 128 pixels, two objects a step, four objects an epoch.
SMALL = (
    *(f'{split}_dataloader.num_workers=0' for split in ('train', 'val', 'test')),
    *(f'{split}_dataloader.persistent_workers=False' for split in ('train', 'val', 'test')),
    *(f'{split}_dataloader.dataset.pipeline.2.scale=(128,128)' for split in ('val', 'test')),
    'train_dataloader.dataset.pipeline.3.out_max_size=128',
    'train_dataloader.dataset.indices=4',
    'train_dataloader.batch_size=2',
    'train_dataloader.pin_memory=False',
    'train_cfg.max_epochs=1',
    'val_dataloader.dataset.indices=2',
    'val_dataloader.batch_size=2',
    'test_dataloader.batch_size=32',
    # A checkpoint of the whole network is 0.8 GB: only the best one is kept.
    'default_hooks.checkpoint.interval=-1',
    'default_hooks.checkpoint.save_last=False',
    'default_hooks.checkpoint.save_optimizer=False',
)

# Steps alone: no validation, no checkpoint. By stage: where it starts, and what makes its data small.
BOTH = 'train_dataloader.dataset.datasets'
STEPS_ALONE = ('train_cfg.val_interval=2', 'default_hooks.checkpoint.save_best=None')
LAST_STAGES = {
    'refiner-m05-teacher': (
        'rec',
        (
            *(f'{BOTH}.0.times=1', f'{BOTH}.0.dataset.indices=40', f'{BOTH}.1.indices=4'),
            *(f'{BOTH}.{part}.pipeline.3.out_max_size=128' for part in ('0.dataset', '1')),
        ),
    ),
    'refiner-m05-quality': (
        'refiner-m100',
        ('train_dataloader.dataset.indices=4', 'train_dataloader.dataset.pipeline.3.scale=(128,128)'),
    ),
}


class Project:
    """A checkout's working folder with the mini RefCOCO in it."""

    def __init__(self, folder: Path, mini: Path, repo: Path) -> None:
        self.tools, self.folder, self.repo = Tools(folder), folder, repo
        images = folder / 'data/images/mscoco/train2014'
        images.parent.mkdir(parents=True)
        images.symlink_to(mini / 'images')
        self.mini = mini

    def config(self, stage: str) -> str:
        folder = 'extended' if stage.startswith('refiner-') else 'partial_res'
        return str(self.repo / f'configs/{folder}/{self.name(stage)}.py')

    @staticmethod
    def name(stage: str) -> str:
        network = 'box-refiner' if stage.startswith('refiner-') else 'partial-res'
        return f'{network}_darknet53_{stage.removeprefix("refiner-")}_{DATASET}'

    def work_dir(self, stage: str) -> str:
        return f'work_dirs/{self.name(stage)}'

    def best(self, stage: str) -> str:
        return f'{self.work_dir(stage)}/best.pth'

    def read(self, path: str):
        return json.loads((self.folder / path).read_text())

    def train(self, stage: str, *options: str) -> str:
        """Two steps of a stage; returns its log."""
        args = ('--seed', '0', '--cfg-options', *SMALL, *options)
        return self.tools.succeed('train.py', self.config(stage), *args).stdout

    def steps(self, stage: str, start: str, options: tuple[str, ...]) -> str:
        """A few steps of a stage whose data are none of :data:`SMALL`'s; returns its log."""
        small = [option for option in SMALL if not option.startswith('train_dataloader.dataset')]
        args = ('--load-from', self.best(start), '--seed', '0')
        args += ('--cfg-options', *small, *STEPS_ALONE, *options)
        return self.tools.succeed('train.py', self.config(stage), *args).stdout

    def test(self, stage: str, *args: str, weights: str | None = None, options: tuple[str, ...] = ()) -> str:
        """Run a stage's network; returns the log."""
        weights = weights or self.best(stage)
        args = (self.config(stage), weights, *args, '--cfg-options', *SMALL, *options)
        return self.tools.succeed('test.py', *args).stdout

    def prepare(self) -> None:
        """Refer's pickles to the working format; a training split of 71 images; 5 % of its masks; words."""
        refer = [self.mini / 'refcoco' / name for name in ('refs(unc).p', 'instances.json')]
        out = f'{ANNOTATIONS}/instances.json'
        self.tools.succeed('dataset_converters/convert.py', 'refer', *refer, '--out', out)
        splits = self.read(out)
        chosen = set(json.loads((self.mini / 'local_image_split.json').read_text())['train'])
        splits['train'] = [
            record for split in SENTENCES for record in splits[split] if record['image_id'] in chosen
        ]
        (self.folder / out).write_text(json.dumps(splits))
        self.tools.succeed('dataset_converters/sample_masks.py', out, '--ratio', '5')
        self.no_words = self.tools.fail('train.py', self.config('rec'), '--cfg-options', *SMALL)
        self.tools.succeed(
            'dataset_converters/build_vocab.py', '--ann', out, '--out', f'{ANNOTATIONS}/vocab.json',
            '--vectors', 'random:300',
        )  # fmt: skip
        self.no_weights = self.tools.fail('train.py', self.config('rec'), '--cfg-options', *SMALL)


@pytest.fixture(scope='module')
def project(tmp_path_factory, test_data, repo_root):
    """All stages, one after the other."""
    project = Project(tmp_path_factory.mktemp('real_input'), test_data / 'mini_refcoco', repo_root)
    try:
        project.prepare()
        project.logs = {'rec': project.train('rec', 'model.backbone.init_cfg=None')}
        project.logs['m05'] = project.train('m05')
        project.logs['pseudo'] = project.test('m05-pseudo', weights=project.best('m05'))
        # Untrained points fit no box: a threshold that lets some of them through.
        project.tools.succeed(
            'choose_pseudo_data.py', '--ratio', '5', '--dataset', DATASET, '--threshold', '1'
        )
        project.logs['m05-retrain'] = project.train('m05-retrain')
        for stage in REFINERS:
            project.logs[stage] = project.train(stage)
        for stage, (start, options) in LAST_STAGES.items():
            project.logs[stage] = project.steps(stage, start, options)
        yield project
    finally:
        shutil.rmtree(project.folder)  # gigabytes


def test_what_is_missing_is_said(project):
    """Words, then the backbone's weights: one sentence each, with what to do."""
    assert f'{ANNOTATIONS}/vocab.json: found no such file' in project.no_words
    assert 'build_vocab.py' in project.no_words
    assert 'data/weights/darknet53.pth: found no such file' in project.no_weights
    assert 'model.backbone.init_cfg=None' in project.no_weights


def test_stages_start_from_comprehension(project):
    """Stages 2 and 3b took all that fits of stage 1: the prompt of masks is new, the sequence longer."""
    for stage in ('m05', 'm05-retrain'):
        report = project.logs[stage].split(f'checkpoint {project.best("rec")}: ')[1]
        assert '(1 missing, 0 unexpected, 1 of another shape)' in report
        assert 'missing: head.task_prompt.weight' in report
        assert 'mismatched: head.decoder.position.weight: (5, 256) -> (37, 256)' in report


@pytest.mark.parametrize('stage', ['rec', 'm05', 'm05-retrain'])
def test_two_finite_steps(project, stage):
    lines = (project.folder / project.work_dir(stage)).glob('*/vis_data/scalars.json')
    records = [json.loads(line) for path in lines for line in path.read_text().splitlines()]
    trained = [record for record in records if 'loss' in record]
    assert trained and trained[-1]['step'] == 2
    assert all(3 < record['loss'] < 20 and record['grad_norm'] > 0 for record in trained)
    assert [record['lr'] for record in trained] == pytest.approx([5e-4 / 6] * len(trained))


@pytest.mark.parametrize('stage', LAST_STAGES)
def test_a_teacher_and_a_quality_head_learn(project, stage):
    """All that they are made of is there: the whole of their start, and losses that move something."""
    report = project.logs[stage].split(f'checkpoint {project.best(LAST_STAGES[stage][0])}: ')[1]
    assert ', 0 of another shape)' in report.split('INFO')[0]
    lines = (project.folder / project.work_dir(stage)).glob('*/vis_data/scalars.json')
    records = [json.loads(line) for path in lines for line in path.read_text().splitlines()]
    trained = [record for record in records if 'loss' in record]
    assert trained and all(0 < record['loss'] < 5 and record['grad_norm'] > 0 for record in trained)


@pytest.mark.parametrize(('stage', 'learned'), zip(REFINERS, ('projection', 'mask'), strict=True))
def test_refiners_learn_on_the_boxes_of_comprehension(project, stage, learned):
    """Everything but the refiner comes from stage 1; two steps from boxes, or from masks; then masks."""
    report = project.logs[stage].split(f'checkpoint {project.best("rec")}: ')[1].split('INFO')[0]
    assert ', 0 unexpected, 0 of another shape)' in report
    lines = (project.folder / project.work_dir(stage)).glob('*/vis_data/scalars.json')
    records = [json.loads(line) for path in lines for line in path.read_text().splitlines()]
    trained = [record for record in records if 'loss' in record]
    assert trained and trained[-1]['step'] == 2
    assert all(0 < record[f'loss_{learned}'] < 3 and record['grad_norm'] > 0 for record in trained)
    assert all(record['loss_mask'] == 0 for record in trained if learned == 'projection')
    options = ('--which-set', 'val', '--json', f'{stage}.json', '--options', f'jsonfile_prefix={stage}')
    # in known boxes, so that two steps of comprehension do not matter
    project.test(stage, *options, options=('model.test_cfg.confine_to_box=True',))
    masks = project.read(f'{stage}.res.json')
    assert len(masks) == SENTENCES['val'] and project.read(f'{stage}.json')['miou'] > 5


def test_pseudo_points_of_every_training_sentence(project):
    """Each (object, sentence) of the training split once, inside the known box, by the average of stage 2."""
    shards = list((project.folder / project.work_dir('m05-pseudo')).glob('pseudo.rank*.jsonl'))
    records = [json.loads(line) for path in shards for line in path.read_text().splitlines()]
    objects = project.read(f'{ANNOTATIONS}/instances_sample_5.json')['train']
    expected = {(item['ref_id'], sent) for item in objects for sent in item['sent_ids']}
    assert len(objects) > 70 and sum('mask' in item for item in objects) == round(0.05 * len(objects))
    assert len(records) == len(expected) == len({(r['ref_id'], r['sent_id']) for r in records})
    assert {(r['ref_id'], r['sent_id']) for r in records} == expected
    boxes = {item['ref_id']: item['bbox'] for item in objects}
    for record in records:
        (x, y, w, h), (left, top, width, height) = record['bbox'], boxes[record['ref_id']]
        slack = 1 + max(record['segmentation']['size']) / 1000  # a bin, rounded
        assert x >= left - slack and x + w <= left + width + slack
        assert y >= top - slack and y + h <= top + height + slack
        assert record['checkpoint'] == project.best('m05')


def test_selection_and_retraining(project):
    report = project.read(f'{ANNOTATIONS}/instances_sample_5_box_pick_report.json')
    picked = project.read(f'{ANNOTATIONS}/instances_sample_5_box_pick.json')['train']
    assert report['accepted'] > 4
    assert sum('mask' in item for item in picked) == report['accepted'] + report['true']
    digits = file_sha256(project.folder / project.best('m05'))[:16]
    source = {'kind': 'pseudo', 'checkpoint': project.best('m05'), 'checkpoint_sha256': digits}
    sources = [item['mask_source'] for item in picked if 'mask_source' in item]
    assert sources == [source] * report['accepted']
    assert (project.folder / project.best('m05-retrain')).is_file()


def lively_weights(project) -> str:
    """Stage 3b's weights with larger embeddings: two steps of training repeat one token, these do not."""
    state = load_checkpoint_file(project.folder / project.best('m05-retrain'))['state_dict']
    for name in ('head.token_embedding.weight', 'head.decoder.position.weight', 'head.task_prompt.weight'):
        state[name] *= 16
    torch.save({'state_dict': state}, project.folder / 'lively.pth')
    return 'lively.pth'


def test_all_sentences_score_the_same_online_and_offline(project):
    """309 sentences. Points are confined to the true box, so that an untrained network scores at all."""
    confined = ('model.test_cfg.confine_to_box=True',)
    weights, counted = lively_weights(project), 0
    for split, sentences in SENTENCES.items():
        args = ('--which-set', split, '--json', f'{split}.json', '--options', f'jsonfile_prefix={split}')
        project.test('m05-retrain', *args, weights=weights, options=confined)
        file = f'{split}.res.json'
        if split == 'testB':  # a submission alone is the same file
            args = ('--which-set', split, '--format-only', '--options', 'jsonfile_prefix=submission')
            project.test('m05-retrain', *args, weights=weights, options=confined)
            file = 'submission.res.json'
            assert project.read(file) == project.read(f'{split}.res.json')
        project.tools.succeed(
            'analysis_tools/evaluate_predictions.py', file, '--ann', f'{ANNOTATIONS}/instances.json',
            '--split', split, '--json', 'offline.json',
        )  # fmt: skip
        online, offline = project.read(f'{split}.json'), project.read('offline.json')
        assert len(project.read(file)) == offline['num_expressions'] == sentences
        assert {key: online[key] for key in METRICS} == {key: offline[key] for key in METRICS}
        # an equality of something: masks that differ, and overlap the truth
        masks = {record['segmentation']['counts'] for record in project.read(file)}
        assert len(masks) > sentences / 8 and online['miou'] > 1, (len(masks), online)
        counted += sentences
    assert counted == 309
