"""One folder of photos, one network and one server for all tests of the app."""

import shutil
from pathlib import Path

import pytest

from mmrefseg.app.demo_photos import make_photos
from mmrefseg.app.project import Project
from mmrefseg.app.proposals import Proposer
from mmrefseg.datasets.refshapes.presets import make_preset
from mmrefseg.utils.places import DEFAULT

PRESET = make_preset('app', 128, train=3, val=1, test_a=1, test_b=1)


@pytest.fixture(scope='session')
def made(tmp_path_factory) -> tuple[Path, dict]:
    """Four photos without a mask, not to be changed; the true masks."""
    folder = tmp_path_factory.mktemp('photos') / 'photos'
    masks = make_photos(folder, PRESET)
    assert len(masks) >= 10
    return folder, masks


@pytest.fixture
def photos(made, tmp_path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(made[0], tmp_path / 'photos'))


@pytest.fixture
def project(photos, tmp_path) -> Project:
    """On the copy."""
    return Project(photos, tmp_path / 'runs')


@pytest.fixture(scope='session')
def proposer() -> Proposer:
    """The network inside the package."""
    return Proposer(DEFAULT)
