"""Box deltas as detectron2 decodes them."""

import math
from collections.abc import Sequence

import torch
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmdet.registry import TASK_UTILS
from mmdet.structures.bbox import BaseBoxes, get_box_tensor
from torch import Tensor

LARGEST = math.log(1000.0 / 16)
"""Of dw and dh: a box grows at most from 16 to 1000 pixels."""


@TASK_UTILS.register_module()
class Detectron2BoxCoder(DeltaXYWHBBoxCoder):
    """(dx, dy, dw, dh) as in Faster R-CNN (Ren et al., NeurIPS 2015), decoded by detectron2's rules.

    mmdet's coder also keeps a box from *shrinking* by more than 1000 / 16, and multiplies by rounded standard
    deviations where detectron2 divides by weights. Encoding is the same.

    Args:
        weights: (wx, wy, ww, wh), the inverse of mmdet's ``target_stds``: a dx of wx is one box width.
    """

    def __init__(self, weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0), **kwargs) -> None:
        super().__init__(target_stds=[1.0 / weight for weight in weights], **kwargs)
        self.weights = tuple(float(weight) for weight in weights)

    def decode(
        self, bboxes: Tensor | BaseBoxes, pred_bboxes: Tensor, max_shape: Sequence[int] | None = None
    ) -> Tensor:
        """Move and scale boxes.

        Args:
            bboxes: (N, 4) boxes x1, y1, x2, y2.
            pred_bboxes: (N, 4 * K) deltas, of K classes one behind the other.
            max_shape: (height, width) of the picture, to which boxes are clipped.

        Returns:
            (N, 4 * K) boxes.
        """
        boxes = get_box_tensor(bboxes)
        deltas = pred_bboxes.unflatten(-1, (-1, 4))
        dx, dy, dw, dh = (deltas / deltas.new_tensor(self.weights)).unbind(-1)  # each (N, K)
        width, height = boxes[:, None, 2] - boxes[:, None, 0], boxes[:, None, 3] - boxes[:, None, 1]
        x = dx * width + (boxes[:, None, 0] + 0.5 * width)
        y = dy * height + (boxes[:, None, 1] + 0.5 * height)
        half_w = 0.5 * (dw.clamp(max=LARGEST).exp() * width)
        half_h = 0.5 * (dh.clamp(max=LARGEST).exp() * height)
        decoded = torch.stack([x - half_w, y - half_h, x + half_w, y + half_h], dim=-1)
        if self.clip_border and max_shape is not None:
            decoded[..., 0::2].clamp_(min=0, max=max_shape[1])
            decoded[..., 1::2].clamp_(min=0, max=max_shape[0])
        return decoded.flatten(-2)
