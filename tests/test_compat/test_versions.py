"""A host package of a wrong version, or none, is one sentence."""

import importlib.metadata
import importlib.util
import re
from pathlib import Path

import pytest

from mmrefseg.compat.versions import HOSTS, IncompatibleVersionError, check_versions


@pytest.fixture
def pretend(monkeypatch):
    real = importlib.metadata.version

    def install(**versions):
        def version(name):
            found = versions.get(name.replace('-', '_'), ...)
            if found is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return real(name) if found is ... else found

        monkeypatch.setattr(importlib.metadata, 'version', version)

    return install


def test_the_installed_versions_are_right():
    check_versions()


@pytest.mark.parametrize(
    ('found', 'words'),
    [
        ({'mmdet': '2.28.0'}, ['mmdet 2.28.0', '>=3.3.0', 'pip install mmdet==3.3.0']),
        ({'mmcv': None, 'mmcv_lite': '2.2.0'}, ['mmcv 2.2.0', '<2.2.0', 'pip install mmcv-lite==2.1.0']),
        ({'mmcv': '1.7.2'}, ['mmcv 1.7.2', '>=2.0.0']),
        ({'mmcv': None, 'mmcv_lite': None}, ['mmcv not installed', 'pip install mmcv-lite==2.1.0']),
        ({'mmengine': '0.7.0'}, ['mmengine 0.7.0', 'pip install mmengine==0.10.7']),
        ({'torch': '1.13.1+cu117'}, ['torch 1.13.1+cu117', '>=2.6', 'pip install torch==2.13.0']),
    ],
)
def test_wrong_versions(pretend, found, words):
    pretend(**found)
    with pytest.raises(IncompatibleVersionError) as error:
        check_versions()
    message = str(error.value)
    assert all(word in message for word in words) and '\n' not in message


@pytest.mark.parametrize('torch', ['2.6.0', '2.13.0+cpu', '2.14.0.dev20260101'])
def test_right_versions(pretend, torch):
    pretend(torch=torch, mmcv='2.1.0')
    check_versions()


def test_no_pkg_resources(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name: None if name == 'pkg_resources' else real(name)
    )
    with pytest.raises(IncompatibleVersionError, match=r"pip install 'setuptools<81'"):
        check_versions()


def test_the_commands_install_what_is_pinned(repo_root: Path):
    pins = (repo_root / 'requirements/constraints.txt').read_text()
    assert len(HOSTS) == 4
    for _, _, requirement in HOSTS.values():
        assert re.search(rf'^{re.escape(requirement)}$', pins, re.MULTILINE), requirement
