"""Heads that teach features in training: cells of boxes and of masks, categories, words.

None of them is in SeqTR, Partial-RES or LAVT, which start from pretrained backbones.
Letters: B images, M expressions, N objects of an image, T words, C channels, H W grid.
"""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn

from ...datasets.vocabulary import SPECIAL_WORDS
from ...utils import UserInputError
from ..heads.auxiliary import AuxiliaryHead, AuxiliaryInputs


@MODELS.register_module()
class BoxCellHead(AuxiliaryHead):
    """Classify every cell of a map as inside or outside of the referent's box.

    A decoder that starts from scratch finds the referent only through its attention, which
    takes thousands of steps to break symmetry (why DETR is slow); a cell's own loss teaches
    the match of words and image in hundreds. It needs boxes, no masks. Its name is
    ``fused_cell`` or ``encoded_cell``, by what it looks at.

    Args:
        in_channels: C.
        features: The map: ``'fused'``, where the expression comes in, or ``'encoded'``, the encoder's output.
        positive_weight: Weight of cells inside the box, of which there are few.
        loss_weight: Factor of the loss.

    Raises:
        UserInputError: No such features.
    """

    def __init__(
        self, in_channels: int, features: str, positive_weight: float = 4.0, loss_weight: float = 1.0
    ) -> None:
        super().__init__(f'{features}_cell', loss_weight)
        if features not in ('fused', 'encoded'):
            raise UserInputError.of(
                'BoxCellHead', f'features={features!r}', "'fused' or 'encoded'", 'correct the config'
            )
        self.features = features
        self.classifier = nn.Linear(in_channels, 1)
        self.positive_weight = positive_weight

    def loss(self, inputs: AuxiliaryInputs) -> dict[str, Tensor]:
        """Mean binary cross-entropy of the cells that are not padding, against the share that the box covers.

        Args:
            inputs: With ``memory``, and ``fused`` where that is what it looks at.

        Raises:
            UserInputError: The segmentor has no encoder.
        """
        memory = inputs.memory
        if memory is None:
            raise UserInputError.of(
                'auxiliary_heads', 'BoxCellHead in a segmentor without an encoder', 'SeqTR', 'leave it out'
            )
        cells = memory.image_tokens if self.features == 'encoded' else inputs.fused.permute(0, 2, 3, 1)
        logits = self.classifier(cells)[..., 0]  # (M, H, W)
        target = box_coverage(inputs.box_cells, logits.shape[1:])
        weight = logits.new_tensor(self.positive_weight)
        loss = F.binary_cross_entropy_with_logits(logits, target, reduction='none', pos_weight=weight)
        valid = ~memory.image_padding
        total = (loss * valid).sum() / valid.sum().clamp(min=1)
        return {f'loss_{self.name}': self.loss_weight * total}


@MODELS.register_module()
class CellCategoryHead(AuxiliaryHead):
    """Classify the cells inside boxes by the boxes' categories, before any expression comes in.

    It stands in for the detection pretraining of the published backbones: from scratch and
    from expressions alone, a network needs long to tell a star from a heart. It needs boxes and
    category ids, no masks. Cells outside of the given boxes do not count, since not every object
    of an image need be annotated. Its name is ``category``.

    Args:
        in_channels: C.
        num_categories: Largest category id + 1.
        loss_weight: Factor of the loss.
    """

    def __init__(self, in_channels: int, num_categories: int, loss_weight: float = 1.0) -> None:
        super().__init__('category', loss_weight)
        self.classifier = nn.Conv2d(in_channels, num_categories, 1)

    def loss(self, inputs: AuxiliaryInputs) -> dict[str, Tensor]:
        """Mean cross-entropy of the cells whose centre lies in a box."""
        grid = inputs.vision.shape[-2:]
        targets = torch.stack(
            [cell_labels(b, c, grid, inputs.stride) for b, c in zip(inputs.boxes, inputs.labels, strict=True)]
        ).to(inputs.vision.device)
        logits = self.classifier(inputs.vision)
        total = F.cross_entropy(logits.float(), targets, ignore_index=-1, reduction='sum')
        return {f'loss_{self.name}': self.loss_weight * total / (targets >= 0).sum().clamp(min=1)}


@MODELS.register_module()
class WordHead(AuxiliaryHead):
    """Tell from an object's features which words its expression has.

    The attribute prediction of MAttNet (Yu et al., CVPR 2018), with all words of the vocabulary
    instead of a list of attributes: colours, textures and shapes are in the features before an
    expression asks for them. Learned through the match of expression and image alone they come late,
    if the backbone starts from scratch. It needs boxes, no masks. Its name is ``word``.

    The classifier is the language model's own where it has one (``WordEncoder(visual_dims=C)``).

    Args:
        in_channels: C.
        loss_weight: Factor of the loss.
    """

    word_rows = ('classifier.weight', 'classifier.bias')

    def __init__(self, in_channels: int, loss_weight: float = 1.0) -> None:
        super().__init__('word', loss_weight)
        self.in_channels = in_channels
        self.classifier: nn.Linear | None = None

    def connect(self, language_model: nn.Module) -> None:
        """A classifier into the vocabulary, unless the language model has one."""
        if getattr(language_model, 'visual', None) is None:
            if not hasattr(language_model, 'vocabulary'):
                raise UserInputError.of(
                    'WordHead',
                    f'a {type(language_model).__name__}, which has no list of words',
                    'a language model with a vocabulary',
                    'take GRUEncoder or WordEncoder, or remove the head',
                )
            self.classifier = nn.Linear(self.in_channels, len(language_model.vocabulary))

    def loss(self, inputs: AuxiliaryInputs) -> dict[str, Tensor]:
        """Binary cross-entropy, summed over the vocabulary, mean of the expressions."""
        coverage = box_coverage(inputs.box_cells, inputs.vision.shape[-2:])  # (M, H, W)
        share = coverage / coverage.sum((1, 2), keepdim=True).clamp(min=1e-3)
        pooled = torch.einsum('mchw,mhw->mc', inputs.vision[inputs.image_index], share)
        classifier = inputs.language_model.visual if self.classifier is None else self.classifier
        target = torch.zeros(len(pooled), classifier.out_features, device=pooled.device)
        target.scatter_(1, inputs.words, 1.0)[:, : len(SPECIAL_WORDS)] = 0
        loss = F.binary_cross_entropy_with_logits(classifier(pooled).float(), target, reduction='sum')
        return {f'loss_{self.name}': self.loss_weight * loss / max(1, len(pooled))}


@MODELS.register_module()
class MaskCellHead(nn.Module):
    """Tell from each cell of a box's features which of its parts lie inside the contour.

    The binary masks that Mask R-CNN (He et al., ICCV 2017) predicts. They teach the features that a
    decoder of contours reads: every cell learns from its own part of the mask, while the decoder's loss
    reaches it through the attention of a few points. And they are a dense prediction of their own.
    :class:`BoxFrameHead` owns one; it sees the features of a box, not of an image.

    Letters: M boxes, G cells along each side, S parts of a cell along each side, P vertices.

    Args:
        in_channels: C.
        parts: S.
        loss_weight: Factor of the loss.
    """

    def __init__(self, in_channels: int, parts: int = 4, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.parts = parts
        self.classifier = nn.Linear(in_channels, parts * parts)
        self.loss_weight = loss_weight

    def forward(self, cells: Tensor) -> Tensor:
        """Features (M, G, G, C) -> dense logits (M, GS, GS), positive inside."""
        logits = self.classifier(cells).permute(0, 3, 1, 2)
        return F.pixel_shuffle(logits, self.parts)[:, 0]

    def loss(self, cells: Tensor, vertices: list[Tensor]) -> Tensor:
        """Mean binary cross-entropy against the contours filled, as the decoder is to draw them.

        Args:
            cells: (M, G, G, C) features of the boxes.
            vertices: M tensors (P, 2) x, y, in cells.

        Returns:
            A scalar.
        """
        logits = self(cells)
        target = np.stack([fill_contour(contour * self.parts, logits.shape[-1]) for contour in vertices])
        target = torch.from_numpy(target).to(logits)
        return self.loss_weight * F.binary_cross_entropy_with_logits(logits, target)


def box_coverage(boxes: Tensor, grid: tuple[int, int]) -> Tensor:
    """Share of every cell that a box covers: (M, 4) xyxy in cells -> (M, H, W) in [0, 1]."""
    sides = []
    for axis, count in ((0, grid[1]), (1, grid[0])):
        start = torch.arange(count, device=boxes.device, dtype=boxes.dtype)
        low, high = boxes[:, axis, None], boxes[:, axis + 2, None]
        sides.append((torch.minimum(high, start + 1) - torch.maximum(low, start)).clamp(0, 1))
    x, y = sides
    return y[:, :, None] * x[:, None, :]


def cell_labels(boxes: Tensor, labels: Tensor, grid: tuple[int, int], stride: tuple[float, float]) -> Tensor:
    """Category of the smallest box around each cell's centre, -1 outside of all.

    Args:
        boxes: (N, 4) xyxy in pixels.
        labels: (N,) category ids.
        grid: (H, W).
        stride: Pixels per cell (vertical, horizontal).

    Returns:
        (H, W) int64.
    """
    h, w = grid
    target = torch.full((h, w), -1, dtype=torch.long, device=boxes.device)
    y = ((torch.arange(h, device=boxes.device) + 0.5) * stride[0])[:, None]
    x = ((torch.arange(w, device=boxes.device) + 0.5) * stride[1])[None]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for row in area.argsort(descending=True).tolist():
        x1, y1, x2, y2 = boxes[row].tolist()
        target[(x >= x1) & (x <= x2) & (y >= y1) & (y <= y2)] = labels[row]
    return target


# Fractional bits of the vertices that cv2.fillPoly takes.
SHIFT = 8


def fill_contour(contour: Tensor, side: int) -> np.ndarray:
    """A contour (P, 2) of vertices x, y in pixels -> its mask (side, side) uint8, 1 inside."""
    mask = np.zeros((side, side), np.uint8)
    if len(contour):
        # a pixel's centre is a whole number to OpenCV
        points = contour.detach().cpu().numpy() - 0.5
        cv2.fillPoly(mask, [np.round(points * 2**SHIFT).astype(np.int32)], 1, shift=SHIFT)
    return mask
