"""Dense supervision of the picture's features by boxes and their categories."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class CellCategoryLoss(nn.Module):
    """Classify the cells inside boxes by the boxes' categories, before any sentence comes in.

    It stands in for the detection pretraining of the published backbones: from scratch and
    from sentences alone, a network needs long to tell a star from a heart. It needs boxes and
    category ids, no masks. Cells outside of the given boxes do not count, since not every object
    of a picture need be annotated.

    Letters: B pictures, N boxes of one of them, H W grid, C channels.

    Args:
        in_channels: C.
        num_categories: Largest category id + 1.
        loss_weight: Factor of the loss.
    """

    def __init__(self, in_channels: int, num_categories: int, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(in_channels, num_categories, 1)
        self.loss_weight = loss_weight

    def forward(
        self, features: Tensor, boxes: Sequence[Tensor], labels: Sequence[Tensor], stride: tuple[float, float]
    ) -> Tensor:
        """Mean cross-entropy of the labelled cells.

        Args:
            features: (B, C, H, W).
            boxes: (N, 4) xyxy in pixels of the batch, for every picture.
            labels: (N,) category ids, for every picture.
            stride: Pixels per cell (vertical, horizontal).

        Returns:
            A scalar.
        """
        grid = features.shape[-2:]
        targets = torch.stack(
            [cell_labels(b, c, grid, stride) for b, c in zip(boxes, labels, strict=True)]
        ).to(features.device)
        logits = self.classifier(features)
        total = F.cross_entropy(logits.float(), targets, ignore_index=-1, reduction='sum')
        return self.loss_weight * total / (targets >= 0).sum().clamp(min=1)


def cell_labels(boxes: Tensor, labels: Tensor, grid: tuple[int, int], stride: tuple[float, float]) -> Tensor:
    """Category of the smallest box around each cell's centre, -1 outside of all: (H, W) int64."""
    h, w = grid
    target = torch.full((h, w), -1, dtype=torch.long, device=boxes.device)
    y = ((torch.arange(h, device=boxes.device) + 0.5) * stride[0])[:, None]
    x = ((torch.arange(w, device=boxes.device) + 0.5) * stride[1])[None]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for row in area.argsort(descending=True).tolist():
        x1, y1, x2, y2 = boxes[row].tolist()
        target[(x >= x1) & (x <= x2) & (y >= y1) & (y <= y2)] = labels[row]
    return target
