"""Fusion of three image scales with one sentence vector (SeqTR's)."""

from collections.abc import Sequence

import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..backbones.darknet53 import dark_conv


@MODELS.register_module()
class MultiscaleFusion(BaseModule):
    """Pool the finer maps into the coarsest, then gate it with the sentence.

    Bottom up, each finer map is average-pooled, convolved and concatenated to the
    next; the result is projected to the language's channels, and the output is
    ``tanh(vision) * tanh(language)``. SeqTR (Zhu et al., ECCV 2022).

    Args:
        in_channels: Channels of the maps, finest first (each half the size of the last).
        out_channels: Channels of the language vector and of the output.
        with_coordinates: Give the projection each cell's x and y in [-1, 1] as two more
            channels (CoordConv, Liu et al., NeurIPS 2018), so that a network trained from
            scratch need not learn position from the padding. SeqTR does without.
        downsample: ``'pool'`` (SeqTR) averages what becomes one cell; ``'unshuffle'`` stacks it
            (space to depth), so that where in the cell something lies is not lost.
        residual: ``tanh(vision) * (1 + tanh(language))``: a sentence turns channels up and down
            but none off, and the decoder still sees the shape of what "the red thing" means.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (256, 512, 1024),
        out_channels: int = 1024,
        with_coordinates: bool = False,
        downsample: str = 'pool',
        residual: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels, self.out_channels = tuple(in_channels), out_channels
        fine, middle, coarse = in_channels
        both = fine + middle
        if downsample not in ('pool', 'unshuffle'):
            raise ValueError(
                f"MultiscaleFusion: downsample is {downsample!r}, expected 'pool' or 'unshuffle'"
            )
        halve = _pool if downsample == 'pool' else _unshuffle
        self.fine_to_middle = halve(fine)
        self.middle_to_coarse = halve(both)
        self.residual = residual
        self.with_coordinates = with_coordinates
        total = both + coarse + 2 * with_coordinates
        self.project = nn.Sequential(dark_conv(total, total, 3), dark_conv(total, out_channels, 1))

    def forward_vision(self, features: Sequence[Tensor]) -> Tensor:
        """Three maps -> (B, C, H/32, W/32), before the sentence comes in."""
        fine, middle, coarse = features
        middle = torch.cat([self.fine_to_middle(fine), middle], 1)
        coarse = torch.cat([self.middle_to_coarse(middle), coarse], 1)
        if self.with_coordinates:
            coarse = torch.cat([coarse, _coordinates(coarse)], 1)
        return self.project(coarse).tanh()

    def fuse(self, vision: Tensor, language: Tensor, image_index: Tensor) -> tuple[Tensor, Tensor]:
        """Gate maps with sentences.

        Args:
            vision: (B, C, H, W) from :meth:`forward_vision`.
            language: (M, C) sentence vectors.
            image_index: (M,) the image of each sentence.

        Returns:
            The fused map (M, C, H, W) and the language token ``tanh(language)`` (M, C).
        """
        language = language.tanh()
        gate = language + 1 if self.residual else language
        return vision[image_index] * gate[:, :, None, None], language

    def forward(self, features: Sequence[Tensor], language: Tensor) -> tuple[Tensor, Tensor]:
        """Fuse images with one sentence each, see :meth:`forward_vision` and :meth:`fuse`."""
        index = torch.arange(len(language), device=language.device)
        return self.fuse(self.forward_vision(features), language, index)


def _pool(channels: int) -> nn.Sequential:
    """Half the size by averages: (B, C, H, W) -> (B, C, H/2, W/2)."""
    return nn.Sequential(nn.AvgPool2d(2, 2), dark_conv(channels, channels, 3))


def _unshuffle(channels: int) -> nn.Sequential:
    """Half the size, with the four pixels of a cell as channels: (B, C, H, W) -> (B, C, H/2, W/2)."""
    return nn.Sequential(nn.PixelUnshuffle(2), dark_conv(4 * channels, channels, 1))


def _coordinates(x: Tensor) -> Tensor:
    """x and y of the cells of a map (B, C, H, W), from -1 to 1: (B, 2, H, W)."""
    b, _, h, w = x.shape
    columns = torch.linspace(-1, 1, w, device=x.device, dtype=x.dtype).expand(b, 1, h, w)
    rows = torch.linspace(-1, 1, h, device=x.device, dtype=x.dtype)[:, None].expand(b, 1, h, w)
    return torch.cat([columns, rows], 1)
