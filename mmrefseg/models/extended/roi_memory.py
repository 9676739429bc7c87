"""What the decoder looks at while it writes the mask of a box: the picture's features over that box.

Letters: M expressions, B pictures, G cells along each side of a box, C channels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.memory import Memory
from ..layers.transformer import EncoderLayer
from .box_frame import BoxFrame


class RoIMemory(nn.Module):
    """Sample the backbone's finer maps and the encoder's output on a grid over each box.

    The RoI features of Mask R-CNN (He et al., ICCV 2017), bilinear at the cells' centres, as the
    memory of a point-sequence decoder. A cell of the finest map's grid is half a cell of the memory
    wide, and its four values are stacked, so that where in a cell an edge runs is kept. The
    encoder's output brings in what the sentence asks for, and so does the language token.

    Args:
        map_channels: Channels of the backbone's two finest maps.
        embed_dims: C.
        num_heads: Attention heads of the encoder layers.
        hidden_dims: Width of their feed-forward blocks.
        grid: G.
        num_layers: Encoder layers over the cells of a box.
    """

    def __init__(
        self,
        map_channels: tuple[int, int],
        embed_dims: int,
        num_heads: int,
        hidden_dims: int,
        grid: int = 8,
        num_layers: int = 1,
    ) -> None:
        super().__init__()
        fine, middle = map_channels
        self.grid = grid
        self.fine = nn.Linear(4 * fine, embed_dims)
        self.middle = nn.Linear(middle, embed_dims)
        self.encoded = nn.Linear(embed_dims, embed_dims)
        self.norm = nn.LayerNorm(embed_dims)
        self.layers = nn.ModuleList(
            EncoderLayer(embed_dims, num_heads, hidden_dims, dropout=0.0) for _ in range(num_layers)
        )

    def forward(self, memory: Memory, frame: BoxFrame, position: Tensor) -> Memory:
        """Memory of the picture -> memory of the boxes.

        Args:
            memory: With ``maps`` and ``image_index``, see :class:`Memory`.
            frame: The boxes' frames.
            position: (G * G, C) position code of the cells.

        Returns:
            Memory of a G x G grid whose bins are the frame's.
        """
        g = self.grid
        fine, middle = (
            self._sample(level[memory.image_index], memory, frame, size)
            for level, size in zip(memory.maps[:2], (2 * g, g), strict=True)
        )
        encoded = self._sample(memory.image_tokens.permute(0, 3, 1, 2), memory, frame, g)
        parts = (self.fine(_cells(F.pixel_unshuffle(fine, 2))), self.middle(_cells(middle)))
        x = self.norm(sum(parts) + self.encoded(_cells(encoded))) + position
        position = position.expand(len(x), -1, -1)
        language = memory.tokens[:, memory.grid[0] * memory.grid[1] :]  # one token, or none
        position = torch.cat([position, torch.zeros_like(language)], 1)
        x = torch.cat([x, language], 1)
        for layer in self.layers:
            x = layer(x, position, None)
        full = torch.full_like(memory.extent, g)
        padding = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device)
        return Memory(x, position, padding, (g, g), full, full)

    @staticmethod
    def _sample(maps: Tensor, memory: Memory, frame: BoxFrame, count: int) -> Tensor:
        """(M, C, H, W) at ``count`` x ``count`` points over each frame: (M, C, count, count)."""
        h, w = memory.grid
        # bins span the picture's own padded size, maps that of the batch
        share = memory.extent / memory.extent.new_tensor([w, h]) / frame.num_bins
        x, y = (2 * axis * share[:, i, None] - 1 for i, axis in enumerate(frame.centers(count)))
        points = torch.stack([x[:, None].expand(-1, count, -1), y[:, :, None].expand(-1, -1, count)], -1)
        return F.grid_sample(maps, points.to(maps.dtype), padding_mode='border', align_corners=False)


def _cells(maps: Tensor) -> Tensor:
    """(M, C, H, W) -> (M, H * W, C)."""
    return maps.flatten(2).transpose(1, 2)
