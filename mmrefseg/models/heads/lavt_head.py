"""LAVT's light decoder, and LAVT-pytorch's heavier one.

Letters: M expressions, C channels, H W pixels.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn


class ConvBlock(nn.Sequential):
    """3x3 convolution, batch norm, ReLU: (M, C, H, W) -> (M, C', H, W).

    Args:
        in_channels: C.
        out_channels: C'.
        bias: Whether the convolution has a bias.
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = False) -> None:
        super().__init__(
            OrderedDict(
                conv=nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias),
                bn=nn.BatchNorm2d(out_channels),
                relu=nn.ReLU(),
            )
        )


def upsample(x: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear, corners on corners: all of LAVT's upsampling."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, tuple(size), mode='bilinear', align_corners=True)


class MaskHead(BaseModule):
    """What the decoders share: the losses.

    Args:
        loss: Config of the loss on two logits a pixel.
        dice_loss: Config of a dice loss on the object's probability (mmdet's ``DiceLoss`` with
            ``activate=False``); none by default, as in LAVT's code.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(self, loss: dict | None, dice_loss: dict | None, init_cfg: dict | None) -> None:
        super().__init__(init_cfg)
        self.pixel_loss = MODELS.build(loss or dict(type='PixelCrossEntropyLoss'))
        self.dice_loss = None if dice_loss is None else MODELS.build(dice_loss)

    def loss_from_maps(self, feats: Sequence[Tensor], target: Tensor, has_mask: Tensor) -> dict[str, Tensor]:
        """:meth:`loss` of the logits that the maps give, upsampled, over the expressions that have a mask.

        Args:
            feats: Maps of M expressions, finest first.
            target: (M, H, W) in the size of the input, 1 inside the object.
            has_mask: (M,) bool; the target of others does not count.
        """
        logits = upsample(self(feats), target.shape[-2:])
        return self.loss(logits[has_mask], target[has_mask])

    def loss(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Losses of logits (M, 2, H, W) against masks (M, H, W), 1 inside the object.

        Returns:
            ``loss_mask`` and, if there is one, ``loss_dice``; zeros that keep the graph for M = 0.
        """
        if not len(target):
            return {'loss_mask': logits.sum() * 0}
        losses = {'loss_mask': self.pixel_loss(logits, target)}
        if self.dice_loss is not None:
            probability = logits.softmax(1)[:, 1]
            losses['loss_dice'] = self.dice_loss(probability, target.to(logits.dtype))
        return losses


@MODELS.register_module()
class LAVTHead(MaskHead):
    """From the coarsest map to the finest: upsample, concatenate, two 3x3 convolutions; then two logits.

    Args:
        in_channels: C of the maps, finest first.
        channels: C between; LAVT takes four times the backbone's first.
        loss: Config of the loss; :class:`PixelCrossEntropyLoss` by default.
        dice_loss: Config of a dice loss; none by default.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        loss: dict | None = None,
        dice_loss: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(loss, dice_loss, init_cfg)
        self.in_channels = tuple(in_channels)
        *finer, coarse = in_channels
        blocks = []
        for skip in reversed(finer):
            blocks.append(nn.Sequential(ConvBlock(coarse + skip, channels), ConvBlock(channels, channels)))
            coarse = channels
        self.blocks = nn.ModuleList(blocks)
        self.classifier = nn.Conv2d(channels, 2, 1)

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Maps, finest first -> logits (M, 2, H / 4, W / 4) of background and object."""
        *finer, x = feats
        for block, skip in zip(self.blocks, reversed(finer), strict=True):
            x = block(torch.cat([upsample(x, skip.shape[-2:]), skip], 1))
        return self.classifier(x)


@MODELS.register_module()
class LAVTPytorchHead(MaskHead):
    """LAVT-pytorch's decoder: concatenate, two 3x3 convolutions that keep all channels, upsample by two.

    Args:
        in_channels: C of the maps, finest first; the last two are of the same stride.
        loss: Config of the loss; unweighted :class:`PixelCrossEntropyLoss` by default.
        dice_loss: Config of a dice loss; none by default.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (256, 512, 1024, 1024),
        loss: dict | None = None,
        dice_loss: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(loss, dice_loss, init_cfg)
        self.in_channels = tuple(in_channels)
        *finer, channels = in_channels
        blocks = []
        for skip in reversed(finer):
            channels += skip
            blocks.append(
                nn.Sequential(
                    ConvBlock(channels, channels, bias=True), ConvBlock(channels, channels, bias=True)
                )
            )
        self.blocks = nn.ModuleList(blocks)
        self.classifier = nn.Conv2d(channels, 2, 1)

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Maps, finest first -> logits (M, 2, H / 4, W / 4) of background and object."""
        *finer, x = feats
        for block, skip in zip(self.blocks, reversed(finer), strict=True):
            x = block(torch.cat([x, skip], 1))
            x = upsample(x, (2 * x.shape[2], 2 * x.shape[3]))
        return self.classifier(x)
