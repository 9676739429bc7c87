"""The hook finds the data set inside its wrappers, and a run's workers see the epoch."""

import json

import pytest
import torch
from mmdet.registry import HOOKS
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import Subset

from mmrefseg.datasets.ref_seg_dataset import RefSegDataset
from mmrefseg.engine.hooks.epoch_hooks import DatasetEpochHook, set_dataset_epoch


class Draw:
    def __call__(self, results):
        return {'inputs': torch.tensor([results['sample_idx'], results['rng'].randrange(10**9)])}


class Recorder(BaseModel):
    """Keeps the batches that it is given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = []

    def forward(self, inputs, mode='tensor'):
        self.seen.append(torch.stack(list(inputs)).tolist())
        return {'loss': (self.weight**2).sum()}


@pytest.fixture
def ann_file(tmp_path):
    record = {'height': 9, 'width': 9, 'bbox': [1, 1, 5, 5], 'expressions': ['x']}
    path = tmp_path / 'a.json'
    path.write_text(json.dumps({'train': [{**record, 'image_id': number} for number in range(4)]}))
    return str(path)


def test_it_reaches_through_wrappers(ann_file):
    one, two = RefSegDataset(ann_file), RefSegDataset(ann_file)
    assert set_dataset_epoch(Subset(ConcatDataset([one, two]), [0, 5]), 6) == 2
    assert (one.epoch, two.epoch) == (6, 6)
    assert set_dataset_epoch(RepeatDataset(one, 2), 7) == 1 and one.epoch == 7
    assert set_dataset_epoch([1, 2, 3], 1) == 0


def train(tmp_path, ann_file, loop, workers=0, resume=False, loops=3):
    model = Recorder()
    runner = Runner(
        model,
        str(tmp_path),
        train_dataloader={
            'dataset': RefSegDataset(ann_file, pipeline=[Draw()]),
            'batch_size': 2,
            'num_workers': workers,
            'persistent_workers': workers > 0,
            'sampler': {'type': 'DefaultSampler' if loop == 'epoch' else 'InfiniteSampler', 'shuffle': False},
        },
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.1}},
        train_cfg={'by_epoch': True, 'max_epochs': loops}
        if loop == 'epoch'
        else {'by_epoch': False, 'max_iters': loops},
        custom_hooks=[{'type': 'DatasetEpochHook'}],
        default_hooks={'checkpoint': {'type': 'CheckpointHook', 'interval': 1}, 'logger': None},
        default_scope='mmdet',
        resume=resume,
        log_level='ERROR',
        experiment_name=f'{tmp_path}{loops}{resume}'.replace('/', '_'),
    )
    runner.train()
    return model.seen


def test_a_run_draws_anew_each_epoch_and_a_resumed_one_the_same(tmp_path, ann_file):
    assert HOOKS.get('DatasetEpochHook') is DatasetEpochHook
    whole = train(tmp_path / 'whole', ann_file, 'epoch', workers=2)
    assert [[sample for sample, _ in batch] for batch in whole] == [[0, 1], [2, 3]] * 3
    epochs = [tuple(number for batch in whole[k : k + 2] for _, number in batch) for k in (0, 2, 4)]
    assert len({number for epoch in epochs for number in epoch}) == 12
    first = train(tmp_path / 'parts', ann_file, 'epoch', loops=2)
    rest = train(tmp_path / 'parts', ann_file, 'epoch', resume=True)
    assert first + rest == whole


def test_iterations_are_counted_into_passes(tmp_path, ann_file):
    seen = train(tmp_path, ann_file, 'iter', loops=6)
    assert [[sample for sample, _ in batch] for batch in seen] == [[0, 1], [2, 3]] * 3
    assert len({number for batch in seen for _, number in batch}) == 12
