"""Weights & Biases and MLflow, each with a stand-in that refuses what the real one refuses."""

import os
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmrefseg.utils import UserInputError
from mmrefseg.visualization.backends import RefMLflowVisBackend, RefWandbVisBackend


@pytest.fixture
def config(tmp_path):
    """Of a run with a work directory."""
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'first.log').write_text('')
    return Config(dict(work_dir=str(tmp_path / 'run'), optimizer=dict(lr=0.1)))


@pytest.fixture
def mlflow(monkeypatch, tmp_path):
    """MLflow 3: no plain files as a store, no image without a format in its name."""
    monkeypatch.delenv('MLFLOW_TRACKING_URI', raising=False)
    monkeypatch.delenv('MLFLOW_DISABLE_TELEMETRY', raising=False)
    module = ModuleType('mlflow')
    said = module.said = SimpleNamespace(params={}, images=[], artifacts=[], location=None, uri=None, ended=0)

    def set_tracking_uri(uri):
        assert os.environ['MLFLOW_DISABLE_TELEMETRY'] == 'true'
        if uri.startswith('file:'):
            raise RuntimeError('The filesystem tracking backend is in\nmaintenance mode')
        said.uri = uri

    def log_image(image, name):
        Image.fromarray(image).save(tmp_path / name.replace('/', '_'))
        said.images.append(name)

    def create_experiment(name, artifact_location=None):
        said.location = artifact_location

    def end_run():
        said.ended += 1

    module.set_tracking_uri, module.log_image, module.end_run = set_tracking_uri, log_image, end_run
    module.get_experiment_by_name, module.create_experiment = lambda name: None, create_experiment
    module.set_experiment = module.set_tag = lambda *_: None
    module.log_params, module.log_text = said.params.update, lambda *_: None
    module.log_artifact = lambda path, folder: said.artifacts.append(path)
    monkeypatch.setitem(sys.modules, 'mlflow', module)
    return module


def mlflow_backend(config):
    return RefMLflowVisBackend(f'{config.work_dir}/stamp/vis_data', exp_name='mmrefseg', run_name='mine')


def test_mlflow_writes_into_the_work_directory(config, mlflow):
    """A database and images in it, and no copies of the logs that lie there."""
    backend = mlflow_backend(config)
    backend.add_config(config)
    assert mlflow.said.uri == f'sqlite:///{config.work_dir}/mlflow.db'
    assert mlflow.said.location == f'file://{config.work_dir}/mlflow_artifacts'
    assert mlflow.said.params['optimizer.lr'] == 0.1
    backend.add_image('val/0', np.zeros((4, 4, 3), np.uint8), 12)
    assert mlflow.said.images == ['val/0/00000012.png']
    backend.close()
    assert mlflow.said.artifacts == [] and mlflow.said.ended == 1


def test_mlflow_on_a_server(config, mlflow, monkeypatch):
    """It gets the logs, too."""
    monkeypatch.setenv('MLFLOW_TRACKING_URI', 'http://127.0.0.1:5000')
    backend = mlflow_backend(config)
    backend.add_config(config)
    assert mlflow.said.uri == 'http://127.0.0.1:5000' and mlflow.said.location is None
    backend.close()
    assert mlflow.said.artifacts == [f'{config.work_dir}/first.log']


def test_mlflow_that_cannot_start(config, mlflow, monkeypatch):
    monkeypatch.setenv('MLFLOW_TRACKING_URI', 'file:///elsewhere')
    with pytest.raises(
        UserInputError, match=r'--log-to mlflow: .* in maintenance mode\).*MLFLOW_TRACKING_URI'
    ):
        mlflow_backend(config).add_config(config)


@pytest.fixture
def wandb(monkeypatch):
    """Weights & Biases with or without a key; it would log the code."""
    module = ModuleType('wandb')
    module.key, values = True, {}
    module.config = SimpleNamespace(update=lambda new, allow_val_change: values.update(new), values=values)
    module.run = SimpleNamespace(log_code=lambda **_: pytest.fail('the programs of a folder are logged'))

    def init(**settings):
        if not module.key:
            raise RuntimeError('No API key configured.')
        module.settings = settings

    monkeypatch.setitem(sys.modules, 'wandb', module)
    module.init = init
    return module


def test_wandb_gets_the_config_and_no_programs(config, wandb, tmp_path):
    backend = RefWandbVisBackend(str(tmp_path / 'vis_data'), dict(project='mmrefseg', name='mine'))
    backend.add_config(config)
    assert wandb.config.values['optimizer'] == {'lr': 0.1}
    assert wandb.settings == {
        'project': 'mmrefseg', 'name': 'mine', 'dir': str(tmp_path / 'vis_data'),
    }  # fmt: skip


def test_wandb_without_a_key(config, wandb, tmp_path):
    wandb.key = False
    with pytest.raises(UserInputError, match=r'--log-to wandb: .*No API key.*WANDB_MODE=offline'):
        RefWandbVisBackend(str(tmp_path / 'vis_data')).add_config(config)
