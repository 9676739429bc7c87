"""Supervision of the picture's features by the words that are said of each object."""

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..language_models.vocabulary import SPECIAL_WORDS
from .box_cell_loss import box_coverage


@MODELS.register_module()
class WordLoss(nn.Module):
    """Tell from an object's features which words its expression has.

    The attribute prediction of MAttNet (Yu et al., CVPR 2018), with all words of the vocabulary
    instead of a list of attributes: colours, textures and shapes are in the features before a
    sentence asks for them. Learned through the match of sentence and picture alone they come late,
    if the backbone starts from scratch. It needs boxes, no masks. Not in SeqTR or Partial-RES.

    Letters: M expressions, T words, V vocabulary, C channels, H W grid.

    Args:
        in_channels: C.
        vocabulary_size: V; ``None`` if the classifier is another module's and given at each call.
        loss_weight: Factor of the loss.
    """

    def __init__(self, in_channels: int, vocabulary_size: int | None, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.classifier = nn.Linear(in_channels, vocabulary_size) if vocabulary_size else None
        self.loss_weight = loss_weight

    def forward(
        self,
        features: Tensor,
        image_index: Tensor,
        boxes: Tensor,
        words: Tensor,
        classifier: nn.Linear | None = None,
    ) -> Tensor:
        """Binary cross-entropy, summed over the vocabulary, mean of the expressions.

        Args:
            features: (B, C, H, W) of the pictures.
            image_index: (M,) the picture of each expression.
            boxes: (M, 4) x1, y1, x2, y2 of the referents, in cells of the grid.
            words: (M, T) word indices of the expressions.
            classifier: From C channels to the vocabulary; this loss's own by default.

        Returns:
            A scalar.
        """
        coverage = box_coverage(boxes, features.shape[-2:])  # (M, H, W)
        share = coverage / coverage.sum((1, 2), keepdim=True).clamp(min=1e-3)
        pooled = torch.einsum('mchw,mhw->mc', features[image_index], share)
        classifier = classifier or self.classifier
        target = torch.zeros(len(pooled), classifier.out_features, device=features.device)
        target.scatter_(1, words, 1.0)[:, : len(SPECIAL_WORDS)] = 0
        loss = F.binary_cross_entropy_with_logits(classifier(pooled).float(), target, reduction='sum')
        return self.loss_weight * loss / max(1, len(pooled))
