"""What the decoder looks at: the encoded image, where it is valid, and how large its grid is.

Letters: M expressions, S = H*W (+1 with a language token) positions, C channels.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass
class Memory:
    """Encoder output of M expressions.

    Attributes:
        tokens: (M, S, C) encoder output; with a language token it is the last position.
        position: (M, S, C) position code of each token (zero for the language token).
        padding: (M, S) bool, True where the image is padding.
        grid: (H, W) of the feature map.
        valid: (M, 2) float, columns and rows of the grid (x, y) that are not padding.
        extent: (M, 2) float, columns and rows (x, y) that coordinate bins span: the
            image's own padded size in cells.
    """

    tokens: Tensor
    position: Tensor
    padding: Tensor
    grid: tuple[int, int]
    valid: Tensor
    extent: Tensor

    @cached_property
    def cell_centers(self) -> tuple[Tensor, Tensor]:
        """x of the columns (W,) and y of the rows (H,), in cells."""
        h, w = self.grid
        x = torch.arange(w, device=self.tokens.device, dtype=self.tokens.dtype) + 0.5
        y = torch.arange(h, device=self.tokens.device, dtype=self.tokens.dtype) + 0.5
        return x, y

    @property
    def image_tokens(self) -> Tensor:
        """(M, H, W, C): the tokens of the image alone."""
        h, w = self.grid
        return self.tokens[:, : h * w].unflatten(1, (h, w))

    @property
    def image_padding(self) -> Tensor:
        """(M, H, W): where the image is padding."""
        h, w = self.grid
        return self.padding[:, : h * w].unflatten(1, (h, w))


def grid_padding(grid: tuple[int, int], sizes: Tensor, stride: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Which cells of a feature map lie outside their image.

    A cell counts as valid when its first pixel is inside the image (what a
    nearest-neighbour resize of the pixel mask gives).

    Args:
        grid: (H, W) of the map.
        sizes: (M, 2) image height and width before padding, in pixels.
        stride: Pixels per cell (vertical, horizontal).

    Returns:
        padding (M, H, W) bool, and valid (M, 2) float: valid columns and rows (x, y).
    """
    h, w = grid
    steps = torch.tensor(stride, device=sizes.device, dtype=torch.float32)
    counts = torch.ceil(sizes / steps)  # (M, 2) rows, columns
    row = torch.arange(h, device=sizes.device)[None, :, None] >= counts[:, 0, None, None]
    column = torch.arange(w, device=sizes.device)[None, None, :] >= counts[:, 1, None, None]
    return row | column, counts.flip(-1)
