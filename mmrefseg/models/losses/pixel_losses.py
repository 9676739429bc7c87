"""Cross-entropy of pixels, as LAVT weights it."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class PixelCrossEntropyLoss(nn.Module):
    """Cross-entropy of two logits a pixel, background and object.

    Args:
        class_weight: Of background and object; the loss is then the weighted mean, as torch defines it.
            LAVT's code uses (0.9, 1.1), LAVT-pytorch none.
        loss_weight: Factor of the whole.
    """

    def __init__(self, class_weight: Sequence[float] | None = None, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.class_weight = None if class_weight is None else tuple(class_weight)
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits (M, 2, H, W) and target (M, H, W), 1 inside the object -> scalar."""
        weight = None
        if self.class_weight is not None:
            weight = torch.tensor(self.class_weight, dtype=logits.dtype, device=logits.device)
        return self.loss_weight * F.cross_entropy(logits, target.long(), weight)
