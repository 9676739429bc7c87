"""Winograd's convolutions against PyTorch's, and where they are put."""

import pytest
import torch
from torch import nn

from mmrefseg.models.acceleration import winograd
from mmrefseg.models.acceleration.winograd import WinogradConv3x3, tile_outputs


@pytest.mark.parametrize('outputs', [2, 4])
@pytest.mark.parametrize('size', [(8, 8), (9, 14), (3, 1), (1, 2)])
@pytest.mark.parametrize('bias', [True, False])
def test_is_a_convolution(outputs, size, bias, monkeypatch):
    monkeypatch.setattr(winograd, 'TILES_AT_ONCE', 5)  # several groups and rows, the last ones smaller
    torch.manual_seed(0)
    conv = nn.Conv2d(5, 7, 3, padding=1, bias=bias)
    fast = WinogradConv3x3(conv.weight, conv.bias, outputs)
    x = torch.randn(5, 5, *size)
    before = x.clone()
    with torch.no_grad():
        wanted = conv(x)
        for layout in (torch.contiguous_format, torch.channels_last):
            found = fast(x.contiguous(memory_format=layout))
            assert found.is_contiguous(memory_format=torch.channels_last)
            assert (found - wanted).abs().max() < 1e-5 * wanted.abs().max()
    assert torch.equal(x, before)


def test_wide_layers_stay_close():
    """A hundredth of what folding may differ by, where sums are longest and numbers largest."""
    torch.manual_seed(0)
    for channels, outputs in ((256, 4), (1792, 2)):
        conv = nn.Conv2d(channels, 16, 3, padding=1)
        x = torch.randn(1, channels, 8, 8) * 100 + 50
        fast = WinogradConv3x3(conv.weight, conv.bias, outputs)
        with torch.no_grad():
            wanted = conv.double()(x.double())
            assert (fast(x) - wanted).abs().max() < 1e-5 * wanted.abs().max()


@pytest.mark.parametrize(
    'changes',
    [
        dict(stride=2),
        dict(padding=0),
        dict(dilation=2),
        dict(groups=2),
        dict(padding_mode='reflect'),
        dict(kernel_size=1, padding=0),
        dict(in_channels=64),
        dict(dtype=torch.float64),
    ],
)
def test_what_does_not_fit_stays(changes):
    settings = dict(in_channels=128, out_channels=128, kernel_size=3, padding=1)
    x = torch.empty(1).expand(1, 128, 30, 30)
    with torch.device('meta'):
        assert tile_outputs(nn.Conv2d(**settings), x) == 4
        stays = nn.Conv2d(**{**settings, **changes})
    assert tile_outputs(stays, x.to(changes.get('dtype', x.dtype))) == 0


def test_tiles_by_width_and_size():
    def outputs(c, d, size):
        with torch.device('meta'):
            conv = nn.Conv2d(c, d, 3, padding=1)
        return tile_outputs(conv, torch.empty(1).expand(1, c, size, size))

    assert outputs(128, 256, 10) == 4
    assert outputs(512, 1024, 20) == 2 and outputs(512, 1024, 30) == 4
    assert outputs(1792, 1792, 30) == 2 and outputs(2048, 2048, 30) == 0
    assert outputs(64, 256, 30) == 0
