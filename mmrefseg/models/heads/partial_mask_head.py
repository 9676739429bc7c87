"""Mask R-CNN's mask head where only some objects have a mask."""

import numpy as np
import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.registry import MODELS
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor


@MODELS.register_module()
class PartialMaskHead(FCNMaskHead):
    """mmdet's mask head, which learns from objects that have a mask; others teach box and class only.

    The loss is the mean over the positive RoIs of objects with masks. Where a batch has none, it is a zero
    that hangs on every parameter: gradients are zeros, and processes stay in step. The head is applied to
    all positive RoIs in any case: what batch normalization sees does not depend on which masks are there.

    With all masks the loss is FCNMaskHead's, to the last bit. :func:`has_mask` says what counts as one.
    """

    def loss_and_target(
        self,
        mask_preds: Tensor,
        sampling_results: list[SamplingResult],
        batch_gt_instances: list[InstanceData],
        rcnn_train_cfg: ConfigDict,
    ) -> dict:
        """The loss, and what it compares with.

        Args:
            mask_preds: (P, C, h, w) logits of the P positive RoIs of the batch, C classes.
            sampling_results: Of each image, with its positive RoIs and the objects that they are of.
            batch_gt_instances: Of each image, with ``masks``.
            rcnn_train_cfg: With ``mask_size``.

        Returns:
            ``loss_mask``: a dict with the scalar ``loss_mask``; ``mask_targets``: (M, h, w), of the M
            positive RoIs whose object has a mask.
        """
        known = [
            has_mask(instances.masks).to(mask_preds.device)[result.pos_assigned_gt_inds]
            for result, instances in zip(sampling_results, batch_gt_instances, strict=True)
        ]
        positives = [
            InstanceData(
                pos_priors=result.pos_priors,
                pos_assigned_gt_inds=result.pos_assigned_gt_inds,
                pos_gt_labels=result.pos_gt_labels,
            )[rows]
            for result, rows in zip(sampling_results, known, strict=True)
        ]
        return super().loss_and_target(
            mask_preds[torch.cat(known)], positives, batch_gt_instances, rcnn_train_cfg
        )


def has_mask(masks: BitmapMasks | PolygonMasks) -> Tensor:
    """Which objects have a mask: (N,) bool.

    One that covers nothing is none: withheld (CocoInstanceDataset), or without a pixel after resizing or
    cropping. The masks say so themselves: a field beside them would not be known to mmdet's transforms that
    drop or join objects.
    """
    if isinstance(masks, BitmapMasks):
        return torch.from_numpy(masks.masks.any(axis=(1, 2)))
    # all of mmdet's polygons that stand for nothing are one point
    return torch.tensor(
        [any(np.ptp(part.reshape(-1, 2), axis=0).any() for part in parts) for parts in masks.masks],
        dtype=torch.bool,
    )
