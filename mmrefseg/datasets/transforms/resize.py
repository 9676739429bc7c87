"""Resizing to a given size."""

import numpy as np
from mmcv.transforms import Resize
from mmdet.registry import TRANSFORMS

from .rows import flag_vanished_masks


@TRANSFORMS.register_module()
class RefResize(Resize):
    """Resize the picture, and the boxes (in float64) and masks that are already loaded.

    Required Keys:

    - img
    - gt_bboxes, gt_masks, gt_has_mask (optional)

    Modified Keys:

    - img, img_shape, scale_factor ((w, h))
    - gt_bboxes, gt_masks, gt_points
    - gt_has_mask (False where no pixel of a mask is left)

    Args:
        scale (tuple[int, int]): (width, height) to fit into or, without keep_ratio, to resize to, in pixels.
            Defaults to (640, 640).
        keep_ratio (bool): Keep the aspect ratio. Defaults to True.
        kwargs: The other arguments of mmcv's Resize.
    """

    def __init__(self, scale: tuple[int, int] = (640, 640), keep_ratio: bool = True, **kwargs) -> None:
        super().__init__(scale=scale, keep_ratio=keep_ratio, **kwargs)

    def transform(self, results: dict) -> dict:
        """Resize."""
        results = super().transform(results)
        if 'gt_masks' in results:
            masks = results['gt_masks']
            # BitmapMasks.rescale loses the picture's size when there is no mask, resize does not.
            results['gt_masks'] = masks.resize(results['img_shape'][:2])
            flag_vanished_masks(results)
        if 'gt_points' in results:
            factor = np.array(results['scale_factor'], np.float32)
            results['gt_points'] = [
                None if points is None else points * factor for points in results['gt_points']
            ]
        return results
