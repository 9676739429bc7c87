"""The last step of a pipeline."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

META_KEYS = (
    'img_id',
    'img_path',
    'ori_shape',
    'img_shape',
    'scale_factor',
    'ref_ids',
    'sent_ids',
    'expressions',
    'split',
)


@TRANSFORMS.register_module()
class PackRefInputs(BaseTransform):
    """Pack a sample for the model.

    Required Keys:

    - img ((H, W, 3), BGR)
    - gt_bboxes, gt_bboxes_labels, gt_masks, gt_has_mask, gt_multi_part, gt_bbox_tokens, gt_mask_tokens
    (optional) - the meta_keys (those that are there)

    Returned Keys:

    - inputs ((3, H, W) tensor of the picture's type)
    - data_samples (DetDataSample): the meta keys, and ``gt_instances`` with one row per pair: bboxes ((N, 4)
    float32),
      labels ((N,) int64), masks (BitmapMasks), has_mask and multi_part ((N,) bool), bbox_tokens ((N, 4)
      int64) and mask_tokens ((N, 2P) int64).

    Args:
        meta_keys (tuple[str, ...]): What to keep as meta information.
    """

    mapping_table = {
        'gt_bboxes': ('bboxes', torch.float32),
        'gt_bboxes_labels': ('labels', torch.int64),
        'gt_has_mask': ('has_mask', torch.bool),
        'gt_multi_part': ('multi_part', torch.bool),
        'gt_bbox_tokens': ('bbox_tokens', torch.int64),
        'gt_mask_tokens': ('mask_tokens', torch.int64),
    }

    def __init__(self, meta_keys: tuple[str, ...] = META_KEYS) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        """Pack the sample."""
        gt_instances = InstanceData()
        for key, (name, dtype) in self.mapping_table.items():
            if key in results:
                gt_instances[name] = torch.as_tensor(results[key], dtype=dtype)
        if 'gt_masks' in results:
            gt_instances['masks'] = results['gt_masks']
        data_sample = DetDataSample(metainfo={key: results[key] for key in self.meta_keys if key in results})
        data_sample.gt_instances = gt_instances
        inputs = torch.from_numpy(np.ascontiguousarray(results['img'].transpose(2, 0, 1)))
        return {'inputs': inputs, 'data_samples': data_sample}

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys})'
