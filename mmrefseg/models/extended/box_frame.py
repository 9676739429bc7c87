"""The frame of a box, in which a shape has the same coordinates wherever it lies.

Letters: M expressions, L tokens of a sequence.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# Smallest side of a frame, as a share of the picture's: a predicted box may have no area.
MIN_SIDE = 1 / 16


@dataclass(frozen=True)
class BoxFrame:
    """Coordinate bins over M boxes instead of over the picture.

    Attributes:
        low: (M, 2) x and y of the frame's first corner, in bins of the picture.
        size: (M, 2) width and height, in bins of the picture.
        num_bins: Bins of either frame; larger tokens (the end) stay what they are.
    """

    low: Tensor
    size: Tensor
    num_bins: int

    @classmethod
    def around(cls, boxes: Tensor, num_bins: int, margin: float = 0.0, jitter: float = 0.0) -> 'BoxFrame':
        """The frame of each box.

        Args:
            boxes: (M, 4) tokens x1, y1, x2, y2, in any order of the corners.
            num_bins: Bins of the picture's sides, and of the frame's.
            margin: Share of the box's side by which the frame is wider on each side: a predicted box
                may be too small for its object.
            jitter: Standard deviation of noise on each side, as a share of the box's side: what makes
                a network trained on true boxes bear predicted ones.
        """
        corners = (boxes + 0.5).unflatten(1, (2, 2))
        corners = cls._ordered(corners)
        if jitter:
            side = (corners[:, 1] - corners[:, 0]).clamp(min=MIN_SIDE * num_bins)
            corners = cls._ordered(corners + jitter * side[:, None] * torch.randn_like(corners))
        side = (corners[:, 1] - corners[:, 0]).clamp(min=MIN_SIDE * num_bins)
        size = side * (1 + 2 * margin)
        return cls(corners.mean(1) - size / 2, size, num_bins)

    @staticmethod
    def _ordered(corners: Tensor) -> Tensor:
        return torch.stack([corners.amin(1), corners.amax(1)], 1)

    def to_box(self, tokens: Tensor) -> Tensor:
        """Bins of the picture -> bins of the frame; what lies outside moves to the edge.

        Args:
            tokens: (M, L) x and y in turn.

        Returns:
            (M, L).
        """
        low, size = self._axes(tokens.shape[1])
        return self._keep_end(tokens, (tokens + 0.5 - low) / size * self.num_bins)

    def to_picture(self, tokens: Tensor) -> Tensor:
        """Bins of the frame -> bins of the picture, (M, L) both; outside of the picture moves to its edge."""
        low, size = self._axes(tokens.shape[1])
        return self._keep_end(tokens, (tokens + 0.5) / self.num_bins * size + low)

    def centers(self, count: int) -> tuple[Tensor, Tensor]:
        """Centres of a grid of ``count`` x ``count`` cells: x and y (M, count), in bins of the picture."""
        share = (torch.arange(count, device=self.low.device, dtype=self.low.dtype) + 0.5) / count
        points = self.low[..., None] + self.size[..., None] * share
        return points[:, 0], points[:, 1]

    def _axes(self, length: int) -> tuple[Tensor, Tensor]:
        """Low edge and size of the frame for the x, y, x, ... of a sequence: (M, L) each."""
        axis = torch.arange(length, device=self.low.device) % 2
        return self.low[:, axis], self.size[:, axis]

    def _keep_end(self, tokens: Tensor, moved: Tensor) -> Tensor:
        bins = moved.floor().long().clamp(0, self.num_bins - 1)
        return torch.where(tokens < self.num_bins, bins, tokens)
