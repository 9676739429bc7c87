"""Winograd's convolutions against PyTorch's, and where they are put."""

import copy

import pytest
import torch
from torch import nn

from mmrefseg.models.acceleration import winograd
from mmrefseg.models.acceleration.folding import fold_batch_norms
from mmrefseg.models.acceleration.winograd import WinogradConv3x3, use_winograd


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


def test_autocast_leaves_it_alone():
    conv = nn.Conv2d(8, 8, 3, padding=1)
    x = torch.randn(1, 8, 8, 8)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        found = WinogradConv3x3(conv.weight, conv.bias, 4)(x.bfloat16())
    with torch.no_grad():
        assert torch.allclose(found, conv(x.bfloat16().float()), atol=1e-4)


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
    with torch.device('meta'):
        stays = nn.Sequential(nn.Conv2d(**{**settings, **changes}))
    assert type(use_winograd(stays)[0]) is nn.Conv2d


def test_folding_puts_them_in():
    torch.manual_seed(0)
    block = nn.Sequential(nn.Conv2d(128, 128, 3, padding=1, bias=False), nn.BatchNorm2d(128), nn.ReLU())
    block = nn.Sequential(block, nn.Conv2d(128, 256, 3, padding=1)).eval()
    block[0][1].running_mean.uniform_(-1, 1)
    block[0][1].running_var.uniform_(0.5, 2)
    fast = fold_batch_norms(block)
    assert [type(fast[0][0]), type(fast[1])] == [WinogradConv3x3] * 2
    assert type(block[1]) is nn.Conv2d
    x = torch.randn(2, 128, 6, 10)
    with torch.no_grad():
        wanted, found = block(x), copy.deepcopy(fast)(x)
    assert (found - wanted).abs().max() < 1e-5 * wanted.abs().max()
