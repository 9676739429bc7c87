"""The study of ImageNet's features: what is trained, and what is read from the logs."""

import json

import pytest
from mmengine.config import Config

from mmrefseg.experiments.imagenet import STARTS, ImageNetStudy, imagenet_table, read_curve, write_imagenet
from mmrefseg.utils import UserInputError


@pytest.fixture
def study(tmp_path, repo_root, monkeypatch) -> ImageNetStudy:
    monkeypatch.chdir(repo_root)
    return ImageNetStudy(tmp_path / 'imagenet' / 'seed0', 0, 'tiny', weights=tmp_path / 'weights')


def test_only_the_start_differs(study):
    """The same data, network and schedule; random weights learn at the rate of the other backbones."""
    configs = {}
    stages = list(study.stages())
    assert [stage.name for stage in stages[2:]] == list(STARTS)
    assert str(study.converted) == stages[1].command[-1]
    for stage in stages[2:]:
        command = list(stage.command)
        config = Config.fromfile(command[2])
        pairs = command[command.index('--cfg-options') + 1 :]
        config.merge_from_dict(dict(pair.split('=', 1) for pair in pairs))
        configs[stage.name] = config.to_dict()
    pretrained, scratch = configs['imagenet'], configs['scratch']
    assert pretrained['model']['backbone'].pop('init_cfg')['checkpoint'] == str(study.converted)
    assert scratch['model']['backbone'].pop('init_cfg') is None
    rates = [c['optim_wrapper']['paramwise_cfg']['custom_keys'].pop('backbone') for c in configs.values()]
    assert rates == [{'lr_mult': 0.3}, {'lr_mult': 3.0}]
    for config in configs.values():
        for key in ('work_dir', 'filename'):
            config.pop(key, None)
    assert pretrained == scratch


def test_weights_are_missing(study):
    with pytest.raises(UserInputError, match='fetch them with make test-weights'):
        study.check()


def test_steps_and_minutes(study, tmp_path):
    """The first validation that reaches the goal; time is that of training steps."""
    lines = []
    for epoch, accuracy in ((1, 60.0), (2, 81.0), (3, 79.0)):
        lines += [{'loss': 1.0, 'time': 0.6, 'step': 100 * epoch - 50, 'epoch': epoch}]
        lines += [{'loss': 1.0, 'time': 1.2, 'step': 100 * epoch, 'epoch': epoch}]
        lines += [{'rec/acc50': accuracy, 'time': 9.0, 'step': epoch}]
    text = '\n'.join(json.dumps(line) for line in lines)
    assert [point['steps'] for point in read_curve(text)] == [100, 200, 300]
    assert [point['minutes'] for point in read_curve(text)] == [1.5, 3.0, 4.5]
    folder = study.folder / 'imagenet' / '20260101_000000' / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text(text)
    assert '| ImageNet | 0 | 200 | 3.0 | 60.0 | 79.0 |' in write_imagenet([study], tmp_path)
    below = [{'seed': 0, 'start': 'scratch', 'curve': read_curve(text)[:1]}]
    assert '| random weights | 0 | - | - | 60.0 | 60.0 |' in imagenet_table(below)
    assert imagenet_table([]) == 'nothing is done yet\n'
