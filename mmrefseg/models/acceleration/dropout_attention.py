"""Attention with dropout that keeps no attention weights for the backward pass.

PyTorch's fused attention has no dropout on CPUs: it falls back to writing out weights, noise and their
product and keeping all three. Here only the noise is kept, a byte per weight; weights are computed again.
Letters: M sequences, A heads, L queries, S keys, D channels of a head.
"""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..layers.attention import MultiHeadAttention
from .base import Accelerated


class LeanAttention(Accelerated):
    """Of :class:`MultiHeadAttention`, in training with dropout on CPUs."""

    accelerates = (MultiHeadAttention,)
    methods = ('attend',)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        """See :meth:`MultiHeadAttention.attend`."""
        module = self.module
        drops = module.training and module.dropout > 0
        if not drops or query.device.type != 'cpu' or torch.is_autocast_enabled('cpu'):
            return self.plain(query, key, value, bias, method='attend')
        x = dropout_attention(query, key, value, bias, module.dropout)
        return module.out_proj(x.transpose(1, 2).flatten(2))


def _weights(query: Tensor, key: Tensor, bias: Tensor | None) -> Tensor:
    """Softmax of the scaled products: (M, A, L, S)."""
    logits = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    return (logits if bias is None else logits.add_(bias)).softmax(-1)


class _DropoutAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, query, key, value, bias, keep, dropout):
        ctx.save_for_backward(query, key, value, bias, keep)
        ctx.dropout = dropout
        return _weights(query, key, bias).mul_(keep).div_(1 - dropout) @ value

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        query, key, value, bias, keep = ctx.saved_tensors
        weights = _weights(query, key, bias)
        grad = grad / (1 - ctx.dropout)
        grad_value = (weights * keep).transpose(-1, -2) @ grad
        grad_weights = (grad @ value.transpose(-1, -2)).mul_(keep)
        # Of the softmax: w * (g - sum(w * g)).
        grad_logits = grad_weights.sub_((weights * grad_weights).sum(-1, keepdim=True)).mul_(weights)
        scale = query.shape[-1] ** -0.5
        grad_query = grad_logits @ key * scale
        grad_key = grad_logits.transpose(-1, -2) @ query * scale
        grad_bias = None
        if bias is not None and ctx.needs_input_grad[3]:
            grad_bias = grad_logits.sum_to_size(bias.shape).to(bias.dtype)
        return grad_query, grad_key, grad_value, grad_bias, None, None


def dropout_attention(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, dropout: float, keep: Tensor | None = None
) -> Tensor:
    """Scaled dot-product attention with dropout of its weights.

    Args:
        query: (M, A, L, D).
        key: (M, A, S, D).
        value: (M, A, S, D).
        bias: Added to the logits, broadcastable to (M, A, L, S); ``-inf`` hides a key.
        dropout: Probability of dropping a weight, below 1.
        keep: (M, A, L, S) bool, the weights that stay; drawn if it is left out.

    Returns:
        (M, A, L, D).
    """
    if keep is None:
        keep = torch.empty((*query.shape[:-1], key.shape[-2]), dtype=torch.bool, device=query.device)
        keep.bernoulli_(1 - dropout)
    return _DropoutAttention.apply(query, key, value, bias, keep, dropout)
