"""SeqTR's decoding, one position at a time: what of it can be prepared before the first position is.

A step multiplies a few vectors by all weights and reads all keys and values, so that memory traffic and
the number of operations are what it costs. Products that read the same vector are one product, what depends
on the position alone is computed for all positions at once, and attention is two batched products: with one
query that takes less than half the time of the fused attention, which is made for many. What depends on
weights alone (``...Weights``) is kept from batch to batch, packed for the products.
Letters: M sequences, L positions, S memory positions, C channels, A heads, V token classes, H W grid.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..heads.seqtr_head import SeqTRHead
from ..heads.sequence_generator import Decoding
from ..layers.attention import padding_bias
from ..layers.memory import Memory
from ..layers.partial_res import SMCA_DIVISOR, CoContent
from .base import Accelerated
from .linear import PackedLinear


class StepwiseHead(Accelerated):
    """Of :class:`SeqTRHead`, which decodes by :class:`StepwiseDecoding`, in evaluation."""

    accelerates = (SeqTRHead,)
    methods = ('start',)

    def start(self, memory: Memory, first_position: int = 0) -> Decoding:
        """See :meth:`SeqTRHead.start`."""
        head = self.module
        if head.training or torch.is_autocast_enabled(memory.tokens.device.type):
            return self.plain(memory, first_position, method='start')
        # Weights are packed for about so many vectors, not anew for each number of them.
        count = 1 << (len(memory.tokens) - 1).bit_length()
        parameters = [*head.decoder.parameters(), *head.predictor.parameters()]
        weights = self.derived('weights', lambda: DecoderWeights(head, count), parameters, count)
        with torch.no_grad():
            return StepwiseDecoding(head, weights, memory, first_position)


class DecoderWeights:
    """Of a :class:`Decoder` and the predictor behind it.

    Args:
        head: The head that has both.
        count: Vectors that are multiplied at a time, or so.
    """

    def __init__(self, head: SeqTRHead, count: int) -> None:
        decoder = head.decoder
        self.layers = [LayerWeights(layer, decoder.position.weight, count) for layer in decoder.layers]
        self.norm = _normalise(decoder.norm)
        linear = [layer for layer in head.predictor if isinstance(layer, nn.Linear)]
        *self.hidden, self.last = (PackedLinear(layer.weight, layer.bias, count) for layer in linear)

    def predict(self, x: Tensor) -> Tensor:
        """The decoder's last layer (M, C) -> logits (M, V)."""
        x = self.norm(x)
        for layer in self.hidden:
            x = layer(x, relu=True)
        return self.last(x)


class LayerWeights:
    """Of a :class:`DecoderLayer`.

    Args:
        layer: The layer.
        position: (L, C) codes of all positions.
        count: See :class:`DecoderWeights`.
    """

    def __init__(self, layer: nn.Module, position: Tensor, count: int) -> None:
        own, cross, c = layer.self_attn, layer.cross_attn, position.shape[1]
        self.heads = own.num_heads
        scale = own.in_proj_weight.new_ones(3 * c, 1)
        scale[:c] = (c / self.heads) ** -0.5
        weight = own.in_proj_weight * scale
        self.project_own = PackedLinear(weight, None, count)
        # Positions belong to queries and keys, not to values.
        added = F.pad(F.linear(position, weight[: 2 * c]), (0, c))
        self.added_own = (added + own.in_proj_bias * scale[:, 0]).unbind()  # L of (3C,)
        self.finish_own = PackedLinear(own.out_proj.weight, own.out_proj.bias, count)
        weight, bias = cross.in_proj_weight[:c] * scale[:c], cross.in_proj_bias[:c] * scale[:c, 0]
        self.project_query = PackedLinear(weight, None, count)
        self.added_query = F.linear(position, weight, bias).unbind()  # L of (C,)
        self.finish_cross = PackedLinear(cross.out_proj.weight, cross.out_proj.bias, count)
        self.cross = cross
        self.points = None
        if layer.point_modulation is not None:
            self.points = PointWeights(layer.point_modulation, count)
        self.widen = PackedLinear(layer.ffn.linear1.weight, layer.ffn.linear1.bias, count)
        self.narrow = PackedLinear(layer.ffn.linear2.weight, layer.ffn.linear2.bias, count)
        self.norms = [_normalise(norm) for norm in (layer.norm1, layer.norm2, layer.norm3)]


class PointWeights:
    """Of a :class:`PointModulation`: (M, C) -> points (M, 1, A, 2) in (0, 1), and scales (M, 1, A, 2).

    Args:
        modulation: The module.
        count: See :class:`DecoderWeights`.
    """

    def __init__(self, modulation: nn.Module, count: int) -> None:
        self.heads = modulation.num_heads
        first, _, middle, _, last = modulation.point
        self.first = PackedLinear(first.weight, first.bias, count)
        self.middle = PackedLinear(middle.weight, middle.bias, count)
        # Scales are squared and divided by the constant: they are divided by its root here.
        weight, bias = last.weight.clone(), last.bias.clone()
        weight[2 * self.heads :] *= SMCA_DIVISOR**-0.5
        bias[2 * self.heads :] *= SMCA_DIVISOR**-0.5
        self.last = PackedLinear(weight, bias, count)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.middle(self.first(x, relu=True), relu=True)
        output = self.last(hidden).view(len(x), 2, self.heads, 2)
        return output[:, :1].sigmoid(), output[:, 1:]


class StepwiseDecoding(Decoding):
    """See :class:`Decoding`.

    Args:
        head: The head.
        weights: Of the head.
        memory: What the decoder looks at, of M expressions.
        first_position: Where in the decoder's table of positions the sequences begin.
    """

    def __init__(self, head: SeqTRHead, weights: DecoderWeights, memory: Memory, first_position: int) -> None:
        self.head, self.memory, self.weights = head, memory, weights
        self.position, last = first_position, head.decoder.max_length
        hidden = None
        if memory.padding.any():
            heads = weights.layers[0].heads
            hidden = padding_bias(memory.padding, memory.tokens.dtype)[:, 0].repeat_interleave(heads, 0)
        self.layers = [
            StepwiseLayer(layer, memory, (first_position, last), hidden) for layer in weights.layers
        ]
        self.content = None if head.co_content is None else ContentTable(head.co_content, memory)

    @torch.inference_mode()
    def step(self, x: Tensor) -> Tensor:
        """See :meth:`Decoding.step`."""
        for layer in self.layers:
            x = layer(x, self.position)
        self.position += 1
        return self.weights.predict(x)

    def embed(self, tokens: Tensor, position: int) -> Tensor:
        """See :meth:`Decoding.embed`."""
        x = self.head.token_embedding(tokens)
        return x if self.content is None else x.add_(self.content(tokens, position))


class StepwiseLayer:
    """A :class:`DecoderLayer` that is given one position of each sequence after the other, without dropout.

    Args:
        weights: Of the layer.
        memory: What the cross-attention looks at.
        positions: The first position, and the one behind the last.
        hidden: (MA, 1, S) logits that hide the padding, if there is any.
    """

    def __init__(
        self, weights: LayerWeights, memory: Memory, positions: tuple[int, int], hidden: Tensor | None
    ) -> None:
        (m, _, c), heads = memory.tokens.shape, weights.heads
        self.weights, self.hidden, self.first = weights, hidden, positions[0]
        self.own = memory.tokens.new_empty(2, m, heads, positions[1] - positions[0], c // heads)
        self.own_key, self.own_value = self.own.flatten(1, 2)  # (MA, L, C/A) each
        # Contiguous for each head: every step reads all of it.
        key = weights.cross.project_key(memory.tokens + memory.position).contiguous()
        self.key = key.flatten(0, 1).transpose(1, 2)  # (MA, C/A, S)
        self.value = weights.cross.project_value(memory.tokens).contiguous().flatten(0, 1)  # (MA, S, C/A)
        self.points = None if weights.points is None else StepwisePoints(weights.points, memory)

    def __call__(self, x: Tensor, position: int) -> Tensor:
        """The embedded tokens (M, C) of this position -> (M, C)."""
        weights = self.weights
        norm1, norm2, norm3 = weights.norms
        x = norm1(self._attend_own(x, position))
        x = norm2(self._attend_memory(x, position))
        return norm3(weights.narrow(weights.widen(x, relu=True), residual=x))

    def _attend_own(self, x: Tensor, position: int) -> Tensor:
        """(M, C) -> (M, C), the residual added; the earlier positions have been here."""
        (m, c), weights = x.shape, self.weights
        projected = weights.project_own(x, weights.added_own[position]).view(m, 3, weights.heads, -1)
        end = position - self.first + 1
        self.own[:, :, :, end - 1] = projected[:, 1:].transpose(0, 1)
        query = projected[:, 0].reshape(m * weights.heads, 1, -1)
        share = torch.bmm(query, self.own_key[:, :end].transpose(1, 2)).softmax(-1)
        return weights.finish_own(torch.bmm(share, self.own_value[:, :end]).view(m, c), residual=x)

    def _attend_memory(self, x: Tensor, position: int) -> Tensor:
        """(M, C) -> (M, C), the residual added."""
        (m, c), weights = x.shape, self.weights
        query = weights.project_query(x, weights.added_query[position]).view(m * weights.heads, 1, -1)
        if self.hidden is None:
            logits = torch.bmm(query, self.key)
        else:
            logits = torch.baddbmm(self.hidden, query, self.key)
        if self.points is not None:
            self.points.draw(logits.view(m, weights.heads, -1), x)
        return weights.finish_cross(torch.bmm(logits.softmax(-1), self.value).view(m, c), residual=x)


class StepwisePoints:
    """:class:`PointModulation` of one position of each sequence.

    Args:
        weights: Of the module.
        memory: Its grid and valid part.
    """

    def __init__(self, weights: PointWeights, memory: Memory) -> None:
        self.weights, self.grid = weights, memory.grid
        self.valid = memory.valid[:, None, None]  # (M, 1, 1, 2)
        self.centers = max(memory.cell_centers, key=len)  # of the longer side, and so of both

    def draw(self, logits: Tensor, x: Tensor) -> None:
        """Add the bias to logits (M, A, S) of queries (M, C)."""
        h, w = self.grid
        point, scale = self.weights(x)
        point = point.mul_(self.valid)
        squares = (point[..., None] - self.centers).mul_(scale[..., None]).square_()[:, 0]  # (M, A, 2, cells)
        x, y = squares[:, :, 0, None, :w], squares[:, :, 1, :h, None]
        logits[..., : h * w].unflatten(-1, (h, w)).sub_(x + y)


class ContentTable:
    """:class:`CoContent` of one token of each sequence, after the other: a look-up.

    Args:
        content: How lines are picked.
        memory: The encoder output.
    """

    def __init__(self, content: CoContent, memory: Memory) -> None:
        self.axes = []
        tokens = torch.arange(content.num_bins + 1, device=memory.tokens.device)
        for lines, extent in zip(content.lines(memory), memory.extent.unbind(1), strict=True):
            m, count, _ = lines.shape
            index = content.line_of(tokens.expand(m, -1), extent, count)
            if not content.legacy:
                index[:, content.num_bins] = count  # the end picks a line of zeros
            first = torch.arange(m, device=index.device)[:, None] * (count + 1)
            self.axes.append((index + first, F.pad(lines, (0, 0, 0, 1)).flatten(0, 1)))

    def __call__(self, tokens: Tensor, position: int) -> Tensor:
        """Features (M, C) of tokens (M,) at a position of their sequence: even is x, odd is y."""
        index, lines = self.axes[position % 2]
        return lines.index_select(0, index.gather(1, tokens[:, None])[:, 0])


def _normalise(norm: nn.LayerNorm) -> Callable[[Tensor], Tensor]:
    """A layer norm without what a module's call adds to its time."""
    shape, weight, bias, eps = norm.normalized_shape, norm.weight, norm.bias, norm.eps
    return lambda x: torch.layer_norm(x, shape, weight, bias, eps)
