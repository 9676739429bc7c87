"""Each faster form of a layer against the layer."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import nn

from mmrefseg.models.acceleration import accelerate, linear
from mmrefseg.models.acceleration.base import attached
from mmrefseg.models.acceleration.linear import HAS_ONEDNN
from mmrefseg.models.acceleration.windows import window_order
from mmrefseg.models.acceleration.winograd import WinogradConv3x3
from mmrefseg.models.heads.lavt_head import ConvBlock
from mmrefseg.models.layers.swin import FeedForward, SwinBlock, WindowAttention


def stirred(block):
    """In evaluation, with a batch norm that does something."""
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    return block.eval()


@pytest.mark.parametrize('size', [(8, 8), (4, 4), (3, 9), (11, 5), (12, 16)])
@pytest.mark.parametrize('shift', [0, 2])
def test_windows_by_index(size, shift):
    """The tables do what padding, rolling and cutting do."""
    attention = WindowAttention(8, 2, 4).double().eval()
    nn.init.normal_(attention.relative_position_bias_table)
    nn.init.normal_(attention.qkv.bias)
    fast = accelerate(copy.deepcopy(attention))
    x = torch.randn(3, *size, 8, dtype=torch.float64)
    with torch.no_grad():
        for _ in range(2):  # the second time with the biases that were kept
            assert torch.allclose(fast(x, shift), attention(x, shift), atol=1e-12)
    assert fast.forward.__self__.derived._kept


@pytest.mark.parametrize('size, shift', [((8, 8), 0), ((9, 5), 2)])
def test_small_windows_in_training(size, shift, monkeypatch):
    attention = WindowAttention(8, 2, 4).double()
    nn.init.normal_(attention.relative_position_bias_table)
    fast, results = accelerate(copy.deepcopy(attention)), []
    x = torch.randn(2, *size, 8, dtype=torch.float64, requires_grad=True)
    fused, calls = F.scaled_dot_product_attention, []
    monkeypatch.setattr(
        F, 'scaled_dot_product_attention', lambda *args, **kwargs: calls.append(1) or fused(*args, **kwargs)
    )
    for module in (attention, fast):
        y = module(x, shift)
        results.append((y, *torch.autograd.grad(y.square().sum(), [x, *module.parameters()])))
    assert calls == [1]
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, atol=1e-10)


def test_maps_of_several_sizes_in_turn():
    block = SwinBlock(8, 2, 4, shift=2).double().eval()
    nn.init.normal_(block.attn.relative_position_bias_table)
    fast = accelerate(copy.deepcopy(block))
    with torch.no_grad():
        for height, width in ((4, 4), (12, 4), (9, 13), (4, 12), (9, 13)):
            x = torch.randn(2, height, width, 8, dtype=torch.float64)
            assert torch.allclose(fast(x), block(x), atol=1e-12)


def test_every_cell_has_one_place():
    order = window_order(2, 9, 13, 4, 2, torch.device('cpu'))
    assert len(order.take) == 2 * 12 * 16 and len(order.padded) == 2 * (12 * 16 - 9 * 13)
    assert torch.equal(order.take[order.back], torch.arange(2 * 9 * 13))
    assert not set(order.back.tolist()) & set(order.padded.tolist())
    assert [group.kind for group in order.groups] == [0, 1, 2, 3]
    assert [group.windows.stop - group.windows.start for group in order.groups] == [12, 4, 6, 2]


@pytest.mark.skipif(not HAS_ONEDNN, reason='this torch has no oneDNN')
@pytest.mark.parametrize('bias', [False, True])
def test_linear_layers(bias, monkeypatch):
    monkeypatch.setattr(linear, 'MANY_PRODUCTS', 9600)
    layer, x = accelerate(nn.Linear(24, 40, bias=bias)), torch.randn(2, 5, 24)
    expected, calls = F.linear(x, layer.weight, layer.bias), []
    monkeypatch.setattr(nn.Linear, 'forward', lambda *_: calls.append(1) or expected)
    with torch.no_grad():
        assert torch.allclose(layer(x), expected, atol=1e-5)
        assert not calls
        layer(x.double())
        layer(x[:1])  # few
        assert calls == [1, 1]
    layer(x)  # with gradients
    assert calls == [1, 1, 1]


@pytest.mark.skipif(not HAS_ONEDNN, reason='this torch has no oneDNN')
def test_feed_forward(monkeypatch):
    monkeypatch.setattr(linear, 'MANY_PRODUCTS', 0)
    layer, x = FeedForward(24, 40), torch.randn(2, 5, 24)
    fast, calls, gelu = accelerate(copy.deepcopy(layer)), [], F.gelu
    with torch.no_grad():
        expected = layer(x)
        monkeypatch.setattr(F, 'gelu', lambda x: calls.append(1) or gelu(x))
        assert torch.allclose(fast(x), expected, atol=1e-5) and not calls
    assert torch.allclose(fast(x), expected, atol=1e-5) and calls  # with gradients


@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('channels', [16, 128])  # direct, and wide enough for Winograd's
def test_folded_convolution(bias, channels, monkeypatch):
    calls, by_winograd = [], WinogradConv3x3.__call__
    monkeypatch.setattr(WinogradConv3x3, '__call__', lambda *args: calls.append(1) or by_winograd(*args))
    block = stirred(ConvBlock(channels, channels, bias))
    fast = accelerate(copy.deepcopy(block))
    with torch.no_grad():
        for size in (9, 5):
            x = torch.randn(2, channels, size, size)
            expected = block(x)
            for layout in (torch.contiguous_format, torch.channels_last):
                found = fast(x.contiguous(memory_format=layout))
                assert (found - expected).abs().max() <= 1e-5 * expected.max()
                assert found.is_contiguous(memory_format=torch.channels_last)
    assert bool(calls) == (channels == 128)


@pytest.mark.parametrize(
    'changes, folded',
    [
        ({}, True),
        (dict(norm_cfg=None, act_cfg=None), True),
        (dict(act_cfg=dict(type='LeakyReLU', negative_slope=0.1), stride=2), True),
        (dict(groups=4, dilation=2, bias=True), True),
        (dict(norm_cfg=dict(type='GN', num_groups=4)), False),
        (dict(order=('norm', 'conv', 'act')), False),
        (dict(padding_mode='reflect'), False),
        (dict(with_spectral_norm=True), False),
        (dict(norm_cfg=dict(type='IN')), False),
    ],
)
@pytest.mark.filterwarnings('ignore:Unnecessary conv bias')
def test_mmcv_blocks(changes, folded):
    block = stirred(
        ConvModule(
            **{**dict(in_channels=8, out_channels=8, kernel_size=3, norm_cfg=dict(type='BN')), **changes}
        )
    )
    fast = accelerate(copy.deepcopy(block))
    assert (attached(fast) is not None) == folded
    x = torch.randn(2, 8, 9, 7)
    with torch.no_grad():
        for activate in (True, False):
            expected = block(x, activate)
            assert (fast(x, activate) - expected).abs().max() <= 1e-5 * expected.abs().max()
        if changes == {}:
            assert torch.equal(fast(x, norm=False), block(x, norm=False))


def test_a_batch_norm_that_counts_is_not_folded():
    block = stirred(ConvBlock(8, 8))
    fast = accelerate(copy.deepcopy(block))
    for module in (block, fast):
        module.bn.train()
    x = torch.randn(2, 8, 5, 5)
    with torch.no_grad():
        assert torch.equal(fast(x), block(x))
    assert torch.equal(fast.bn.running_mean, block.bn.running_mean)


def test_a_replaced_norm_is_the_one_that_is_folded():
    fast = accelerate(stirred(ConvBlock(8, 8)))
    x = torch.randn(2, 8, 5, 5)
    with torch.no_grad():
        fast(x)
        fast.bn = stirred(nn.BatchNorm2d(8))
        expected = fast.bn(fast.conv(x)).relu()
        assert (fast(x) - expected).abs().max() <= 1e-5 * expected.max()
