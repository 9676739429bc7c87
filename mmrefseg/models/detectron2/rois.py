"""detectron2's RoI heads: what of their pooling, their boxes and their masks differs from mmdet's."""

import torch
import torch.nn.functional as F
from mmcv.ops import batched_nms
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox2roi
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from .proposals import to_original_frame

CANONICAL_SIZE, CANONICAL_LEVEL, FINEST_LEVEL = 224, 4, 2


@MODELS.register_module()
class Detectron2RoIExtractor(SingleRoIExtractor):
    """A region of 224 x 224 pixels is pooled from P4 (Lin et al., CVPR 2017, equation 1).

    mmdet adds 1e-6 to the ratio where detectron2 adds 1e-8: there, a region a hair below a power of
    two goes one level up.
    """

    def map_roi_levels(self, rois: Tensor, num_levels: int) -> Tensor:
        """Which level each region is pooled from.

        Args:
            rois: (R, 5) image index and box x1, y1, x2, y2.
            num_levels: How many there are, the finest being P2.

        Returns:
            (R,) int64, 0 for P2.
        """
        size = torch.sqrt((rois[:, 3] - rois[:, 1]) * (rois[:, 4] - rois[:, 2]))
        level = torch.floor(CANONICAL_LEVEL + torch.log2(size / CANONICAL_SIZE + 1e-8))
        return level.clamp(FINEST_LEVEL, FINEST_LEVEL + num_levels - 1).long() - FINEST_LEVEL


@MODELS.register_module()
class Detectron2BoxHead(Shared2FCBBoxHead):
    """Suppresses class by class on the boxes as they are.

    mmdet moves the classes apart by adding large numbers to the coordinates: with 80 classes in an image of
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
        """Detections of one image.

        Args:
            roi: (R, 5) image index and proposal.
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


@MODELS.register_module()
class Detectron2RoIHead(StandardRoIHead):
    """Boxes are scaled back, clipped and, where nothing is left of them, dropped; then the masks are pasted.

    mmdet keeps boxes without area.
    """

    def predict_mask(
        self,
        x: tuple[Tensor],
        batch_img_metas: list[dict],
        results_list: list[InstanceData],
        rescale: bool = False,
    ) -> list[InstanceData]:
        """Masks of the detections of a batch.

        Args:
            x: Feature maps.
            batch_img_metas: With ``ori_shape`` and ``img_shape``.
            results_list: Detections in the frame of the network.
            rescale: Whether boxes and masks are wanted in the original frame.

        Returns:
            The detections that have an area, with ``masks`` (N, H, W) bool.
        """
        counts = [len(found) for found in results_list]
        if not rescale or not sum(counts):
            return super().predict_mask(x, batch_img_metas, results_list, rescale)
        logits = self._mask_forward(x, bbox2roi([found.bboxes for found in results_list]))['mask_preds']
        scaled, chosen = [], []
        for found, part, meta in zip(results_list, logits.split(counts), batch_img_metas, strict=True):
            found, kept = to_original_frame(found, meta)
            scaled.append(found)
            chosen.append(part[kept])
        metas = [{**meta, 'scale_factor': (1.0, 1.0)} for meta in batch_img_metas]  # they are scaled already
        return self.mask_head.predict_by_feat(tuple(chosen), scaled, metas, self.test_cfg, rescale=True)
