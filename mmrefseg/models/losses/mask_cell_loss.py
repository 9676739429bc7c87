"""Dense supervision by the mask: which parts of a box's cells belong to the object."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn

# Fractional bits of the vertices that cv2.fillPoly takes.
SHIFT = 8


@MODELS.register_module()
class MaskCellLoss(nn.Module):
    """Tell from each cell of a box's features which of its parts lie inside the contour.

    The binary masks that Mask R-CNN (He et al., ICCV 2017) predicts, here only to teach the features
    that a decoder of contours reads: every cell learns from its own part of the mask, while the
    decoder's loss reaches it through the attention of a few points. The target is the contour
    filled, as the decoder is to write it.

    Letters: M boxes, G cells along each side, S parts of a cell along each side, C channels.

    Args:
        embed_dims: C.
        parts: S.
        loss_weight: Factor of the loss.
    """

    def __init__(self, embed_dims: int, parts: int = 4, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.parts = parts
        self.classifier = nn.Linear(embed_dims, parts * parts)
        self.loss_weight = loss_weight

    def forward(self, cells: Tensor, vertices: list[Tensor]) -> Tensor:
        """Mean binary cross-entropy.

        Args:
            cells: (M, G, G, C) features of the boxes.
            vertices: M tensors (P, 2) x, y, in cells.

        Returns:
            A scalar.
        """
        logits = self.classifier(cells)  # (M, G, G, S * S)
        target = np.stack([self._filled(contour, cells.shape[1]) for contour in vertices])
        target = torch.from_numpy(target).to(logits)
        return self.loss_weight * F.binary_cross_entropy_with_logits(logits, target)

    def dense_logits(self, cells: Tensor) -> Tensor:
        """What the cells (M, G, G, C) say of their parts: (M, G * S, G * S), positive inside."""
        logits = self.classifier(cells).permute(0, 3, 1, 2)
        return F.pixel_shuffle(logits, self.parts)[:, 0]

    def _filled(self, contour: Tensor, grid: int) -> np.ndarray:
        """(P, 2) -> (G, G, S * S), 1 inside."""
        side = grid * self.parts
        mask = np.zeros((side, side), np.uint8)
        if len(contour):
            # a pixel's centre is a whole number to OpenCV
            points = contour.detach().cpu().numpy() * self.parts - 0.5
            cv2.fillPoly(mask, [np.round(points * 2**SHIFT).astype(np.int32)], 1, shift=SHIFT)
        mask = mask.reshape(grid, self.parts, grid, self.parts).transpose(0, 2, 1, 3)
        return mask.reshape(grid, grid, -1)
