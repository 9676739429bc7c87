"""3x3 convolutions with a quarter of the multiplications (Winograd; Lavin and Gray, CVPR 2016), for CPUs.

torch's CPU convolutions multiply 9 numbers per output and pair of channels; tiles of 4 x 4 outputs need 36
products instead of 144. The result differs from the direct one by rounding, about five times as much as the
direct one from the exact (5e-5 where the values are about 1).

Letters: M samples, H W cells, C input and D output channels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_OUTPUT = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)
# So many tiles at once: with a few hundred channels they stay in the cache.
_TILES = 240


def _two_sided(side: tuple[tuple[float, ...], ...], like: Tensor) -> Tensor:
    """One matrix for what ``side`` does to rows and to columns."""
    side = like.new_tensor(side)
    return torch.kron(side, side)


def winograd_kernel(weight: Tensor) -> Tensor:
    """(D, C, 3, 3) -> (36, C, D), four times as large, for :func:`winograd_conv3x3`."""
    d, c = weight.shape[:2]
    return (_two_sided(_KERNEL, weight) @ weight.permute(2, 3, 1, 0).reshape(9, c * d)).view(36, c, d)


def winograd_conv3x3(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """``F.conv2d(x, weight, bias, padding=1)`` without gradients.

    Args:
        x: (M, C, H, W); fastest in the channels-last layout.
        kernel: (36, C, D), :func:`winograd_kernel` of the weight.
        bias: (D,).

    Returns:
        (M, D, H, W), channels last.
    """
    height, width = x.shape[2:]
    to_tiles, to_cells = _two_sided(_INPUT, x), _two_sided(_OUTPUT, x)
    cells = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1 + -width % 4, 1, 1 + -height % 4))
    rows, columns = (cells.shape[1] - 2) // 4, (cells.shape[2] - 2) // 4
    step = max(1, _TILES // columns)
    result = x.new_empty(len(x), height, width, len(bias))
    for sample, out in zip(cells, result, strict=True):
        for row in range(0, rows, step):
            part = sample[4 * row : 4 * min(row + step, rows) + 2]
            tiles = part.unfold(0, 6, 4).unfold(1, 6, 4).permute(3, 4, 0, 1, 2).reshape(36, -1)
            products = torch.bmm((to_tiles @ tiles).view(36, -1, len(kernel[0])), kernel)
            blocks = (to_cells @ products.view(36, -1)).view(4, 4, -1, columns, len(bias))
            blocks = blocks.permute(2, 0, 3, 1, 4).reshape(-1, 4 * columns, len(bias))
            place = out[4 * row : 4 * row + len(blocks)]
            torch.add(blocks[: len(place), :width], bias, out=place)
    return result.permute(0, 3, 1, 2)
