"""Cross-entropy whose targets tell near coordinate bins from far ones."""

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class SequenceGaussianLabelLoss(nn.Module):
    """Token cross-entropy with Gaussian soft labels.

    The target of a coordinate token is a Gaussian over the bins around it, that of the end
    token stays one-hot. A network trained from scratch on little data learns that bins have
    an order, which plain label smoothing must learn bin by bin. SimCC (Li et al., ECCV 2022).

    Args:
        num_bins: Coordinate bins; class ``num_bins`` is the end token.
        sigma: Standard deviation in bins.
        loss_weight: Factor of the loss.
    """

    def __init__(self, num_bins: int, sigma: float = 2.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        bins = torch.arange(num_bins, dtype=torch.float32)
        table = torch.zeros(num_bins + 1, num_bins + 1)
        table[:-1, :-1] = torch.softmax(-(bins - bins[:, None]).square() / (2 * sigma**2), 1)
        table[-1, -1] = 1
        self.register_buffer('table', table, persistent=False)

    def forward(self, logits: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
        """Mean over all tokens (weights scale, they do not change the denominator).

        Args:
            logits: (M, L, num_bins + 1).
            targets: (M, L) classes.
            weight: (M, L) factor per token.

        Returns:
            A scalar.
        """
        loss = -(self.table[targets] * F.log_softmax(logits.float(), dim=-1)).sum(-1)
        if weight is not None:
            loss = loss * weight
        return self.loss_weight * loss.mean()
