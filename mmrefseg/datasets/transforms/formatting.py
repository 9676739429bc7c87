"""The last steps of a pipeline: tokens, and packing for the model."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import TASK_UTILS, TRANSFORMS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from ..fields import INSTANCE_FIELDS, META_FIELDS, rng_of


@TRANSFORMS.register_module()
class EncodeContour(BaseTransform):
    """Make the sequences that a SeqTR or Partial-RES head learns (``docs/data.md``, "Fields of a sample").

    P is the codec's num_points.

    Required Keys:

    - img
    - gt_bboxes (optional)
    - gt_masks, gt_has_mask (optional)
    - gt_points (optional; a contour of at most P points is taken as it is, instead of its mask's: sampled
      anew, a pseudo mask would lose its corners once more)
    - rng (optional)

    Modified Keys:

    - gt_has_mask (False for a mask that is a point or a line and has no contour, unless the codec is legacy:
      the originals learn the empty sequence from these)

    Added Keys:

    - gt_bbox_tokens, gt_mask_tokens

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


@TRANSFORMS.register_module()
class PackRefInputs(BaseTransform):
    """Pack a sample for the model.

    Which fields become meta information, which an entry of ``gt_instances`` (one per pair) and of which type,
    is in :data:`~mmrefseg.datasets.fields.SAMPLE_FIELDS`; what each means, in ``docs/data.md``.

    Required Keys:

    - img ((H, W, 3), BGR)
    - all that is packed (optional)

    Returned Keys:

    - inputs ((3, H, W) tensor of the image's type)
    - data_samples (DetDataSample with ``gt_instances`` and meta information)

    Args:
        meta_keys (tuple[str, ...]): What to keep as meta information.
    """

    def __init__(self, meta_keys: tuple[str, ...] = META_FIELDS) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        """Pack the sample."""
        gt_instances = InstanceData()
        for field in (field for field in INSTANCE_FIELDS if field.name in results):
            value = results[field.name]
            if field.dtype is not None:
                value = torch.as_tensor(value, dtype=getattr(torch, field.dtype))
            gt_instances[field.packed] = value
        data_sample = DetDataSample(metainfo={key: results[key] for key in self.meta_keys if key in results})
        data_sample.gt_instances = gt_instances
        inputs = torch.from_numpy(np.ascontiguousarray(results['img'].transpose(2, 0, 1)))
        return {'inputs': inputs, 'data_samples': data_sample}

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys})'
