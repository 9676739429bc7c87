"""The full-size LAVT configs on real images and sentences, through the real tools, by every protocol.

Two steps of training and a test of all 309 sentences of the mini RefCOCO, at few pixels, with fewer blocks
and channels and without pretrained weights: that everything fits together is checked, not what is learned.
With MMREFSEG_FULL_SIZE=1 the same at 480 pixels with Swin-B and BERT-base: over an hour, so not in CI.
"""

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.registry import init_default_scope
from test_tools.conftest import Tools

from mmrefseg.compat.checkpoint import load_checkpoint_file
from mmrefseg.runs.config import load_config
from mmrefseg.structures.rle import run_lengths

SENTENCES, OBJECTS = 309, 107
FULL_SIZE = os.environ.get('MMREFSEG_FULL_SIZE') == '1'
SIZE = 480 if FULL_SIZE else 48
PROTOCOLS = {
    'sentence': ((), 'RESMetric, protocol sentence, frame original', 'sentences=each, frame=original'),
    'network': (
        ('frame=network',),
        'RESMetric, protocol sentence, frame network',
        'sentences=each, frame=network',
    ),
    'cat': (('protocol=cat',), 'RESMetric, protocol cat, frame original', 'sentences=cat, frame=original'),
    'avg': (('protocol=avg',), 'RESMetric, protocol avg, frame original', 'sentences=avg, frame=original'),
}
CHILD = """
_base_ = {base!r}
model = dict(
    backbone=dict(init_cfg=None, {backbone}),
    decode_head=dict({head}),
    language_model=dict(path=None, config=dict({bert}), vocab_file={vocabulary!r}),
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(split='train', indices=2))
test_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False, dataset=dict(split='all'))
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, pin_memory=False, dataset=dict(indices=4)
)
train_cfg = dict(max_epochs=1)
default_hooks = dict(checkpoint=dict(save_optimizer=False, interval=-1, save_last=False))
"""
FULL = dict(backbone='', head='', bert='')
FEWER = dict(
    backbone='embed_dims=32, depths=(2, 1, 1, 1), num_heads=(1, 2, 4, 8)',
    head='in_channels=(32, 64, 128, 256), channels=64',
    bert='num_hidden_layers=1',
)


class Project:
    """A checkout's working folder with the mini RefCOCO in it."""

    def __init__(self, folder: Path, mini: Path, repo: Path, vocabulary: Path) -> None:
        self.tools, self.folder, self.repo, self.vocabulary = Tools(folder), folder, repo, vocabulary
        images = folder / 'data/images/mscoco/train2014'
        images.parent.mkdir(parents=True)
        images.symlink_to(mini / 'images')
        out = folder / 'data/annotations/refcoco-unc/instances.json'
        refer = [mini / 'refcoco' / name for name in ('refs(unc).p', 'instances.json')]
        self.tools.succeed('dataset_converters/convert.py', 'refer', *refer, '--out', out)
        splits = json.loads(out.read_text())
        records = [record for split in ('val', 'testA', 'testB') for record in splits[split]]
        chosen = set(json.loads((mini / 'local_image_split.json').read_text())['train'])
        splits = {'all': records, 'train': [r for r in records if r['image_id'] in chosen]}
        out.write_text(json.dumps(splits))
        self.annotations = out

    def train(self, name: str, size: int) -> str:
        """Two steps of a shipped config; returns the log."""
        base = str(self.repo / f'configs/lavt/{name}.py')
        self.config = self.folder / f'{name}.py'
        network = FULL if FULL_SIZE else FEWER
        self.config.write_text(CHILD.format(base=base, vocabulary=str(self.vocabulary), **network))
        self.size = [f'val_dataloader.dataset.pipeline.2.scale=({size},{size})']
        self.size.append(f'test_dataloader.dataset.pipeline.2.scale=({size},{size})')
        train = f'train_dataloader.dataset.pipeline.3.scale=({size},{size})'
        args = ('--work-dir', name, '--seed', '0', '--cfg-options', *self.size, train)
        self.best = f'{name}/best.pth'
        log = self.tools.succeed('train.py', self.config, *args).stdout
        self.balance(size)
        return log

    def balance(self, size: int) -> None:
        """Turn the last layer so that the barely trained network sees objects and background alike.

        Its weights for the object are made orthogonal to the mean of what they see: masks then differ from
        image to image and from sentence to sentence, instead of being empty.
        """
        init_default_scope('mmdet')  # a module's fixture starts before the scope that each test is given
        config = load_config(str(self.config), {})
        config.model.backbone.init_cfg = None
        model = MODELS.build(config.model).eval()
        checkpoint = load_checkpoint_file(str(self.folder / self.best))
        model.load_state_dict(checkpoint['state_dict'])
        seen = []
        model.decode_head.classifier.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
        paths = sorted((self.folder / 'data/images/mscoco/train2014').glob('*.jpg'))[:6]
        images = [cv2.resize(cv2.imread(str(path)), (size, size)).transpose(2, 0, 1) for path in paths]
        batch = (torch.from_numpy(np.stack(images)[:, ::-1].copy()).float() - 116) / 58
        sample = DetDataSample(metainfo=dict(expressions=['the man on the left']))
        with torch.no_grad():
            model._forward(batch, [sample] * len(batch))
        mean = torch.cat(seen).mean((0, 2, 3))
        weight = checkpoint['state_dict']['decode_head.classifier.weight']
        for row in weight:
            row -= (row[:, 0, 0] @ mean / (mean @ mean) * mean)[:, None, None]
        checkpoint['state_dict']['decode_head.classifier.bias'].zero_()
        torch.save(checkpoint, self.folder / self.best)

    def test(self, options: tuple, name: str, *changes: str) -> dict:
        """Test all sentences; returns metrics, what was printed and the prediction file."""
        prefix = f'{name}_predictions'
        done = self.tools.succeed(
            'test.py', self.config, self.best, '--json', f'{name}.json', '--work-dir', 'tested',
            '--options', f'jsonfile_prefix={prefix}', *options, '--cfg-options', *self.size, *changes,
        )  # fmt: skip
        metrics, predictions = (
            json.loads((self.folder / file).read_text()) for file in (f'{name}.json', f'{prefix}.res.json')
        )
        return dict(metrics=metrics, stdout=done.stdout, predictions=predictions)


@pytest.fixture(scope='module')
def project(tmp_path_factory, test_data, shared_dir, repo_root):
    """LAVT's config, trained and tested by four protocols."""
    vocabulary = shared_dir / 'vocab' / 'bert-base-uncased-vocab.txt'
    folder = tmp_path_factory.mktemp('lavt_real')
    project = Project(folder, test_data / 'mini_refcoco', repo_root, vocabulary)
    try:
        project.log = project.train('lavt_swin-b-w12_480_refcoco-unc', SIZE)
        project.tested = {name: project.test(options, name) for name, (options, *_) in PROTOCOLS.items()}
        yield project
    finally:
        shutil.rmtree(project.folder)


def test_two_finite_steps(project):
    lines = project.folder.glob('lavt_swin*/*/vis_data/scalars.json')
    records = [json.loads(line) for path in lines for line in path.read_text().splitlines()]
    trained = [record for record in records if 'loss' in record]
    assert trained and trained[-1]['step'] == 2
    # Two classes, untrained: about log 2.
    assert all(0.2 < record['loss'] < 2 for record in trained)


@pytest.mark.parametrize('name', PROTOCOLS)
def test_every_sentence_by_every_protocol(project, name):
    """All sentences are predicted; the results say by which protocol, of what model."""
    _, metric, model = PROTOCOLS[name]
    tested = project.tested[name]
    assert metric in tested['stdout'] and model in tested['stdout']
    about = tested['metrics']['about']
    assert about['metrics'] == [metric] and about['model'] == f'model: {model}' and about['split'] == ['all']
    assert all(0 <= tested['metrics'][key] <= 100 for key in ('oiou', 'miou', 'p50', 'p90'))
    keys = {(entry['ref_id'], entry['sent_id']) for entry in tested['predictions']}
    assert len(tested['predictions']) == len(keys) == SENTENCES
    areas = [run_lengths(entry['segmentation']['counts'])[1::2].sum() for entry in tested['predictions']]
    assert len(set(map(int, areas))) > 20, 'the masks must differ for the protocols to mean anything'


@pytest.mark.parametrize('name', ['cat', 'avg'])
def test_one_answer_an_object(project, name):
    by_object: dict = {}
    for entry in project.tested[name]['predictions']:
        by_object.setdefault(entry['ref_id'], set()).add(entry['segmentation']['counts'])
    assert len(by_object) == OBJECTS and all(len(masks) == 1 for masks in by_object.values())
    single: dict = {}
    for entry in project.tested['sentence']['predictions']:
        single.setdefault(entry['ref_id'], set()).add(entry['segmentation']['counts'])
    assert any(len(masks) > 1 for masks in single.values()), 'alone, sentences give different masks'


@pytest.mark.parametrize('name', ['sentence', 'cat', 'avg'])
def test_the_file_scores_the_same(project, name):
    """evaluate_predictions.py, without the model."""
    project.tools.succeed(
        'analysis_tools/evaluate_predictions.py', f'{name}_predictions.res.json', '--ann',
        project.annotations, '--split', 'all', '--protocol', name, '--json', 'offline.json',
    )  # fmt: skip
    offline = json.loads((project.folder / 'offline.json').read_text())
    for key in ('oiou', 'miou', 'p50'):
        assert offline[key] == project.tested[name]['metrics'][key]
    assert offline['num_expressions' if name == 'sentence' else 'num_objects'] == (
        SENTENCES if name == 'sentence' else OBJECTS
    )


def test_protocols_differ(project):
    numbers = [project.tested[name]['metrics']['miou'] for name in PROTOCOLS]
    assert len(set(numbers)) == len(numbers)
    # LAVT's own frame moves the number a little, not much.
    assert project.tested['network']['metrics']['miou'] == pytest.approx(numbers[0], abs=3)


def test_failures_of_a_dense_model(project):
    """The study works on LAVT's file as on any."""
    project.tools.succeed(
        'analysis_tools/analyze_failures.py', 'sentence_predictions.res.json', '--ann', project.annotations,
        '--split', 'all', '--out', 'failures',
    )  # fmt: skip
    summary = json.loads((project.folder / 'failures/summary.json').read_text())
    assert summary['num_cases'] == SENTENCES
    assert summary['miou'] == project.tested['sentence']['metrics']['miou']
