"""Detections in the original frame, as detectron2 hands them over."""

from mmdet.models.roi_heads import StandardRoIHead
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox2roi
from mmengine.structures import InstanceData
from torch import Tensor

from .rescaling import to_original_frame


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
