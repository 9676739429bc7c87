"""Co-content teacher forcing: a coordinate token also carries what the picture shows along its line.

Partial-RES (Qu et al., CVPR 2023). An x token gets the mean of the encoder's column at
that x, a y token the mean of the row at that y.
Letters: M sequences, L tokens, H W grid, C channels.
"""

import torch
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

    def forward(self, tokens: Tensor, memory: Memory, lines: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Features of interleaved x, y tokens.

        Args:
            tokens: (M, L) with x at even and y at odd places.
            memory: The encoder output.
            lines: From :meth:`lines`, if it is at hand.

        Returns:
            (M, L, C).
        """
        x_lines, y_lines = self.lines(memory) if lines is None else lines
        features = tokens.new_zeros((*tokens.shape, x_lines.shape[-1]), dtype=x_lines.dtype)
        features[:, 0::2] = self.gather(tokens[:, 0::2], x_lines, memory.extent[:, 0])
        features[:, 1::2] = self.gather(tokens[:, 1::2], y_lines, memory.extent[:, 1])
        return features


class StepwiseContent:
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

    def __call__(self, token: Tensor, place: int) -> Tensor:
        """Features (M, C) of tokens (M,) at a place of their sequence: even is x, odd is y."""
        index, lines = self.axes[place % 2]
        return lines.index_select(0, index.gather(1, token[:, None])[:, 0])
