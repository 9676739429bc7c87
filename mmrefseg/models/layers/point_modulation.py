"""Point modulation: cross-attention drawn towards a point that each query predicts.

Partial-RES (Qu et al., CVPR 2023), after SMCA-DETR (Gao et al., ICCV 2021).
Letters: M sequences, L queries, A heads, H W grid, S memory positions, C channels.
"""

import torch
from torch import Tensor, nn

from .memory import Memory

# SMCA-DETR's constant: the exponent of the Gaussian is divided by it.
SMCA_DIVISOR = 8.0


class PointModulation(nn.Module):
    """Predict a point and a scale per head and turn them into an attention bias.

    The bias of a cell is ``-((p - cell) * scale)^2 / 8`` (the log of a Gaussian
    around the point ``p``), in units of cells, with p inside the valid part of the
    picture. Positions that are not cells (the language token) get 0.

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
            bias = torch.nn.functional.pad(bias, (0, extra))
        return bias.transpose(1, 2)
