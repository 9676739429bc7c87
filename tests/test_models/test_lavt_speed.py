"""What makes prediction fast gives what the plain computation gives."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmrefseg.models.acceleration.fast_linear import HAS_ONEDNN, FastLinear
from mmrefseg.models.acceleration.folded_conv import FoldedConv
from mmrefseg.models.acceleration.window_order import window_order
from mmrefseg.models.acceleration.winograd import WinogradConv3x3
from mmrefseg.models.layers.swin import SwinBlock, WindowAttention


@pytest.mark.parametrize('size', [(8, 8), (4, 4), (3, 9), (11, 5), (12, 16)])
@pytest.mark.parametrize('shift', [0, 2])
def test_windows_by_index(size, shift):
    """The tables do what padding, rolling and cutting do; with gradients these are what runs."""
    attention = WindowAttention(8, 2, 4).double().eval()
    nn.init.normal_(attention.relative_position_bias_table)
    nn.init.normal_(attention.qkv.bias)
    x = torch.randn(3, *size, 8, dtype=torch.float64)
    plain = attention(x, shift)
    with torch.no_grad():
        for _ in range(2):  # the second time from the cache
            assert torch.allclose(attention(x, shift), plain, atol=1e-12)


def test_maps_of_several_sizes_in_turn():
    block = SwinBlock(8, 2, 4, shift=2).double().eval()
    nn.init.normal_(block.attn.relative_position_bias_table)
    for height, width in ((4, 4), (12, 4), (9, 13), (4, 12), (9, 13)):
        x = torch.randn(2, height, width, 8, dtype=torch.float64)
        plain = block(x)
        with torch.no_grad():
            assert torch.allclose(block(x), plain, atol=1e-12)


def test_every_cell_has_one_place():
    order = window_order(2, 9, 13, 4, 2, torch.device('cpu'))
    assert len(order.take) == 2 * 12 * 16 and len(order.padded) == 2 * (12 * 16 - 9 * 13)
    assert torch.equal(order.take[order.back], torch.arange(2 * 9 * 13))
    assert not set(order.back.tolist()) & set(order.padded.tolist())
    assert [group.kind for group in order.groups] == [0, 1, 2, 3]
    assert [group.windows.stop - group.windows.start for group in order.groups] == [12, 4, 6, 2]


@pytest.mark.skipif(not HAS_ONEDNN, reason='this torch has no oneDNN')
@pytest.mark.parametrize('gelu', [False, True])
def test_linear(gelu, monkeypatch):
    layer, x = FastLinear(24, 40, bias=not gelu), torch.randn(2, 5, 24)
    expected = F.linear(x, layer.weight, layer.bias)
    expected = F.gelu(expected) if gelu else expected
    calls = []
    monkeypatch.setattr(nn.Linear, 'forward', lambda *_: calls.append(1) or expected)
    with torch.no_grad():
        assert torch.allclose(layer(x, gelu), expected, atol=1e-5)
        assert not calls
        layer.fast = False
        layer(x)
        assert calls == [1]
    layer.fast = True
    layer(x)  # with gradients
    assert calls == [1, 1]


@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('size', [8, 24])  # direct, and large enough for Winograd's
def test_folded_convolution_follows_its_tensors(bias, size, monkeypatch):
    calls = []
    by_winograd = WinogradConv3x3.forward
    monkeypatch.setattr(WinogradConv3x3, 'forward', lambda *args: calls.append(1) or by_winograd(*args))
    conv = FoldedConv(64, 64, 3, bias=bias).eval()
    x = torch.randn(1, 64, size, size)
    changes = (
        lambda: None,
        lambda: conv.conv.weight.mul_(2),
        lambda: conv.bn.running_mean.normal_(),
        lambda: (conv.bn.bias.data.normal_(), conv.eval()),  # behind autograd's back, as averaging does
        lambda: conv.load_state_dict({key: value + 0.1 for key, value in conv.state_dict().items()}),
    )
    with torch.no_grad():
        for change in changes:
            change()
            expected = F.relu(conv.bn(conv.conv(x)))
            for _ in range(2):
                assert torch.allclose(conv(x), expected, atol=2e-4 * float(expected.max()))
            assert torch.allclose(
                conv(x[:, :, :5, :5]), F.relu(conv.bn(conv.conv(x[:, :, :5, :5]))), atol=1e-4
            )
    assert bool(calls) == (size == 24)
