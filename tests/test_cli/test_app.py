"""``mmrefseg app`` where gradio is missing."""

import importlib.metadata
import sys
import types

import pytest
import torch


@pytest.mark.parametrize(('version', 'said'), [('', 'no gradio'), ('5.50.0', 'gradio 5.50.0')])
def test_without_gradio(call, monkeypatch, version, said):
    asked = importlib.metadata.version

    def without(name):
        if name != 'gradio':
            return asked(name)
        if not version:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, 'version', without)
    done = call('app')
    assert done.code == 2 and done.err.count('\n') == 1
    assert f"mmrefseg app: found {said}, expected gradio 6; pip install 'gradio>=6,<7'" in done.err


@pytest.mark.parametrize('words', [['app'], ['label', 'photos']])
def test_without_the_gpu_that_was_named(call, photos, monkeypatch, words):
    def serve(*_):
        pytest.fail('it starts')

    monkeypatch.setattr(importlib.metadata, 'version', lambda name: '6.0')
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 0)
    monkeypatch.setitem(sys.modules, 'mmrefseg.app.server', types.SimpleNamespace(serve=serve))
    done = call(*words, '--device', 'cuda')
    assert done.code == 2 and done.err.count('\n') == 1
    assert "device 'cuda': found no GPU, expected one that is there; use cpu" in done.err


def test_label_says_what_it_opens(call):
    out = call('label', '--help').out
    assert 'open the app at its page Label' in out and 'drawn_masks.json' in out
