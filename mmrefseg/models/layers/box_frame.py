"""Contours written in the frame of a box, so that a shape has the same tokens wherever it lies.

Letters: M expressions, L tokens of a sequence.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class BoxFrame:
    """Change coordinate tokens between the picture's bins and the bins of a box.

    In the picture's bins a decoder must learn every shape at every place and size; in those of
    a box a circle is always the same sequence. Not in SeqTR or Partial-RES, which learn from
    many more masks.

    Attributes:
        num_bins: Bins of either frame; larger tokens (the end) stay what they are.
        margin: Bins of the picture by which the frame is wider than the box on each side, since
            a predicted box may be too small.
    """

    num_bins: int
    margin: float = 2.0

    def to_box(self, tokens: Tensor, boxes: Tensor, place: int = 0) -> Tensor:
        """Bins of the picture -> bins of the box.

        Args:
            tokens: (M, L) x and y in turn.
            boxes: (M, 4) tokens x1, y1, x2, y2 of the box, in bins of the picture.
            place: Place of the first token in its sequence: even is x, odd is y.

        Returns:
            (M, L); what lies outside of the frame is moved to its edge.
        """
        low, size = self._span(boxes, tokens.shape[1], place)
        return self._keep_end(tokens, (tokens + 0.5 - low) / size * self.num_bins)

    def to_picture(self, tokens: Tensor, boxes: Tensor, place: int = 0) -> Tensor:
        """Bins of the box -> bins of the picture; arguments as in :meth:`to_box`."""
        low, size = self._span(boxes, tokens.shape[1], place)
        return self._keep_end(tokens, (tokens + 0.5) / self.num_bins * size + low)

    def _span(self, boxes: Tensor, length: int, place: int) -> tuple[Tensor, Tensor]:
        """First edge and length of the frame for every token: (M, L) each."""
        axis = (torch.arange(length, device=boxes.device) + place) % 2
        low = boxes[:, :2].float() - self.margin
        size = (boxes[:, 2:].float() + 1 + self.margin - low).clamp(
            min=4
        )  # a predicted box may be inside out
        return low[:, axis], size[:, axis]

    def _keep_end(self, tokens: Tensor, moved: Tensor) -> Tensor:
        bins = moved.floor().long().clamp(0, self.num_bins - 1)
        return torch.where(tokens < self.num_bins, bins, tokens)
