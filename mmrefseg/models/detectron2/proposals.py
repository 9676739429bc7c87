"""detectron2's region proposals: what of its RPN and its box coding differs from mmdet's."""

import math
from collections.abc import Sequence

import torch
from mmcv.ops import batched_nms
from mmdet.models.dense_heads import RPNHead
from mmdet.models.task_modules.assigners import AssignResult, MaxIoUAssigner
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures.bbox import BaseBoxes, get_box_tensor
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor


def to_original_frame(found: InstanceData, meta: dict) -> tuple[InstanceData, Tensor]:
    """Scale boxes back, clip them to the image, and drop those without area.

    detectron2 multiplies by the ratio of the sizes; mmdet divides by its inverse, and the last bit of a
    coordinate decides about single pixels of small masks.

    Args:
        found: ``bboxes`` (N, 4) in the frame of the network, and whatever else has N rows.
        meta: ``ori_shape`` and ``img_shape``, both (height, width).

    Returns:
        The M boxes that are left, and which of the N rows (N,) bool they are.
    """
    height, width = meta['ori_shape'][:2]
    boxes = found.bboxes
    ratio = boxes.new_tensor([width / meta['img_shape'][1], height / meta['img_shape'][0]]).repeat(2)
    boxes = boxes * ratio
    boxes[:, 0::2].clamp_(0, width)
    boxes[:, 1::2].clamp_(0, height)
    found.bboxes = boxes
    kept = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return found[kept], kept


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
            max_shape: (height, width) of the image, to which boxes are clipped.

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


@TASK_UTILS.register_module()
class Detectron2Assigner(MaxIoUAssigner):
    """Anchors that fit an object best become positive, and learn the object that they fit best.

    mmdet hands such an anchor to the object that it is the best of, also where it overlaps another one more.

    Args:
        pos_iou_thr: IoU from which on an anchor is positive.
        neg_iou_thr: IoU below which it is negative; between the two it is left out.
        match_low_quality: Whether the best anchors of an object are positive whatever their IoU (RPN: yes,
            RoI heads: no).
        **kwargs: Those of MaxIoUAssigner.
    """

    def __init__(
        self, pos_iou_thr: float, neg_iou_thr: float, match_low_quality: bool = True, **kwargs
    ) -> None:
        super().__init__(pos_iou_thr, neg_iou_thr, match_low_quality=False, **kwargs)
        self.raise_best = match_low_quality

    def assign_wrt_overlaps(self, overlaps: Tensor, gt_labels: Tensor) -> AssignResult:
        """Assign by a table of overlaps.

        Args:
            overlaps: (K, N) IoU of K objects with N boxes.
            gt_labels: (K,) classes.

        Returns:
            For each box the object's number from 1 on, 0 for background, -1 for left out.
        """
        result = super().assign_wrt_overlaps(overlaps, gt_labels)
        if self.raise_best and overlaps.numel():
            best = (overlaps == overlaps.max(dim=1, keepdim=True).values).any(dim=0)
            nearest = overlaps[:, best].argmax(dim=0)
            result.gt_inds[best] = nearest + 1
            result.labels[best] = gt_labels[nearest]
        return result


@MODELS.register_module()
class Detectron2RPNHead(RPNHead):
    """A region proposal network that ranks by logit, and suppresses level by level.

    mmdet ranks by probability, which in 32 bits is the same number for all logits above 17, and moves the
    levels apart by adding large numbers to the coordinates, which rounds them.
    """

    def _predict_by_feat_single(
        self,
        cls_score_list: list[Tensor],
        bbox_pred_list: list[Tensor],
        score_factor_list: list[None],
        mlvl_priors: list[Tensor],
        img_meta: dict,
        cfg: ConfigDict,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> InstanceData:
        """Proposals of one image.

        Args:
            cls_score_list: Of every level (A, H, W) logits of A anchors.
            bbox_pred_list: Of every level (4 * A, H, W) deltas.
            score_factor_list: Not used.
            mlvl_priors: Of every level (H * W * A, 4) anchors.
            img_meta: With ``img_shape``, to which boxes are clipped.
            cfg: ``nms_pre`` best anchors of a level, ``nms``, ``min_bbox_size``, ``max_per_img`` best of all.
            rescale: Not supported; proposals are in the frame of the network.
            with_nms: Always.

        Returns:
            ``bboxes`` (N, 4), ``scores`` (N,) probabilities, ``labels`` zeros; best first.
        """
        if rescale or not with_nms:
            raise NotImplementedError('proposals in the original frame, or without suppression')
        cfg = self.test_cfg if cfg is None else cfg
        boxes, logits = [], []
        for scores, deltas, anchors in zip(cls_score_list, bbox_pred_list, mlvl_priors, strict=True):
            scores = scores.permute(1, 2, 0).flatten()
            deltas = deltas.permute(1, 2, 0).reshape(-1, 4)
            best = scores.sort(descending=True, stable=True).indices[: cfg.nms_pre]
            level = self.bbox_coder.decode(anchors[best], deltas[best], max_shape=img_meta['img_shape'])
            kept = _suppress(level, scores[best], cfg)
            boxes.append(level[kept])
            logits.append(scores[best][kept])
        boxes, logits = torch.cat(boxes), torch.cat(logits)
        best = logits.sort(descending=True, stable=True).indices[: cfg.max_per_img]
        labels = best.new_zeros(len(best))
        return InstanceData(bboxes=boxes[best], scores=logits[best].sigmoid(), labels=labels)


def _suppress(boxes: Tensor, logits: Tensor, cfg: ConfigDict) -> Tensor:
    """Indices of the boxes of one level that are larger than ``min_bbox_size`` and survive suppression."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    size = max(cfg.get('min_bbox_size', 0), 0)
    large = ((width > size) & (height > size) & boxes.isfinite().all(1)).nonzero().squeeze(1)
    if len(large) == 0:
        return large
    _, kept = batched_nms(boxes[large], logits[large], None, cfg.nms, class_agnostic=True)
    return large[kept]
