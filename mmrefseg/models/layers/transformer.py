"""The encoder and the autoregressive decoder of SeqTR, with the switches of Partial-RES.

SeqTR (Zhu et al., ECCV 2022), Partial-RES (Qu et al., CVPR 2023). Post-norm layers as in
DETR: positions are added to queries and keys, never to values.
Letters: M sequences, L tokens of a sequence, S memory positions, C channels, A heads.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .attention import MultiHeadAttention, causal_bias, padding_bias
from .memory import Memory
from .partial_res import PointModulation


class FeedForward(nn.Module):
    """Linear, ReLU, dropout, linear: (M, L, C) -> (M, L, C)."""

    def __init__(self, embed_dims: int, hidden_dims: int, dropout: float) -> None:
        super().__init__()
        self.linear1 = nn.Linear(embed_dims, hidden_dims)
        self.linear2 = nn.Linear(hidden_dims, embed_dims)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(self.linear1(x).relu()))


class EncoderLayer(nn.Module):
    """Self-attention over the fused image, then a feed-forward block."""

    def __init__(self, embed_dims: int, num_heads: int, hidden_dims: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = MultiHeadAttention(embed_dims, num_heads, dropout)
        self.ffn = FeedForward(embed_dims, hidden_dims, dropout)
        self.norm1 = nn.LayerNorm(embed_dims)
        self.norm2 = nn.LayerNorm(embed_dims)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, position: Tensor, bias: Tensor | None) -> Tensor:
        """(M, S, C) -> (M, S, C); ``bias`` hides padding (see :func:`padding_bias`)."""
        query = x + position
        x = self.norm1(x + self.dropout(self.self_attn(query, query, x, bias)))
        return self.norm2(x + self.dropout(self.ffn(x)))


class DecoderLayer(nn.Module):
    """Causal self-attention, cross-attention to the image, feed-forward.

    Args:
        embed_dims: C.
        num_heads: A.
        hidden_dims: Width of the feed-forward block.
        dropout: Dropout probability.
        point_modulation: Whether queries predict points that draw the cross-attention.
    """

    def __init__(
        self, embed_dims: int, num_heads: int, hidden_dims: int, dropout: float, point_modulation: bool
    ) -> None:
        super().__init__()
        self.self_attn = MultiHeadAttention(embed_dims, num_heads, dropout)
        self.cross_attn = MultiHeadAttention(embed_dims, num_heads, dropout)
        self.point_modulation = PointModulation(embed_dims, num_heads) if point_modulation else None
        self.ffn = FeedForward(embed_dims, hidden_dims, dropout)
        self.norm1 = nn.LayerNorm(embed_dims)
        self.norm2 = nn.LayerNorm(embed_dims)
        self.norm3 = nn.LayerNorm(embed_dims)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, position: Tensor, memory: Memory, padding: Tensor, cache: 'LayerCache | None' = None
    ) -> Tensor:
        """Places of a sequence, all of them or those behind the cache's: (M, L, C) -> (M, L, C).

        Args:
            x: (M, L, C).
            position: (L, C) codes of these positions.
            memory: What the cross-attention looks at.
            padding: Bias that hides the memory's padding, see :func:`padding_bias`.
            cache: The positions before, to which these are added.
        """
        cache = LayerCache() if cache is None else cache
        query, key, value = self._project_own(x, position, cache)
        x = self.norm1(x + self.dropout(self.self_attn.attend(query, key, value, causal_bias(query, key))))
        bias = padding
        if self.point_modulation is not None:
            bias = bias + self.point_modulation(x, memory)
        key, value = self._project_memory(memory, cache)
        query = self.cross_attn.project_query(x + position)
        x = self.norm2(x + self.dropout(self.cross_attn.attend(query, key, value, bias)))
        return self.norm3(x + self.dropout(self.ffn(x)))

    def _project_own(self, x: Tensor, position: Tensor, cache: 'LayerCache') -> tuple[Tensor, Tensor, Tensor]:
        """Queries of these positions, keys and values of all up to them."""
        attn = self.self_attn
        key, value = attn.project_key(x + position), attn.project_value(x)
        if cache.own is not None:
            key, value = (torch.cat(pair, 2) for pair in zip(cache.own, (key, value), strict=True))
        cache.own = key, value
        return attn.project_query(x + position), key, value

    def _project_memory(self, memory: Memory, cache: 'LayerCache') -> tuple[Tensor, Tensor]:
        """Keys and values of the memory."""
        if cache.memory is None:
            attn = self.cross_attn
            key = attn.project_key(memory.tokens + memory.position)
            cache.memory = key, attn.project_value(memory.tokens)
        return cache.memory


@dataclass
class LayerCache:
    """Keys and values (M, A, L or S, C/A each) that a decoder layer need not project again.

    Attributes:
        own: Of the positions so far.
        memory: Of the memory.
    """

    own: tuple[Tensor, Tensor] | None = None
    memory: tuple[Tensor, Tensor] | None = None


@dataclass
class DecoderCache:
    """What a decoder keeps of the positions so far.

    Attributes:
        position: The next position.
        layers: One cache for each layer.
    """

    position: int
    layers: list[LayerCache] = field(default_factory=list)


class Encoder(nn.Module):
    """A stack of :class:`EncoderLayer`."""

    def __init__(
        self, num_layers: int, embed_dims: int, num_heads: int, hidden_dims: int, dropout: float
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EncoderLayer(embed_dims, num_heads, hidden_dims, dropout) for _ in range(num_layers)
        )

    def forward(self, x: Tensor, position: Tensor, padding: Tensor) -> Tensor:
        """(M, S, C) -> (M, S, C); ``padding`` (M, S) bool hides positions as keys."""
        bias = padding_bias(padding, x.dtype) if padding.any() else None
        for layer in self.layers:
            x = layer(x, position, bias)
        return x


class Decoder(nn.Module):
    """Autoregressive decoder with learned positions and a final normalisation.

    Args:
        num_layers: Decoder layers.
        embed_dims: C.
        num_heads: A.
        hidden_dims: Width of the feed-forward blocks.
        dropout: Dropout probability.
        max_length: Places of the longest sequence, the start token included.
        point_modulation: See :class:`PointModulation`.
    """

    def __init__(
        self,
        num_layers: int,
        embed_dims: int,
        num_heads: int,
        hidden_dims: int,
        dropout: float,
        max_length: int,
        point_modulation: bool = False,
    ) -> None:
        super().__init__()
        self.max_length = max_length
        self.layers = nn.ModuleList(
            DecoderLayer(embed_dims, num_heads, hidden_dims, dropout, point_modulation)
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(embed_dims)
        self.position = nn.Embedding(max_length, embed_dims)

    def forward(
        self, x: Tensor, memory: Memory, first_position: int = 0, cache: DecoderCache | None = None
    ) -> Tensor:
        """Sequences, embedded: all positions at once (teacher forcing), or with a cache those behind its own.

        Args:
            x: (M, L, C).
            memory: What the cross-attention looks at.
            first_position: Where in the table of positions the sequences begin, without a cache.
            cache: From :meth:`start`; the positions are added to it.

        Returns:
            (M, L, C).
        """
        first = first_position if cache is None else cache.position
        layers = [None] * len(self.layers) if cache is None else cache.layers
        position = self.position.weight[first : first + x.shape[1]]
        padding = padding_bias(memory.padding, x.dtype)
        for layer, layer_cache in zip(self.layers, layers, strict=True):
            x = layer(x, position, memory, padding, layer_cache)
        if cache is not None:
            cache.position += x.shape[1]
        return self.norm(x)

    def start(self, first_position: int = 0) -> DecoderCache:
        """An empty cache for sequences that begin at a position."""
        return DecoderCache(first_position, [LayerCache() for _ in self.layers])
