"""3x3 convolutions with a fraction of the multiplications (Winograd; Lavin and Gray, CVPR 2016), for CPUs.

The CPU convolutions of PyTorch multiply 9 numbers for each output and pair of channels, near the
processor's peak. A tile of 2x2 outputs needs 16 products instead of 36, one of 4x4 needs 36 instead of 144:
sums over channels stay, as one matrix product for each of a tile's 16 or 36 places. Results differ by
rounding only.
Letters: M images, H W cells, C input and D output channels, T tiles, O outputs of a tile along each axis.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Below so many input channels, moving the tiles takes longer than the multiplications that are saved.
MANY_CHANNELS = 128
# Kernels of 4x4 tiles take 4 times the memory of the weights, those of 2x2 tiles 1.8 times. By pairs of
# channels: the former up to MANY, on maps of LARGE cells up to WIDE, the latter up to MOST (256 MB).
MANY_PAIRS, WIDE_PAIRS, MOST_PAIRS = 2**17, 900_000, 4_000_000
LARGE_MAP = 24 * 24
# So many tiles at a time: fewer leave the matrix products short, more leave the processor's cache.
TILES_AT_ONCE = 200
# Input channels of a kernel that are transformed at a time, so that they stay in the processor's cache.
CHANNELS_AT_ONCE = 16

# By O: what makes O + 2 inputs, 3 weights and O + 2 products into as many or O outputs. Interpolation at
# 0, 1, -1, infinity (O = 2), and 2, -2 (O = 4).
INPUT = {
    2: ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, -1, 0, 1)),
    4: (
        (4, 0, -5, 0, 1, 0),
        (0, -4, -4, 1, 1, 0),
        (0, 4, -4, -1, 1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (0, 4, 0, -5, 0, 1),
    ),
}
KERNEL = {
    2: ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
    4: (
        (1 / 4, 0, 0),
        (-1 / 6, -1 / 6, -1 / 6),
        (-1 / 6, 1 / 6, -1 / 6),
        (1 / 24, 1 / 12, 1 / 6),
        (1 / 24, -1 / 12, 1 / 6),
        (0, 0, 1),
    ),
}
OUTPUT = {
    2: ((1, 1, 1, 0), (0, 1, -1, 1)),
    4: ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
}


class WinogradConv3x3:
    """What a 3x3 convolution of stride 1 and padding 1 computes, for prediction.

    Args:
        weight: (D, C, 3, 3); not kept.
        bias: (D,).
        outputs: O, 2 or 4.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, outputs: int) -> None:
        self.outputs = outputs
        self.kernel = _transformed(weight.detach().cpu(), outputs).to(weight)
        self.bias = weight.new_zeros(len(weight)) if bias is None else bias.detach()

    def __call__(self, x: Tensor) -> Tensor:
        """(M, C, H, W) -> (M, D, H, W), channels last; fastest if the input is, too."""
        height, width = x.shape[2:]
        outputs = self.outputs
        down, along = -(-height // outputs), -(-width // outputs)  # tiles
        x = x.permute(0, 2, 3, 1)
        x = F.pad(x, (0, 0, 1, 1 + along * outputs - width, 1, 1 + down * outputs - height)).contiguous()
        group = max(1, TILES_AT_ONCE // (down * along))
        rows = max(1, TILES_AT_ONCE // along)  # of tiles
        result = x.new_empty(len(x), down, outputs, along, outputs, self.kernel.shape[2])
        for first in range(0, len(x), group):
            images = slice(first, first + group)
            for top in range(0, down, rows):
                part = result[images, top : top + rows]
                seen = x[images, top * outputs : (top + part.shape[1]) * outputs + 2]
                self._join(torch.bmm(self._tiles(seen, *part.shape[1:4:2]), self.kernel), part)
        result = result.flatten(3, 4).flatten(1, 2)
        if result.shape[1:3] == (height, width):
            return result.add_(self.bias).permute(0, 3, 1, 2)
        return (result[:, :height, :width] + self.bias).permute(0, 3, 1, 2)

    def _tiles(self, x: Tensor, down: int, along: int) -> Tensor:
        """Overlapping tiles of padded images (M, H, W, C), transformed: ((O + 2)^2, T, C)."""
        matrix = x.new_tensor(INPUT[self.outputs])
        side = len(matrix)
        m, _, width, c = x.shape
        row = width * c
        tiles = x.as_strided(
            (m, down, side, row), (x.stride(0), self.outputs * row, row, 1), x.storage_offset()
        )
        tiles = matrix @ tiles
        tiles = tiles.as_strided((m * down * side, along, side, c), (row, self.outputs * c, c, 1))
        tiles = (matrix @ tiles).view(m, down, side, along, side, c)
        return tiles.permute(2, 4, 0, 1, 3, 5).reshape(side * side, -1, c)

    def _join(self, products: Tensor, result: Tensor) -> None:
        """Products ((O + 2)^2, T, D) to outputs (M, rows, O, columns, O, D)."""
        matrix = products.new_tensor(OUTPUT[self.outputs])
        outputs, side = matrix.shape
        m, down, _, along, _, d = result.shape
        columns = matrix @ products.view(side, -1)
        both = matrix @ columns.view(outputs, side, -1)
        result.copy_(both.view(outputs, outputs, m, down, along, d).permute(2, 3, 0, 4, 1, 5))


def _transformed(weight: Tensor, outputs: int) -> Tensor:
    """Kernels (D, C, 3, 3) as factors of the products, ((O + 2)^2, C, D); computed in 64 bits."""
    one_axis = torch.tensor(KERNEL[outputs], dtype=torch.float64)
    matrix = torch.kron(one_axis, one_axis)  # ((O + 2)^2, 9)
    result = weight.new_empty(len(matrix), weight.shape[1], weight.shape[0])
    for channels, part in zip(
        weight.split(CHANNELS_AT_ONCE, 1), result.split(CHANNELS_AT_ONCE, 1), strict=True
    ):
        places = channels.permute(2, 3, 1, 0).double().reshape(matrix.shape[1], -1)
        part.copy_((matrix @ places).view(part.shape))
    return result


def tile_outputs(conv: nn.Conv2d, x: Tensor) -> int:
    """O of the tiles that are worth their while for maps (M, C, H, W) of a convolution; 0 if none are."""
    if not _fits(conv) or x.device.type != 'cpu' or x.dtype != torch.float32:
        return 0
    pairs, cells = conv.in_channels * conv.out_channels, x.shape[2] * x.shape[3]
    if pairs <= MANY_PAIRS or (cells >= LARGE_MAP and pairs <= WIDE_PAIRS):
        return 4
    return 2 if pairs <= MOST_PAIRS else 0


def _fits(conv: nn.Conv2d) -> bool:
    return (
        conv.kernel_size == (3, 3)
        and conv.stride == conv.dilation == (1, 1)
        and conv.padding == (1, 1)
        and conv.padding_mode == 'zeros'
        and conv.groups == 1
        and min(conv.in_channels, conv.out_channels) >= MANY_CHANNELS
    )
