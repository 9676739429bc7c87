"""How good a predicted mask is: whether its box is around the object that is meant, and how well it is drawn.

Letters: M expressions, R pixels along each side of a window, E numbers of evidence, C channels of the memory,
V token classes.
"""

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox_overlaps
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..heads.sequence_generator import GeneratedSequence
from ..layers.memory import Memory
from .auxiliary_heads import box_coverage

# Probabilities nearer to 0 or 1 than this count as this near: their logits are numbers.
NEAR = 1e-4
# Coordinate bins on both sides of a token that stand for the same side of the box.
SAME_SIDE = 6
# A box with this IoU is around the right object.
RIGHT = 0.5


def box_evidence(memory: Memory, boxes: GeneratedSequence, num_bins: int) -> Tensor:
    """What a model of token sequences knows about the box that it has decoded.

    Args:
        memory: Of M expressions; with a language token.
        boxes: 4 tokens per expression (x1, y1, x2, y2), with their logits (M, 4, V).
        num_bins: Of the codec.

    Returns:
        (M, E), E = 12 + 2 C: of each token, the logit of the probability of its neighbourhood, the entropy
        (nats) and the log probability; the memory's mean in the box; the language token.
    """
    log_probs = boxes.logits.float().log_softmax(-1)
    probability = log_probs.exp()
    classes = torch.arange(log_probs.shape[-1], device=log_probs.device)
    near = (classes - boxes.tokens[..., None]).abs() <= SAME_SIDE
    entropy = -(probability * log_probs).nan_to_num(0.0).sum(-1)
    cells = (boxes.tokens + 0.5) / num_bins * memory.extent.repeat(1, 2)
    share = box_coverage(cells, memory.grid)
    share = share / share.sum((1, 2), keepdim=True).clamp(min=NEAR)
    inside = torch.einsum('mhwc,mhw->mc', memory.image_tokens, share)
    sure = _logit((probability * near).sum(-1))
    return torch.cat([sure, entropy, boxes.log_probs, inside, memory.tokens[:, -1]], 1)


def expected_iou(probabilities: Tensor) -> Tensor:
    """The IoU of masks cut at 0.5 with the masks that their probabilities (M, R, R) speak of: (M,).

    Expected intersection over expected union; 0 where nothing is inside.
    """
    inside = probabilities > 0.5
    both = (probabilities * inside).sum((1, 2))
    union = inside.sum((1, 2)) + (probabilities * ~inside).sum((1, 2))
    return both / union.clamp(min=NEAR)


@MODELS.register_module()
class QualityHead(BaseModule):
    """The IoU of a refined mask with the true one, predicted.

    Mask Scoring R-CNN (Huang et al., CVPR 2019) multiplies a class score by a predicted IoU of the mask. Here
    both factors are learned: the probability that the box is around the object that the sentence means, from
    what the model computed on the way to the box (:func:`box_evidence`; of other models, their score), and
    the IoU of the mask if so, from the refiner's probabilities. The first factor learns from boxes. The
    second starts as what the refiner believes itself (:func:`expected_iou`) and learns from the masks there
    are; with none it stays there.

    Args:
        in_channels: E; 0 for models that give no evidence, of which the score is taken. Set by
            :class:`RefinedSegmentor`.
        channels: Hidden units of the factor of the box; the other has half as many.
        dropout: Share of the evidence that is hidden in training.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(
        self, in_channels: int = 0, channels: int = 32, dropout: float = 0.1, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.box = _layers(in_channels + 2 if in_channels else 3, channels, dropout)
        self.mask = _layers(6, channels // 2, 0.0)
        nn.init.zeros_(self.mask[-1].weight)
        nn.init.zeros_(self.mask[-1].bias)

    def forward(
        self, evidence: Tensor | None, scores: Tensor | None, probabilities: Tensor, boxes: Tensor
    ) -> Tensor:
        """Predicted IoUs.

        Args:
            evidence: (M, E), of models that give it.
            scores: (M,) the model's own in [0, 1]; ``None`` where the boxes are known to be right.
            probabilities: (M, R, R) of being inside, in the windows.
            boxes: (M, 4) xyxy in pixels.

        Returns:
            (M,) in [0, 1].
        """
        quality = self.mask_logits(probabilities, boxes).sigmoid()
        return quality if scores is None else quality * self.box_logits(evidence, scores, boxes).sigmoid()

    def box_logits(self, evidence: Tensor | None, scores: Tensor, boxes: Tensor) -> Tensor:
        """Logits (M,) of the boxes' being right; arguments as of :meth:`forward`."""
        known = evidence if self.in_channels else _logit(scores)[:, None]
        return self.box(torch.cat([known.to(boxes), _sides(boxes)], 1))[:, 0]

    def mask_logits(self, probabilities: Tensor, boxes: Tensor) -> Tensor:
        """Logits (M,) of the masks' IoUs in right boxes; arguments as of :meth:`forward`."""
        inside = probabilities > 0.5
        believed = _logit(expected_iou(probabilities))
        certain = _logit(2 * (probabilities - 0.5).abs().mean((1, 2)))
        mean = (probabilities * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)
        numbers = [believed, certain, _logit(mean), inside.float().mean((1, 2))]
        return believed + self.mask(torch.cat([torch.stack(numbers, 1), _sides(boxes)], 1))[:, 0]

    def loss(
        self,
        inputs: tuple[Tensor | None, Tensor, Tensor, Tensor],
        truth: Tensor,
        ious: Tensor,
        has_mask: Tensor,
    ) -> dict[str, Tensor]:
        """Cross-entropies of both factors.

        Args:
            inputs: What :meth:`forward` takes.
            truth: (M, 4) xyxy, the true boxes.
            ious: (M,) of the predicted masks with the true ones.
            has_mask: (M,) bool; the IoUs of others do not count.

        Returns:
            ``loss_box_quality`` and, from right boxes with a mask, ``loss_mask_quality``.
        """
        evidence, scores, probabilities, boxes = inputs
        right = bbox_overlaps(boxes, truth, is_aligned=True) >= RIGHT
        logits = self.mask_logits(probabilities, boxes)
        loss = F.binary_cross_entropy_with_logits(logits, ious.to(logits), reduction='none')
        counted = right & has_mask
        return {
            'loss_box_quality': F.binary_cross_entropy_with_logits(
                self.box_logits(evidence, scores, boxes), right.to(logits)
            ),
            'loss_mask_quality': (loss * counted).sum() / counted.sum().clamp(min=1),
        }


class _Standardise(nn.BatchNorm1d):
    """Batch norm that takes a batch of one row as testing does: it has no variance."""

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 1:
            return super().forward(x)
        return F.batch_norm(x, self.running_mean, self.running_var, eps=self.eps)


def _layers(in_channels: int, channels: int, dropout: float) -> nn.Sequential:
    """Numbers of any scale (M, in_channels) -> (M, 1)."""
    return nn.Sequential(
        _Standardise(in_channels, affine=False, momentum=None),  # the mean of all steps
        nn.Dropout(dropout),
        nn.Linear(in_channels, channels),
        nn.ReLU(),
        nn.Linear(channels, channels),
        nn.ReLU(),
        nn.Linear(channels, 1),
    )


def _sides(boxes: Tensor) -> Tensor:
    """Logarithms (M, 2) of the sides of boxes (M, 4) xyxy in pixels, of at least one pixel."""
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=1).log()


def _logit(probabilities: Tensor) -> Tensor:
    return probabilities.clamp(NEAR, 1 - NEAR).logit()
