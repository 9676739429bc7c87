"""Maps of the strides and channels that a head wants, from those that an encoder has.

Letters: B images, C channels, h w cells.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...utils import UserInputError
from ...utils.errors import short


@MODELS.register_module()
class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of a map; as a ``norm_cfg``, what detectron2 calls LN.

    Args:
        num_features: C.
        eps: See ``torch.nn.LayerNorm``.
    """

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__(num_features, eps)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):
    """ViTDet's pyramid (Li et al., ECCV 2022): every stride from one map, no top-down path.

    Each output is made from the map of the nearest stride: transposed convolutions double its size, maximum
    pooling halves it, then follow a 1x1 and a 3x3 convolution, each with a layer norm. A plain transformer
    has one map for all; a map that has the stride and the channels already is passed on as it is, so that a
    network of stages keeps its own.

    Args:
        in_channels: C of each map.
        in_strides: Pixels per cell of each map, different from one another.
        out_strides: Those wanted, each a power of two apart from those there are.
        out_channels: Those wanted, one number or one per output; ``None`` keeps what a map of the stride has,
            and makes 256 where there is none.
        init_cfg: mmengine's initialisation config.

    Raises:
        UserInputError: If a stride cannot be made.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int],
        out_strides: Sequence[int] = (4, 8, 16, 32),
        out_channels: int | Sequence[int] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_levels(out_strides, out_channels, 'SimpleFeaturePyramid')
        wanted = out_channels if isinstance(out_channels, Sequence) else [out_channels] * len(out_strides)
        if len(wanted) != len(out_strides):
            raise UserInputError.of(
                'SimpleFeaturePyramid',
                f'{len(wanted)} out_channels for {len(out_strides)} strides',
                'one number, or one per stride',
                'correct the config',
            )
        self.sources, self.out_channels, levels = [], [], []
        for stride, channels in zip(out_strides, wanted, strict=True):
            source = min(range(len(in_strides)), key=lambda i: abs(math.log2(in_strides[i] / stride)))
            octaves = math.log2(in_strides[source] / stride)
            if octaves != round(octaves):
                raise UserInputError.of(
                    'SimpleFeaturePyramid',
                    f'stride {stride} from maps of strides {tuple(in_strides)}',
                    'a power of two between them',
                    'correct strides in the config',
                )
            c = in_channels[source]
            channels = channels or (c if octaves == 0 and len(in_strides) > 1 else 256)
            self.sources.append(source)
            self.out_channels.append(channels)
            same = octaves == 0 and channels == c and len(in_strides) > 1
            levels.append(nn.Identity() if same else _level(c, channels, round(octaves)))
        self.levels = nn.ModuleList(levels)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps (B, C, h, w) of the strides there are -> one per stride wanted."""
        return tuple(level(maps[i]) for i, level in zip(self.sources, self.levels, strict=True))


def check_levels(strides: Sequence[int], channels: int | Sequence[int] | None, where: str) -> None:
    """Raise :class:`UserInputError` unless these are pixels a cell, rising, and channels or ``None``."""
    numbers = isinstance(strides, Sequence) and strides and _counts(strides)
    if not numbers or any(second <= first for first, second in pairwise(strides)):
        raise UserInputError.of(
            where,
            f'strides={short(strides)}',
            'numbers of pixels, such as (8, 16, 32), finest first',
            'correct the config',
        )
    wanted = channels if isinstance(channels, list | tuple) else [channels]
    if not _counts(c for c in wanted if c is not None):
        raise UserInputError.of(
            where, f'out_channels={short(channels)}', 'numbers from 1, or None', 'correct the config'
        )


def _counts(values: Iterable[Any]) -> bool:
    return all(type(value) is int and value > 0 for value in values)


def _level(in_channels: int, out_channels: int, octaves: int) -> nn.Sequential:
    """Twice the size ``octaves`` times, or half, and to other channels."""
    layers, c = [], in_channels
    for i in range(octaves):
        if i:
            layers += [ChannelNorm(c), nn.GELU()]
        half = max(c // 2, 1)
        layers.append(nn.ConvTranspose2d(c, half, 2, stride=2))
        c = half
    layers += [_Halve() for _ in range(-octaves)]
    layers += [
        nn.Conv2d(c, out_channels, 1, bias=False),
        ChannelNorm(out_channels),
        nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
        ChannelNorm(out_channels),
    ]
    return nn.Sequential(*layers)


class _Halve(nn.Module):
    """The maximum of what becomes one cell; an odd side keeps its last cell."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2, ceil_mode=True)
