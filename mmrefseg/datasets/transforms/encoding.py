"""Annotations to tokens."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TASK_UTILS, TRANSFORMS

from .rows import rng_of


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
