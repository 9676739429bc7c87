"""The encoder and the autoregressive decoder of SeqTR, with the switches of Partial-RES.

SeqTR (Zhu et al., ECCV 2022), Partial-RES (Qu et al., CVPR 2023). Post-norm layers as in
DETR: positions are added to queries and keys, never to values.
Letters: M sequences, L tokens of a sequence, S memory positions, C channels, A heads.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..acceleration.stepwise import StepwiseLayer, StepwisePredictor
from .attention import MultiHeadAttention, padding_bias
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
    """Self-attention over the fused picture, then a feed-forward block."""

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
    """Causal self-attention, cross-attention to the picture, feed-forward.

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

    def _cross(self, x: Tensor, position: Tensor, key: Tensor, value: Tensor, memory: Memory, bias: Tensor):
        """Cross-attention and feed-forward of queries that have attended to their own sequence."""
        if self.point_modulation is not None:
            bias = bias + self.point_modulation(x, memory)
        query = self.cross_attn.project_query(x + position)
        x = self.norm2(x + self.dropout(self.cross_attn.attend(query, key, value, bias)))
        return self.norm3(x + self.dropout(self.ffn(x)))

    def forward(self, x: Tensor, position: Tensor, memory: Memory, bias: Tensor) -> Tensor:
        """All places of a known sequence at once (teacher forcing): (M, L, C) -> (M, L, C)."""
        attn = self.self_attn
        query = x + position
        attended = attn.attend(
            attn.project_query(query), attn.project_key(query), attn.project_value(x), causal=True
        )
        x = self.norm1(x + self.dropout(attended))
        key = self.cross_attn.project_key(memory.tokens + memory.position)
        value = self.cross_attn.project_value(memory.tokens)
        return self._cross(x, position, key, value, memory, bias)


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


@dataclass
class DecodingState:
    """What step-by-step decoding keeps between steps.

    Attributes:
        memory: What the cross-attention looks at.
        layers: The decoder's, with keys and values.
        predict: Decoder output (M, C) -> logits (M, V).
        place: The place of the next step.
    """

    memory: Memory
    layers: Sequence[StepwiseLayer]
    predict: Callable[[Tensor], Tensor]
    place: int = field(default=0)


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

    def forward(self, x: Tensor, memory: Memory, first_place: int = 0) -> Tensor:
        """Teacher forcing: sequences (M, L, C), embedded, that begin at a place -> output (M, L, C)."""
        position = self.position.weight[first_place : first_place + x.shape[1]]
        bias = padding_bias(memory.padding, x.dtype)
        for layer in self.layers:
            x = layer(x, position, memory, bias)
        return self.norm(x)

    @torch.no_grad()
    def start(self, memory: Memory, predictor: nn.Sequential, first_place: int = 0) -> DecodingState:
        """Begin to decode step by step.

        Args:
            memory: What the cross-attention looks at.
            predictor: What turns the decoder's output (M, C) into logits (M, V).
            first_place: The place of the sequence's first position.
        """
        position = self.position.weight[first_place:]
        hidden = None
        if memory.padding.any():
            hidden = padding_bias(memory.padding, position.dtype)[:, 0]
            hidden = hidden.repeat_interleave(self.layers[0].cross_attn.num_heads, 0)
        layers = [StepwiseLayer(layer, position, memory, hidden) for layer in self.layers]
        return DecodingState(memory, layers, StepwisePredictor(predictor, len(memory.tokens)))

    @torch.no_grad()
    def step(self, x: Tensor, state: DecodingState) -> Tensor:
        """The next place: embedded token (M, C) -> decoder output (M, C), without dropout."""
        for layer in state.layers:
            x = layer(x, state.place)
        state.place += 1
        return self.norm(x)
