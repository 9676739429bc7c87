"""One decoder layer, one place at a time: what of it can be prepared before the first place is.

A step multiplies a few vectors by all weights and reads all keys and values, so that memory traffic and
the number of operations are what it costs. Products that read the same vector are one product, what depends
on the place alone is computed for all places at once, and attention is two batched products: with one query
that takes less than half the time of the fused attention, which is made for many.
Letters: M sequences, L places, S memory positions, C channels, A heads, H W grid.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.memory import Memory
from ..layers.partial_res import SMCA_DIVISOR
from .packed_linear import PackedLinear


class SequenceAttention:
    """Causal self-attention of a :class:`DecoderLayer`, with the keys and values of the places so far.

    Args:
        attn: The layer's :class:`MultiHeadAttention`.
        position: (L, C) positions of all places.
        count: M.
    """

    def __init__(self, attn: nn.Module, position: Tensor, count: int) -> None:
        c = position.shape[1]
        self.heads = attn.num_heads
        self.out_proj = PackedLinear(attn.out_proj.weight, attn.out_proj.bias, count)
        scale = attn.in_proj_weight.new_ones(3 * c, 1)
        scale[:c] = (c / self.heads) ** -0.5
        weight = attn.in_proj_weight * scale
        self.project = PackedLinear(weight, None, count)
        # Positions belong to queries and keys, not to values.
        added = F.pad(F.linear(position, weight[: 2 * c]), (0, c))
        self.added = (added + attn.in_proj_bias * scale[:, 0]).unbind()  # L of (3C,)
        self.cache = position.new_empty(2, count, self.heads, len(position), c // self.heads)
        self.key, self.value = self.cache.flatten(1, 2)  # (MA, L, C/A) each

    def __call__(self, x: Tensor, place: int) -> Tensor:
        """(M, C) -> (M, C), the residual added; the earlier places have been here."""
        m, c = x.shape
        projected = self.project(x, self.added[place]).view(m, 3, self.heads, -1)
        self.cache[:, :, :, place] = projected[:, 1:].transpose(0, 1)
        query = projected[:, 0].reshape(m * self.heads, 1, -1)
        end = place + 1
        weights = torch.bmm(query, self.key[:, :end].transpose(1, 2)).softmax(-1)
        return self.out_proj(torch.bmm(weights, self.value[:, :end]).view(m, c), residual=x)


class MemoryAttention:
    """Cross-attention of a :class:`DecoderLayer`, with its point modulation if it has one.

    Args:
        attn: The layer's :class:`MultiHeadAttention`.
        modulation: The layer's :class:`PointModulation`.
        position: (L, C) positions of all places.
        memory: What is attended to.
        hidden: (MA, 1, S) logits that hide the padding, if there is any.
    """

    def __init__(
        self,
        attn: nn.Module,
        modulation: nn.Module | None,
        position: Tensor,
        memory: Memory,
        hidden: Tensor | None,
    ) -> None:
        m, c = len(memory.tokens), position.shape[1]
        self.heads, self.hidden = attn.num_heads, hidden
        self.out_proj = PackedLinear(attn.out_proj.weight, attn.out_proj.bias, m)
        # Contiguous for each head: every step reads all of it.
        key = attn.project_key(memory.tokens + memory.position).contiguous()
        self.key = key.flatten(0, 1).transpose(1, 2)  # (MA, C/A, S)
        self.value = attn.project_value(memory.tokens).contiguous().flatten(0, 1)  # (MA, S, C/A)
        scale = (c / self.heads) ** -0.5
        weight = attn.in_proj_weight[:c] * scale
        self.added = F.linear(position, weight, attn.in_proj_bias[:c] * scale).unbind()  # L of (C,)
        self.project = PackedLinear(weight, None, m)
        self.points = None if modulation is None else StepwisePoints(modulation, memory)

    def __call__(self, x: Tensor, place: int) -> Tensor:
        """(M, C) -> (M, C), the residual added."""
        m, c = x.shape
        query = self.project(x, self.added[place]).view(m * self.heads, 1, -1)
        if self.hidden is None:
            logits = torch.bmm(query, self.key)
        else:
            logits = torch.baddbmm(self.hidden, query, self.key)
        if self.points is not None:
            self.points.draw(logits.view(m, self.heads, -1), x)
        weights = logits.softmax(-1)
        return self.out_proj(torch.bmm(weights, self.value).view(m, c), residual=x)


class StepwisePoints:
    """:class:`PointModulation` of one place of each sequence.

    Args:
        modulation: Its weights.
        memory: Its grid and valid part.
    """

    def __init__(self, modulation: nn.Module, memory: Memory) -> None:
        self.heads, (h, w) = modulation.num_heads, memory.grid
        self.grid = h, w
        self.valid = memory.valid[:, None, None]  # (M, 1, 1, 2)
        first, _, middle, _, last = modulation.point
        count = len(memory.tokens)
        self.first = PackedLinear(first.weight, first.bias, count)
        self.middle = PackedLinear(middle.weight, middle.bias, count)
        # Scales are squared and divided by the constant: they are divided by its root here.
        weight, bias = last.weight.clone(), last.bias.clone()
        weight[2 * self.heads :] *= SMCA_DIVISOR**-0.5
        bias[2 * self.heads :] *= SMCA_DIVISOR**-0.5
        self.last = PackedLinear(weight, bias, count)
        self.centers = torch.arange(max(h, w), device=weight.device, dtype=weight.dtype) + 0.5

    def draw(self, logits: Tensor, x: Tensor) -> None:
        """Add the bias to logits (M, A, S) of queries (M, C)."""
        h, w = self.grid
        hidden = self.middle(self.first(x, relu=True), relu=True)
        output = self.last(hidden).view(len(x), 2, self.heads, 2)
        point, scale = output[:, :1].sigmoid().mul_(self.valid), output[:, 1:]  # (M, 1, A, 2) each
        squares = (point[..., None] - self.centers).mul_(scale[..., None]).square_()[:, 0]  # (M, A, 2, cells)
        x, y = squares[:, :, 0, None, :w], squares[:, :, 1, :h, None]
        logits[..., : h * w].unflatten(-1, (h, w)).sub_(x + y)


class StepwiseLayer:
    """A :class:`DecoderLayer` that is given one place of each sequence after the other, without dropout.

    Args:
        layer: Its weights are read once: one object serves one batch of sequences.
        position: (L, C) positions of all places.
        memory: What the cross-attention looks at.
        hidden: See :class:`MemoryAttention`.
    """

    def __init__(self, layer: nn.Module, position: Tensor, memory: Memory, hidden: Tensor | None) -> None:
        m, ffn = len(memory.tokens), layer.ffn
        self.own = SequenceAttention(layer.self_attn, position, m)
        self.cross = MemoryAttention(layer.cross_attn, layer.point_modulation, position, memory, hidden)
        self.widen = PackedLinear(ffn.linear1.weight, ffn.linear1.bias, m)
        self.narrow = PackedLinear(ffn.linear2.weight, ffn.linear2.bias, m)
        self.norms = [_normalise(norm) for norm in (layer.norm1, layer.norm2, layer.norm3)]

    def __call__(self, x: Tensor, place: int) -> Tensor:
        """The embedded tokens (M, C) of this place -> (M, C)."""
        norm1, norm2, norm3 = self.norms
        x = norm1(self.own(x, place))
        x = norm2(self.cross(x, place))
        return norm3(self.narrow(self.widen(x, relu=True), residual=x))


class StepwisePredictor:
    """Linear layers with ReLUs between them.

    Args:
        layers: Linear layers, and a ReLU behind each but the last.
        count: M.
    """

    def __init__(self, layers: nn.Sequential, count: int) -> None:
        linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
        *self.hidden, self.last = (PackedLinear(layer.weight, layer.bias, count) for layer in linear)

    def __call__(self, x: Tensor) -> Tensor:
        """(M, C) -> (M, V)."""
        for layer in self.hidden:
            x = layer(x, relu=True)
        return self.last(x)


def _normalise(norm: nn.LayerNorm) -> Callable[[Tensor], Tensor]:
    """A layer norm without what a module's call adds to its time."""
    shape, weight, bias, eps = norm.normalized_shape, norm.weight, norm.bias, norm.eps
    return lambda x: torch.layer_norm(x, shape, weight, bias, eps)
