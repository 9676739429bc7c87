"""LAVT's light decoder, and LAVT-pytorch's heavier one.

Letters: M expressions, C channels, H W pixels.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..acceleration.folded_conv import FoldedConv


def upsample(x: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear, corners on corners: all of LAVT's upsampling."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, tuple(size), mode='bilinear', align_corners=True)


class _MaskHead(BaseModule):
    """What the two decoders share: the losses, and the memory layout.

    Args:
        loss: Config of the loss on two logits a pixel.
        dice_loss: Config of a dice loss on the object's probability (mmdet's ``DiceLoss`` with
            ``activate=False``); none by default, as in LAVT's code.
        channels_last: In evaluation, run the convolutions in the channels-last layout.
        init_cfg: mmengine's initialisation config.

    Attributes:
        low_resolution_loss: Whether :meth:`loss` takes logits as they are; else at the size of the input.
        cell_weight: Of a loss on the expressions' coarse maps; none here.
    """

    low_resolution_loss = False
    cell_weight = 0.0

    def __init__(
        self, loss: dict | None, dice_loss: dict | None, channels_last: bool, init_cfg: dict | None
    ) -> None:
        super().__init__(init_cfg)
        self.pixel_loss = MODELS.build(loss or dict(type='PixelCrossEntropyLoss'))
        self.dice_loss = None if dice_loss is None else MODELS.build(dice_loss)
        self.channels_last = channels_last

    def _laid_out(self, feats: Sequence[Tensor]) -> list[Tensor]:
        layout = torch.contiguous_format
        if self.channels_last and not self.training:
            layout = torch.channels_last
        return [feat.contiguous(memory_format=layout) for feat in feats]

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
class LAVTHead(_MaskHead):
    """From the coarsest map to the finest: upsample, concatenate, two 3x3 convolutions; then two logits.

    Args:
        in_channels: C of the maps, finest first.
        channels: C between; LAVT takes four times the backbone's first.
        fold_batch_norm: See :class:`FoldedConv`.
        winograd: See :class:`FoldedConv`.
        channels_last: In evaluation, run the convolutions in the channels-last layout.
        loss: Config of the loss; :class:`PixelCrossEntropyLoss` by default.
        dice_loss: Config of a dice loss; none by default.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        fold_batch_norm: bool = True,
        winograd: bool = True,
        channels_last: bool = True,
        loss: dict | None = None,
        dice_loss: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(loss, dice_loss, channels_last, init_cfg)
        *finer, coarse = in_channels
        switches = dict(fold=fold_batch_norm, winograd=winograd)
        blocks = []
        for skip in reversed(finer):
            blocks.append(
                nn.Sequential(
                    FoldedConv(coarse + skip, channels, 3, **switches),
                    FoldedConv(channels, channels, 3, **switches),
                )
            )
            coarse = channels
        self.blocks = nn.ModuleList(blocks)
        self.classifier = nn.Conv2d(channels, 2, 1)

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Maps, finest first -> logits (M, 2, H / 4, W / 4) of background and object."""
        *finer, x = self._laid_out(feats)
        for block, skip in zip(self.blocks, reversed(finer), strict=True):
            x = block(torch.cat([upsample(x, skip.shape[-2:]), skip], 1))
        return self.classifier(x)


@MODELS.register_module()
class LAVTPytorchHead(_MaskHead):
    """LAVT-pytorch's decoder: concatenate, two 3x3 convolutions that keep all channels, upsample by two.

    Args:
        in_channels: C of the maps, finest first; the last two are of the same stride.
        fold_batch_norm: See :class:`FoldedConv`.
        channels_last: In evaluation, run the convolutions in the channels-last layout.
        loss: Config of the loss; unweighted :class:`PixelCrossEntropyLoss` by default.
        dice_loss: Config of a dice loss; none by default.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (256, 512, 1024, 1024),
        fold_batch_norm: bool = True,
        channels_last: bool = True,
        loss: dict | None = None,
        dice_loss: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(loss, dice_loss, channels_last, init_cfg)
        *finer, channels = in_channels
        blocks = []
        for skip in reversed(finer):
            channels += skip
            blocks.append(
                nn.Sequential(
                    FoldedConv(channels, channels, 3, bias=True, fold=fold_batch_norm, winograd=False),
                    FoldedConv(channels, channels, 3, bias=True, fold=fold_batch_norm, winograd=False),
                )
            )
        self.blocks = nn.ModuleList(blocks)
        self.classifier = nn.Conv2d(channels, 2, 1)

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Maps, finest first -> logits (M, 2, H / 4, W / 4) of background and object."""
        *finer, x = self._laid_out(feats)
        for block, skip in zip(self.blocks, reversed(finer), strict=True):
            x = block(torch.cat([x, skip], 1))
            x = upsample(x, (2 * x.shape[2], 2 * x.shape[3]))
        return self.classifier(x)
