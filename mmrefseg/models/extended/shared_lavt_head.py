"""LAVT's light decoder where the finer maps are shared by the sentences of a picture.

Letters: B pictures, M expressions, C channels, H W cells.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..heads.lavt_head import _MaskHead, upsample
from .shared_map import SharedMap


@MODELS.register_module()
class SharedLAVTHead(_MaskHead):
    """From the coarse maps to the finest: upsample, concatenate, convolve; then two logits.

    A convolution of concatenated maps is the sum of a convolution of each. The one of the picture's own map
    is computed once per picture, whatever the number of its sentences.

    The loss is computed at the logits' own size, against the share of the object around each cell: a
    sixteenth of the pixels, and the border still learns where between two cells it lies.

    Args:
        shared_channels: C of the shared maps, finest first.
        coarse_channels: C of the expressions' own maps, all of one size.
        channels: C behind each shared map, finest first.
        cell_weight: Weight of the loss that classifies the cells of every coarse map as inside or outside of
            the object, so that each stage matches words and picture by itself; 0 leaves it out.
        cell_positive_weight: Weight of cells inside, of which there are few.
        pixel_weight: Weight of the binary cross-entropy of logits.
        dice_loss: Config of a dice loss on the object's probability; none by default.
        init_cfg: mmengine's initialisation config.
    """

    low_resolution_loss = True

    def __init__(
        self,
        shared_channels: Sequence[int],
        coarse_channels: Sequence[int],
        channels: Sequence[int],
        cell_weight: float = 0.0,
        cell_positive_weight: float = 3.0,
        pixel_weight: float = 1.0,
        dice_loss: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(None, dice_loss, False, init_cfg)
        self.pixel_weight = pixel_weight
        self.cell_weight = cell_weight
        self.cell_positive_weight = cell_positive_weight
        self.cells = nn.ModuleList(nn.Conv2d(c, 1, 1) for c in coarse_channels) if cell_weight else None
        widths = channels[::-1]
        self.reduce = nn.Conv2d(sum(coarse_channels), widths[0], 1)
        self.own, self.shared, self.norms = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        before = widths[0]
        for skip, width in zip(reversed(shared_channels), widths, strict=True):
            self.own.append(nn.Conv2d(before, width, 3, padding=1, bias=False))
            self.shared.append(nn.Conv2d(skip, width, 3, padding=1, bias=False))
            self.norms.append(nn.BatchNorm2d(width))
            before = width
        conv = nn.Conv2d(before, before, 3, padding=1, bias=False)
        self.last = nn.Sequential(conv, nn.BatchNorm2d(before), nn.ReLU())
        self.classifier = nn.Conv2d(before, 2, 1)

    def forward(self, feats: Sequence[SharedMap | Tensor]) -> Tensor:
        """Maps, finest first -> logits (M, 2, H / 4, W / 4) of background and object."""
        finer, coarse = feats[: len(self.own)], feats[len(self.own) :]
        x = self.reduce(torch.cat(coarse, 1))
        for own, shared, norm, skip in zip(self.own, self.shared, self.norms, reversed(finer), strict=True):
            x = own(upsample(x, skip.x.shape[-2:])) + skip.rows(shared(skip.x))
            x = F.relu(norm(x))
        return self.classifier(self.last(x))

    def loss(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Losses of logits (M, 2, h, w) against masks (M, H, W), 1 inside the object.

        Returns:
            ``loss_mask`` and, if there is one, ``loss_dice``; zeros that keep the graph for M = 0.
        """
        if not len(target):
            return {'loss_mask': logits.sum() * 0}
        share = object_share(target, logits.shape[-2:])
        margin = logits[:, 1] - logits[:, 0]
        losses = {'loss_mask': self.pixel_weight * F.binary_cross_entropy_with_logits(margin, share)}
        if self.dice_loss is not None:
            losses['loss_dice'] = self.dice_loss(margin.sigmoid(), share)
        return losses

    def cell_loss(self, feats: Sequence[Tensor], target: Tensor) -> dict[str, Tensor]:
        """``loss_cell`` of the expressions' coarse maps (M, C, h, w) against masks (M, H, W)."""
        share = F.adaptive_avg_pool2d(target[:, None].float(), feats[0].shape[-2:])
        weight = share.new_tensor(self.cell_positive_weight)
        losses = [
            F.binary_cross_entropy_with_logits(classifier(x), share, pos_weight=weight)
            for classifier, x in zip(self.cells, feats, strict=True)
        ]
        return {'loss_cell': self.cell_weight * sum(losses)}


def object_share(target: Tensor, size: Sequence[int]) -> Tensor:
    """Share of the object around each point of a coarser grid: masks (M, H, W) -> (M, h, w) in [0, 1].

    The grid's corners are the picture's, as in :func:`upsample`, which takes logits back to the picture.
    """
    x = target[:, None].float()
    # one axis after the other: fewer pixels each time
    for axis in (0, 1):
        side = round(target.shape[1 + axis] / size[axis]) // 2 * 2 + 1
        kernel = (side, 1) if axis == 0 else (1, side)
        half = (side // 2, 0) if axis == 0 else (0, side // 2)
        x = F.avg_pool2d(x, kernel, 1, half, count_include_pad=False)
        x = upsample(x, (size[0], x.shape[3]) if axis == 0 else size)
    return x[:, 0]
