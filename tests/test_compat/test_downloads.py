"""Weights by their address, from a server on this machine."""

import functools
import http.server
import threading

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from mmrefseg.compat.downloads import load_from_openmmlab, read_downloads_safely
from mmrefseg.utils import UserInputError


class Trap:
    """A pickle that would make a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), 'w')


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Address of a folder with files; downloads are kept elsewhere."""
    folder = tmp_path / 'served'
    folder.mkdir()
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    read_downloads_safely()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield folder, f'http://127.0.0.1:{running.server_port}'
        running.shutdown()


def test_downloaded_once(server, tmp_path):
    folder, address = server
    torch.save(dict(state_dict=dict(weight=torch.arange(3.0))), folder / 'w%2B1.pth')
    (folder / 'w+1.pth').write_bytes((folder / 'w%2B1.pth').read_bytes())
    for _ in range(2):
        checkpoint = CheckpointLoader.load_checkpoint(f'{address}/w%2B1.pth', map_location='cpu')
        assert checkpoint['state_dict']['weight'].tolist() == [0, 1, 2]
        (folder / 'w+1.pth').unlink(missing_ok=True)  # the second time it is there already
    assert (tmp_path / 'hub/checkpoints/w%2B1.pth').is_file()


def test_code_is_not_run(server, tmp_path):
    folder, address = server
    torch.save(dict(state_dict={}, meta=Trap(tmp_path / 'sprung')), folder / 'evil.pth')
    with pytest.raises(UserInputError, match='not executed'):
        CheckpointLoader.load_checkpoint(f'{address}/evil.pth', map_location='cpu')
    assert not (tmp_path / 'sprung').exists()


def test_what_cannot_be_had(server, tmp_path):
    _, address = server
    for url in (f'{address}/none.pth', 'http://127.0.0.1:9/x.pth'):
        with pytest.raises(UserInputError, match=r'no way to download it .* put it at .*hub') as error:
            CheckpointLoader.load_checkpoint(url, map_location='cpu')
        assert '\n' not in str(error.value)
    assert not list((tmp_path / 'hub/checkpoints').glob('*.pth'))


def test_names_of_openmmlab(monkeypatch):
    asked = []
    monkeypatch.setattr('mmrefseg.compat.downloads.load_from_http', lambda url, _: asked.append(url))
    load_from_openmmlab('open-mmlab://resnest50')
    assert asked[0].startswith('https://download.openmmlab.com/') and 'resnest50' in asked[0]
    with pytest.raises(UserInputError, match='unknown name'):
        load_from_openmmlab('open-mmlab://resnest51')
