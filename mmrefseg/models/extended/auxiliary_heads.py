"""Heads that teach features in training: cells of boxes and of masks, categories, words.

None of them is in SeqTR, Partial-RES or LAVT, which start from pretrained backbones.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn

from ...datasets.vocabulary import SPECIAL_WORDS


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
