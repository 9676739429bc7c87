"""Cross-entropy with the label smoothing of SeqTR."""

import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class SequenceLabelSmoothingLoss(nn.Module):
    """Weighted token cross-entropy, smoothed as in SeqTR.

    The target is ``1 - smoothing`` on the token and ``smoothing / classes`` on every
    other class, so it does not sum to one (the usual smoothing gives the token its
    share of ``smoothing`` as well): that is what published weights were trained with.

    Args:
        smoothing: Mass given to the other classes.
        loss_weight: Factor of the loss.
    """

    def __init__(self, smoothing: float = 0.1, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
        """Mean over all tokens (weights scale, they do not change the denominator).

        Args:
            logits: (M, L, classes).
            targets: (M, L) class indices.
            weight: (M, L) factor per token.

        Returns:
            A scalar.
        """
        log_probs = F.log_softmax(logits.float(), dim=-1)
        other = self.smoothing / logits.shape[-1]
        picked = log_probs.gather(-1, targets[..., None])[..., 0]
        loss = -((1 - self.smoothing - other) * picked + other * log_probs.sum(-1))
        if weight is not None:
            loss = loss * weight
        return self.loss_weight * loss.mean()
