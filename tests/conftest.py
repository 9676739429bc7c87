"""What every test may use: the shared data, and a torch that leaves the other core alone."""

import gc
import os
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope

import mmrefseg
import mmrefseg.registration

torch.set_num_threads(1)
gc.set_threshold(50_000)  # as the tools

ROOT = Path(__file__).resolve().parents[1]
DATA_VARIABLE = 'MMREFSEG_TEST_DATA'


@pytest.fixture(scope='module', autouse=True)
def little_to_collect():
    """Data sets collect garbage when they are made: not among packages and thousands of tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def mmdet_scope():
    """Names in configs mean mmdet's registries, as in a run; whatever an earlier test has left."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


@pytest.fixture(scope='session')
def repo_root() -> Path:
    """The checkout, of which the imported package must be a part."""
    assert Path(mmrefseg.__file__).is_relative_to(ROOT), f'{mmrefseg.__file__} is tested instead of {ROOT}'
    return ROOT


@pytest.fixture(scope='session')
def test_data() -> Path:
    """MMREFSEG_TEST_DATA, else ../shared/data; where it is missing a skip, in CI a failure."""
    folder = Path(os.environ.get(DATA_VARIABLE) or ROOT.parent / 'shared' / 'data')
    if folder.is_dir():
        return folder
    message = f'{DATA_VARIABLE}: found no folder {folder}, expected the shared test data'
    if os.environ.get('CI', '').lower() in ('', '0', 'false'):
        pytest.skip(message)
    pytest.fail(message)


@pytest.fixture(scope='session')
def shared_dir(test_data: Path) -> Path:
    """The folder that holds data/, golden/ and vocab/."""
    return test_data.parent


@pytest.fixture(scope='session')
def golden_dir(shared_dir: Path) -> Path:
    """What the original implementations computed."""
    return shared_dir / 'golden'


@pytest.fixture(scope='session')
def browser(tmp_path_factory):
    """Chromium (a ``Browser``); where it is missing a skip, in CI a failure."""
    from headless_browser import Browser

    program = shutil.which('chromium') or shutil.which('chromium-browser')
    if program is None:
        message = 'found no chromium, which opens the HTML page; apt-get install chromium'
        if os.environ.get('CI', '').lower() in ('', '0', 'false'):
            pytest.skip(message)
        pytest.fail(message)
    return Browser(program, tmp_path_factory.mktemp('browser'))
