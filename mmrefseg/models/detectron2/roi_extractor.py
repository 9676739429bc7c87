"""The pyramid level of a region, by detectron2's formula."""

import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS
from torch import Tensor

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
            rois: (R, 5) picture index and box x1, y1, x2, y2.
            num_levels: How many there are, the finest being P2.

        Returns:
            (R,) int64, 0 for P2.
        """
        size = torch.sqrt((rois[:, 3] - rois[:, 1]) * (rois[:, 4] - rois[:, 2]))
        level = torch.floor(CANONICAL_LEVEL + torch.log2(size / CANONICAL_SIZE + 1e-8))
        return level.clamp(FINEST_LEVEL, FINEST_LEVEL + num_levels - 1).long() - FINEST_LEVEL
