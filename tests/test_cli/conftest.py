"""The command in this process, on a few pictures of RefShapes."""

import sys
from collections import namedtuple

import cv2
import pytest

from mmrefseg.cli import main as command
from mmrefseg.datasets.refshapes import PRESETS, make_image

Done = namedtuple('Done', 'code out err')


@pytest.fixture
def call(capsys, monkeypatch):
    """Run ``mmrefseg WORDS``; returns exit code, stdout and stderr."""

    def run(*words):
        monkeypatch.setattr(sys, 'argv', ['mmrefseg', *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            command.main()
        return Done(stop.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """The current folder has ``photos/`` with a.png, b.png and one of another size, wide.png."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    for index, name in enumerate(('a', 'b')):
        image, _ = make_image(0, 'testA', index, PRESETS['small'])
        cv2.imwrite(str(folder / f'{name}.png'), image[..., ::-1])
    cv2.imwrite(str(folder / 'wide.png'), cv2.resize(image[..., ::-1], (220, 160)))
    monkeypatch.chdir(tmp_path)
    return folder
