"""Configs can inherit from this package's and from mmdet's, silently."""

import warnings
from pathlib import Path

import mmengine.hub.hub
import pytest
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.utils import get_installed_path

import mmrefseg
from mmrefseg.compat.versions import HARMLESS, silence_known_warnings
from mmrefseg.runs.config import load_config
from mmrefseg.utils import UserInputError


def test_base_of_this_package(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = 'mmrefseg::_base_/default_runtime.py'\nmine = 1\n")
    config = Config.fromfile(path)
    assert config.default_scope == 'mmdet' and config.mine == 1


def test_models_of_inherited_configs_build(tmp_path):
    """Our classes are in mmdet's registries: there is no scope of our own to look them up in."""
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = 'mmrefseg::_base_/models/seqtr_darknet53.py'\n")
    neck = Config.fromfile(path).model.neck
    assert type(MODELS.build(neck)).__name__ == 'MultiscaleFusion'
    path.write_text("_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'\n")
    assert Config.fromfile(path).model._scope_ == 'mmdet'


def test_custom_imports(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text("custom_imports = dict(imports=['mmrefseg.registration'], allow_failed_imports=False)\n")
    Config.fromfile(path)


def test_folder_of_the_package():
    folder = Path(mmrefseg.__file__).parent
    assert Path(get_installed_path('mmrefseg')) == folder
    assert Path(mmengine.hub.hub.get_installed_path('mmrefseg')) == folder
    assert (Path(get_installed_path('mmdet')) / '.mim' / 'configs').is_dir()
    assert (folder / '.mim' / 'configs').is_dir(), 'run `make install` (or pip install -e .)'


def test_only_the_known_warnings_are_silenced(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = 'mmdet::_base_/default_runtime.py'\n")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        silence_known_warnings()
        Config.fromfile(path)
        assert not caught, caught[0].message
        for harmless in HARMLESS:  # the same words from elsewhere are heard
            warnings.warn(harmless.message, harmless.category, stacklevel=1)
    assert [str(warning.message) for warning in caught] == [harmless.message for harmless in HARMLESS]


def test_another_package_is_still_unknown():
    with pytest.raises(AssertionError, match='does not support'):
        Config._get_cfg_path('mmnothing::a/b.py', 'x.py')


@pytest.mark.parametrize(
    'tag', ['!!python/object/apply:os.system', '!!python/object/new:os.system', '!!python/name:os.system']
)
def test_yaml_is_data(tmp_path, tag):
    """A tag that names a function calls nothing; the sentence says where the file is wrong."""
    path, made = tmp_path / 'evil.yaml', tmp_path / 'made'
    argument = '' if 'name' in tag else f' ["touch {made}"]'
    path.write_text(f'model: 1\nx: {tag}{argument}\n')
    with pytest.raises(UserInputError, match=r'evil\.yaml: the config cannot be read .*python'):
        load_config(str(path))
    assert not made.exists()


def test_yaml_that_mmengine_wrote_is_read(tmp_path):
    path = tmp_path / 'mine.yaml'
    Config(dict(model=dict(sizes=(1, 2), names=['a']))).dump(path)
    assert load_config(str(path)).model == dict(sizes=(1, 2), names=['a'])
