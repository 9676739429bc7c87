"""Multi-head attention whose keys and values can be projected once and kept.

Letters: M sequences, L queries, S keys, C channels, A heads.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention with packed projections.

    The parameters have the names and shapes of :class:`torch.nn.MultiheadAttention`
    (``in_proj_weight`` (3C, C) and so on), so its weights load as they are. What
    differs is the interface: projecting and attending are separate calls, so that
    step-by-step decoding projects every key and value only once.

    Args:
        embed_dims: Channels C, divisible by ``num_heads``.
        num_heads: Heads A.
        dropout: Probability of dropping an attention weight in training.
    """

    def __init__(self, embed_dims: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if embed_dims % num_heads:
            raise ValueError(f'embed_dims={embed_dims} is not divisible by num_heads={num_heads}')
        self.num_heads = num_heads
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * embed_dims, embed_dims))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * embed_dims))
        self.out_proj = nn.Linear(embed_dims, embed_dims)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def _project(self, x: Tensor, part: int) -> Tensor:
        c = x.shape[-1]
        rows = slice(part * c, (part + 1) * c)
        x = F.linear(x, self.in_proj_weight[rows], self.in_proj_bias[rows])
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (M, A, L, C/A)

    def project_query(self, x: Tensor) -> Tensor:
        """(M, L, C) -> (M, A, L, C/A)."""
        return self._project(x, 0)

    def project_key(self, x: Tensor) -> Tensor:
        """(M, S, C) -> (M, A, S, C/A)."""
        return self._project(x, 1)

    def project_value(self, x: Tensor) -> Tensor:
        """(M, S, C) -> (M, A, S, C/A)."""
        return self._project(x, 2)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        """Attend with projected tensors.

        Args:
            query: (M, A, L, C/A).
            key: (M, A, S, C/A).
            value: (M, A, S, C/A).
            bias: Added to the logits, broadcastable to (M, A, L, S); ``-inf`` hides a key.

        Returns:
            (M, L, C).
        """
        dropout = self.dropout if self.training else 0.0
        x = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout)
        return self.out_proj(x.transpose(1, 2).flatten(2))

    def forward(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        """Project and attend: (M, L, C), (M, S, C), (M, S, C) -> (M, L, C)."""
        return self.attend(self.project_query(query), self.project_key(key), self.project_value(value), bias)


def padding_bias(padding: Tensor, dtype: torch.dtype) -> Tensor | None:
    """Additive attention bias that hides padded keys.

    Args:
        padding: (M, S) bool, True where a key is padding.
        dtype: Of the attention logits.

    Returns:
        (M, 1, 1, S), 0 or ``-inf``.
    """
    bias = torch.zeros(padding.shape, dtype=dtype, device=padding.device)
    return bias.masked_fill_(padding, float('-inf'))[:, None, None]


def causal_bias(query: Tensor, key: Tensor) -> Tensor | None:
    """Additive attention bias with which the last positions of a sequence see none behind their own.

    Args:
        query: (M, A, L, C/A) of the last L positions.
        key: (M, A, S, C/A) of all positions.

    Returns:
        (L, S), 0 or ``-inf``; ``None`` for the last position alone, which sees all.
    """
    length, positions = query.shape[2], key.shape[2]
    if length == 1:
        return None
    return torch.full((length, positions), float('-inf'), dtype=query.dtype, device=query.device).triu_(
        positions - length + 1
    )
