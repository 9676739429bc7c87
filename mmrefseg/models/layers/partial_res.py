"""What Partial-RES adds to SeqTR's decoder: co-content teacher forcing and point modulation.

Qu et al., CVPR 2023. Letters: M expressions, L sequence positions, C channels, H W grid, A heads.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from .memory import Memory


class CoContent(nn.Module):
    """Line features of the encoder output, gathered by coordinate tokens.

    Args:
        num_bins: Coordinate bins; a token of ``num_bins`` or more (the end) is no coordinate.
        legacy: Reproduce the original, in which the x token picks a *row* and the y
            token a *column*, the mean includes padding, the index is
            ``int(token / num_bins * (lines - 1))`` over the batch's padded grid and the
            end token picks the last line. Published weights were trained so.
    """

    def __init__(self, num_bins: int, legacy: bool = False) -> None:
        super().__init__()
        self.num_bins = num_bins
        self.legacy = legacy

    def lines(self, memory: Memory) -> tuple[Tensor, Tensor]:
        """Features of the lines that x tokens and y tokens pick.

        Returns:
            For x tokens (M, W, C) (legacy: (M, H, C)) and for y tokens (M, H, C) (legacy: (M, W, C)).
        """
        image = memory.image_tokens
        if self.legacy:
            return image.mean(2), image.mean(1)
        h, w = memory.grid
        valid = (~memory.padding[:, : h * w]).unflatten(1, (h, w)).to(image.dtype)
        image = image * valid[..., None]
        columns = image.sum(1) / valid.sum(1).clamp(min=1)[..., None]
        rows = image.sum(2) / valid.sum(2).clamp(min=1)[..., None]
        return columns, rows

    def line_of(self, tokens: Tensor, extent: Tensor, count: int) -> Tensor:
        """The line (M, K) that each token of one axis picks, of ``count``: see :meth:`gather`."""
        if self.legacy:
            return (tokens / self.num_bins * (count - 1)).long()
        return ((tokens + 0.5) / self.num_bins * extent[:, None]).long().clamp(0, count - 1)

    def gather(self, tokens: Tensor, lines: Tensor, extent: Tensor) -> Tensor:
        """Features of tokens of one axis.

        Args:
            tokens: (M, K) integer tokens, all x or all y.
            lines: (M, lines, C) from :meth:`lines`.
            extent: (M,) lines that the bins span.

        Returns:
            (M, K, C); zero for tokens that are no coordinates (not in legacy).
        """
        index = self.line_of(tokens, extent, lines.shape[1])
        features = lines.gather(1, index[..., None].expand(-1, -1, lines.shape[-1]))
        if self.legacy:
            return features
        return features * (tokens < self.num_bins)[..., None]

    def forward(self, tokens: Tensor, memory: Memory) -> Tensor:
        """Features of interleaved x, y tokens.

        Args:
            tokens: (M, L) with x at even and y at odd positions.
            memory: The encoder output.

        Returns:
            (M, L, C).
        """
        x_lines, y_lines = self.lines(memory)
        features = tokens.new_zeros((*tokens.shape, x_lines.shape[-1]), dtype=x_lines.dtype)
        features[:, 0::2] = self.gather(tokens[:, 0::2], x_lines, memory.extent[:, 0])
        features[:, 1::2] = self.gather(tokens[:, 1::2], y_lines, memory.extent[:, 1])
        return features


# SMCA-DETR's constant: the exponent of the Gaussian is divided by it.
SMCA_DIVISOR = 8.0


class PointModulation(nn.Module):
    """Predict a point and a scale per head and turn them into an attention bias.

    The bias of a cell is ``-((p - cell) * scale)^2 / 8`` (the log of a Gaussian
    around the point ``p``), in units of cells, with p inside the valid part of the
    image. Positions that are not cells (the language token) get 0.

    Args:
        embed_dims: Channels C of a query.
        num_heads: Heads A.
        hidden_dims: Widths of the two hidden layers.
    """

    def __init__(self, embed_dims: int, num_heads: int, hidden_dims: tuple[int, int] = (128, 64)) -> None:
        super().__init__()
        self.num_heads = num_heads
        first, second = hidden_dims
        self.point = nn.Sequential(
            nn.Linear(embed_dims, first),
            nn.ReLU(),
            nn.Linear(first, second),
            nn.ReLU(),
            nn.Linear(second, num_heads * 4),
        )

    def forward(self, query: Tensor, memory: Memory) -> Tensor:
        """Bias of the cross-attention logits.

        Args:
            query: (M, L, C).
            memory: Gives grid, valid part and number of positions.

        Returns:
            (M, A, L, S), at most 0.
        """
        h, w = memory.grid
        out = self.point(query)  # (M, L, 4A): A (x, y) logits, then A (x, y) scales
        point, scale = out.unflatten(-1, (2, self.num_heads, 2)).unbind(2)  # (M, L, A, 2) each
        point = point.sigmoid() * memory.valid[:, None, None]  # in cells
        # The two axes are separable: (M, L, A, W) and (M, L, A, H) before the sum over the grid.
        x, y = memory.cell_centers
        dx = ((point[..., :1] - x) * scale[..., :1]).square() / -SMCA_DIVISOR
        dy = ((point[..., 1:] - y) * scale[..., 1:]).square() / -SMCA_DIVISOR
        bias = (dy[..., :, None] + dx[..., None, :]).flatten(-2)  # (M, L, A, HW)
        extra = memory.tokens.shape[1] - h * w
        if extra:
            bias = F.pad(bias, (0, extra))
        return bias.transpose(1, 2)
