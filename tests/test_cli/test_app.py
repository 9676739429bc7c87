"""``mmrefseg app`` where gradio is missing."""

import importlib.metadata

import pytest


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


def test_label_says_what_it_opens(call):
    out = call('label', '--help').out
    assert 'open the app at its page Label' in out and 'drawn_masks.json' in out
