"""Packed weights multiply like others."""

import pytest
import torch
import torch.nn.functional as F

from mmrefseg.models.acceleration.linear import MANY_WEIGHTS, PackedLinear, can_pack


@pytest.mark.parametrize('shape', [(300, 256), (7, 5)])
@pytest.mark.parametrize('count', [1, 8])
def test_is_a_linear_layer(shape, count):
    torch.manual_seed(0)
    weight, bias, other = torch.randn(shape), torch.randn(shape[0]), torch.randn(shape[0])
    packed = PackedLinear(weight, bias, count)
    assert (packed.packed is not None) == (weight.numel() > MANY_WEIGHTS and count > 1 and can_pack(weight))
    x = torch.randn(8, 2 * shape[1])[:, shape[1] :]  # strided, and as many as said or not
    for given in (None, other):
        wanted = F.linear(x, weight, bias if given is None else given)
        torch.testing.assert_close(packed(x, given), wanted, rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(packed(x, given, relu=True), wanted.relu(), rtol=1e-5, atol=1e-4)
        residual = torch.randn_like(wanted)
        added = packed(x, given, residual=residual.clone())
        torch.testing.assert_close(added, wanted + residual, rtol=1e-5, atol=1e-4)


def test_what_cannot_be_packed_is_multiplied_as_it_is():
    weight = torch.randn(300, 256)
    x = torch.randn(8, 256)
    assert PackedLinear(weight.double(), None, 8).packed is None
    with torch.autocast('cpu', torch.bfloat16):
        layer = PackedLinear(weight, None, 8)
        assert layer.packed is None and layer(x).dtype == torch.bfloat16
