"""Detections of a picture, as detectron2 chooses them."""

import torch
import torch.nn.functional as F
from mmcv.ops import batched_nms
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from .rescaling import to_original_frame


@MODELS.register_module()
class Detectron2BoxHead(Shared2FCBBoxHead):
    """Suppresses class by class on the boxes as they are.

    mmdet moves the classes apart by adding large numbers to the coordinates: with 80 classes in a picture of
    1000 pixels that rounds them to 1/128 of a pixel. detectron2 does so too, but for few boxes only
    (1000 on a CPU, 5000 on a GPU).
    """

    def _predict_by_feat_single(
        self,
        roi: Tensor,
        cls_score: Tensor,
        bbox_pred: Tensor,
        img_meta: dict,
        rescale: bool = False,
        rcnn_test_cfg: ConfigDict | None = None,
    ) -> InstanceData:
        """Detections of one picture.

        Args:
            roi: (R, 5) picture index and proposal.
            cls_score: (R, C + 1) logits, the background last.
            bbox_pred: (R, 4 * C) deltas.
            img_meta: With ``img_shape``, and ``ori_shape`` to rescale.
            rescale: Whether boxes are wanted in the original frame.
            rcnn_test_cfg: ``score_thr``, ``nms`` and ``max_per_img``; None for all scores and boxes.

        Returns:
            ``bboxes`` (N, 4), ``scores`` (N,) and ``labels`` (N,), best first.
        """
        if rcnn_test_cfg is None or self.reg_class_agnostic or self.custom_cls_channels:
            return super()._predict_by_feat_single(
                roi, cls_score, bbox_pred, img_meta, rescale, rcnn_test_cfg
            )
        probabilities = F.softmax(cls_score, dim=-1)[:, :-1]
        boxes = self.bbox_coder.decode(roi[:, 1:], bbox_pred, max_shape=img_meta['img_shape']).unflatten(
            -1, (-1, 4)
        )
        finite = boxes.isfinite().all(-1).all(-1) & probabilities.isfinite().all(-1)
        rows, labels = ((probabilities > rcnn_test_cfg.score_thr) & finite[:, None]).nonzero().unbind(1)
        boxes, scores = boxes[rows, labels], probabilities[rows, labels]
        kept = _suppress(boxes, scores, labels, rcnn_test_cfg.nms)[: rcnn_test_cfg.max_per_img]
        found = InstanceData(bboxes=boxes[kept], scores=scores[kept], labels=labels[kept])
        return to_original_frame(found, img_meta)[0] if rescale else found


def _suppress(boxes: Tensor, scores: Tensor, labels: Tensor, nms: ConfigDict) -> Tensor:
    """Indices of the boxes that survive, best first."""
    if len(boxes) == 0:
        return labels
    if boxes.numel() <= (4000 if boxes.device.type == 'cpu' else 20000):
        return batched_nms(boxes, scores, labels, nms)[1]
    kept = []
    for label in labels.unique():
        rows = (labels == label).nonzero().squeeze(1)
        kept.append(rows[batched_nms(boxes[rows], scores[rows], None, nms, class_agnostic=True)[1]])
    kept = torch.cat(kept)
    return kept[scores[kept].sort(descending=True, stable=True).indices]
