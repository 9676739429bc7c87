"""Dense supervision by the box alone: which cells of the encoded picture belong to the referent."""

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class BoxCellLoss(nn.Module):
    """Classify every cell of the encoder's output as inside or outside of the referent's box.

    A decoder that starts from scratch finds the referent only through its attention, which
    takes thousands of steps to break symmetry (why DETR is slow); a cell's own loss teaches
    the match of words and picture in hundreds. It needs boxes, no masks. Not in SeqTR or
    Partial-RES, which start from a pretrained backbone and train for 60 to 90 epochs.

    Letters: M expressions, H W grid, C channels.

    Args:
        embed_dims: C.
        positive_weight: Weight of cells inside the box, of which there are few.
        loss_weight: Factor of the loss.
    """

    def __init__(self, embed_dims: int, positive_weight: float = 4.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.classifier = nn.Linear(embed_dims, 1)
        self.positive_weight = positive_weight
        self.loss_weight = loss_weight

    def forward(self, cells: Tensor, boxes: Tensor, padding: Tensor) -> Tensor:
        """Mean binary cross-entropy of the cells that are not padding.

        Args:
            cells: (M, H, W, C) encoder output.
            boxes: (M, 4) x1, y1, x2, y2 in cells.
            padding: (M, H, W) bool.

        Returns:
            A scalar.
        """
        target = box_coverage(boxes, cells.shape[1:3])
        logits = self.classifier(cells)[..., 0]
        weight = logits.new_tensor(self.positive_weight)
        loss = F.binary_cross_entropy_with_logits(logits, target, reduction='none', pos_weight=weight)
        valid = ~padding
        return self.loss_weight * (loss * valid).sum() / valid.sum().clamp(min=1)


def box_coverage(boxes: Tensor, grid: tuple[int, int]) -> Tensor:
    """Share of every cell that a box covers: (M, 4) xyxy in cells -> (M, H, W) in [0, 1]."""
    sides = []
    for axis, count in ((0, grid[1]), (1, grid[0])):
        start = torch.arange(count, device=boxes.device, dtype=boxes.dtype)
        low, high = boxes[:, axis, None], boxes[:, axis + 2, None]
        sides.append((torch.minimum(high, start + 1) - torch.maximum(low, start)).clamp(0, 1))
    x, y = sides
    return y[:, :, None] * x[:, None, :]
