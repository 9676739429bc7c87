"""Proposals as detectron2 chooses them."""

import torch
from mmcv.ops import batched_nms
from mmdet.models.dense_heads import RPNHead
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor


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
        """Proposals of one picture.

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
