"""The last steps of a pipeline: tokens, and packing for the model."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import TASK_UTILS, TRANSFORMS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from ..fields import rng_of


@TRANSFORMS.register_module()
class EncodeContour(BaseTransform):
    """Make the sequences that a SeqTR or Partial-RES head learns.

    Shapes: N pairs, P the codec's num_points.

    Required Keys:

    - img
    - gt_bboxes (optional)
    - gt_masks, gt_has_mask (optional)
    - gt_points (optional; a contour of at most P points is taken as it is, in place of its mask's: sampled
      anew, a pseudo mask would lose its corners once more)
    - rng (optional)

    Modified Keys:

    - gt_has_mask (False for a mask that is a point or a line and has no contour, unless the codec is legacy:
      the originals learn the empty sequence from these)

    Added Keys:

    - gt_bbox_tokens ((N, 4) int64)
    - gt_mask_tokens ((N, 2P) int64; only end tokens where there is no mask)

    Args:
        codec (dict): Config of the codec, the same that the head gets.
        shuffle_prob (float): Share of masks whose points come in random order (Partial-RES uses 0.2 on
            RefCOCO+ and RefCOCOg). Only the points are permuted; with a legacy codec the end tokens behind
            them too, as in the original. Defaults to 0.
    """

    def __init__(self, codec: dict, shuffle_prob: float = 0.0) -> None:
        self.codec = TASK_UTILS.build(codec)
        self.shuffle_prob = shuffle_prob

    def transform(self, results: dict) -> dict:
        """Encode boxes and masks."""
        # Not results['img_shape']: LargeScaleJitter's legacy way leaves a wrong one.
        img_shape = results['img'].shape[:2]
        if 'gt_bboxes' in results:
            results['gt_bbox_tokens'] = self.codec.encode_box(results['gt_bboxes'], img_shape)
        if 'gt_masks' in results:
            self._encode_masks(results, img_shape)
        return results

    def _encode_masks(self, results: dict, img_shape: tuple[int, int]) -> None:
        codec, rng = self.codec, rng_of(results)
        has_mask = results['gt_has_mask'].copy()
        tokens = np.full((len(has_mask), 2 * codec.num_points), codec.end_token, np.int64)
        for row in np.flatnonzero(has_mask):
            vertices = self._known_points(results, row)
            if vertices is None:
                vertices = codec.sample_vertices(results['gt_masks'].masks[row])
            tokens[row] = codec.encode_vertices(vertices, img_shape)
            if self.shuffle_prob > 0 and rng.random() < self.shuffle_prob:
                count = codec.num_points if codec.legacy else len(vertices)
                tokens[row] = codec.permute_points(tokens[row], rng.sample(range(count), count))
            has_mask[row] = codec.legacy or len(vertices) > 0
        results['gt_has_mask'] = has_mask
        results['gt_mask_tokens'] = tokens

    def _known_points(self, results: dict, row: int) -> np.ndarray | None:
        points = results['gt_points'][row] if 'gt_points' in results else None
        return points if points is not None and 3 <= len(points) <= self.codec.num_points else None

    def __repr__(self) -> str:
        return f'{type(self).__name__}(codec={self.codec}, shuffle_prob={self.shuffle_prob})'


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

    - inputs ((3, H, W) tensor of the image's type)
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
