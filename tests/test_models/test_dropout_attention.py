"""Attention with dropout against the formula written out, which autograd differentiates."""

import pytest
import torch
import torch.nn.functional as F

from mmrefseg.models.acceleration import accelerate
from mmrefseg.models.acceleration.dropout_attention import dropout_attention
from mmrefseg.models.layers.attention import MultiHeadAttention, causal_bias

M, A, L, S, D = 2, 3, 4, 5, 6


def inputs(bias_shape):
    generator = torch.Generator().manual_seed(0)

    def make(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()

    bias = None if bias_shape is None else make(*bias_shape)
    keep = torch.rand(M, A, L, S, generator=generator) < 0.7
    return make(M, A, L, D), make(M, A, S, D), make(M, A, S, D), bias, keep


def written_out(query, key, value, bias, keep, dropout):
    logits = query @ key.mT / D**0.5
    weights = (logits if bias is None else logits + bias).softmax(-1)
    return (weights * keep / (1 - dropout)) @ value


@pytest.mark.parametrize('bias_shape', [None, (M, 1, 1, S), (M, A, L, S), (L, S)])
def test_results_and_gradients(bias_shape):
    query, key, value, bias, keep = inputs(bias_shape)
    leaves = [x for x in (query, key, value, bias) if x is not None]
    ours = dropout_attention(query, key, value, bias, 0.3, keep)
    theirs = written_out(query, key, value, bias, keep, 0.3)
    torch.testing.assert_close(ours, theirs)
    upstream = torch.linspace(-1, 1, ours.numel(), dtype=ours.dtype).view_as(ours)
    expected = torch.autograd.grad(theirs, leaves, upstream)
    found = torch.autograd.grad(ours, leaves, upstream)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
        assert other.abs().max() > 1e-3


def test_hidden_keys_get_nothing():
    query, key, value, _, _ = inputs(None)
    bias = torch.zeros(M, 1, 1, S, dtype=torch.float64)
    bias[0, ..., 2:] = float('-inf')
    output = dropout_attention(query, key, value, bias, 0.5)
    grads = torch.autograd.grad(output.square().sum(), (query, key, value))
    assert all(grad.isfinite().all() for grad in grads)
    assert (grads[1][0, :, 2:] == 0).all() and (grads[2][0, :, 2:] == 0).all()
    assert (grads[1][1, :, 2:] != 0).any()


def test_the_share_that_stays():
    query = torch.zeros(4, 4, 64, 8)
    value = torch.ones(4, 4, 256, 8)
    output = dropout_attention(query, torch.zeros_like(value), value, None, 0.1)
    # Each output is the mean of 256 kept-or-dropped weights over 0.9: 1 with a deviation of 0.021.
    assert output.mean().item() == pytest.approx(1, abs=5 * 0.021 / 1024**0.5)
    assert output[..., 0].std().item() == pytest.approx((0.1 / 0.9 / 256) ** 0.5, rel=0.2)


@pytest.mark.parametrize('causal', [False, True])
def test_the_module_uses_it_in_training_only(causal, monkeypatch):
    torch.manual_seed(0)
    attn, fused, calls = accelerate(MultiHeadAttention(8, 2, dropout=0.5)), F.scaled_dot_product_attention, []
    x = torch.randn(3, 5, 8)
    query, key, value = attn.project_query(x), attn.project_key(x), attn.project_value(x)
    bias = causal_bias(query, key) if causal else None
    plain = attn.out_proj(fused(query, key, value, is_causal=causal).transpose(1, 2).flatten(2))
    monkeypatch.setattr(
        F, 'scaled_dot_product_attention', lambda *args, **kwargs: calls.append(1) or fused(*args, **kwargs)
    )
    attn.eval()
    torch.testing.assert_close(attn.attend(query, key, value, bias), plain)
    assert calls == [1]
    attn.train()
    with torch.no_grad():
        runs = torch.stack([attn.attend(query, key, value, bias) for _ in range(2000)])
    assert calls == [1]
    assert (runs[0] - runs[1]).abs().max() > 1e-3
    torch.testing.assert_close(runs.mean(0), plain.detach(), rtol=0, atol=0.05)


def test_the_plain_module_drops_as_many():
    torch.manual_seed(0)
    attn = MultiHeadAttention(8, 2, dropout=0.5).train()
    x = torch.randn(3, 5, 8)
    with torch.no_grad():
        runs = torch.stack([attn(x, x, x) for _ in range(2000)])
        plain = attn.eval()(x, x, x)
    assert (runs[0] - runs[1]).abs().max() > 1e-3
    torch.testing.assert_close(runs.mean(0), plain, rtol=0, atol=0.05)


def test_places_see_none_behind_their_own():
    query, key = torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, 5, 4)
    hidden = float('-inf')
    assert causal_bias(query, key).tolist() == [[0, 0, 0, 0, hidden], [0] * 5]
    assert causal_bias(query[:, :, :1], key) is None
