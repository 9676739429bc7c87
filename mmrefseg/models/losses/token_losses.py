"""Cross-entropy of coordinate tokens: SeqTR's smoothed labels, and Gaussian labels over near bins.

Letters: M expressions, L sequence positions, V token classes (bins and the end token).
"""

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn


def smoothed_cross_entropy(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """SeqTR's (Zhu et al., ECCV 2022) label-smoothed cross-entropy of logits (M, L, V): (M, L).

    The target is ``1 - smoothing`` on the token and ``smoothing / V`` on every other class, so it does
    not sum to one (the usual smoothing gives the token its share of ``smoothing`` as well): that is what
    published weights were trained with.
    """
    log_probs = F.log_softmax(logits.float(), dim=-1)
    other = smoothing / logits.shape[-1]
    picked = log_probs.gather(-1, targets[..., None])[..., 0]
    return -((1 - smoothing - other) * picked + other * log_probs.sum(-1))


def gaussian_labels(num_bins: int, sigma: float) -> Tensor:
    """Target distribution of every token (V, V): a Gaussian over near bins, one-hot for the end token.

    SimCC (Li et al., ECCV 2022). ``sigma`` is in bins; ``V`` is ``num_bins + 1``.
    """
    bins = torch.arange(num_bins, dtype=torch.float32)
    table = torch.zeros(num_bins + 1, num_bins + 1)
    table[:-1, :-1] = torch.softmax(-(bins - bins[:, None]).square() / (2 * sigma**2), 1)
    table[-1, -1] = 1
    return table


def weighted_mean(loss: Tensor, weight: Tensor | None) -> Tensor:
    """Mean over all tokens of (M, L): weights scale, they do not change the denominator."""
    return loss.mean() if weight is None else (loss * weight).mean()


@MODELS.register_module()
class SequenceLabelSmoothingLoss(nn.Module):
    """Weighted token cross-entropy, smoothed as in SeqTR: :func:`smoothed_cross_entropy`.

    Args:
        smoothing: Mass given to the other classes.
        loss_weight: Factor of the loss.
    """

    def __init__(self, smoothing: float = 0.1, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
        """:func:`weighted_mean` over the tokens.

        Args:
            logits: (M, L, V).
            targets: (M, L) class indices.
            weight: (M, L) factor per token.

        Returns:
            A scalar.
        """
        loss = smoothed_cross_entropy(logits, targets, self.smoothing)
        return self.loss_weight * weighted_mean(loss, weight)


@MODELS.register_module()
class SequenceGaussianLabelLoss(nn.Module):
    """Weighted token cross-entropy with :func:`gaussian_labels`.

    A network trained from scratch on little data learns from them that bins have an order, which plain
    label smoothing must teach bin by bin.

    Args:
        num_bins: Coordinate bins; class ``num_bins`` is the end token.
        sigma: Standard deviation in bins.
        loss_weight: Factor of the loss.
    """

    def __init__(self, num_bins: int, sigma: float = 2.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.register_buffer('table', gaussian_labels(num_bins, sigma), persistent=False)

    def forward(self, logits: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
        """As :meth:`SequenceLabelSmoothingLoss.forward`, with V = ``num_bins`` + 1."""
        loss = -(self.table[targets] * F.log_softmax(logits.float(), dim=-1)).sum(-1)
        return self.loss_weight * weighted_mean(loss, weight)
