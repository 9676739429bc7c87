"""Detections in the original frame, as detectron2 hands them over."""

from mmdet.models.roi_heads import StandardRoIHead
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmengine.structures import InstanceData
from torch import Tensor


@MODELS.register_module()
class Detectron2RoIHead(StandardRoIHead):
    """Clips the boxes to the picture once more after scaling them back, and drops those without area."""

    def predict(
        self,
        x: tuple[Tensor],
        rpn_results_list: list[InstanceData],
        batch_data_samples: SampleList,
        rescale: bool = False,
    ) -> list[InstanceData]:
        """Detections of a batch; arguments as for mmdet's head.

        Returns:
            For each picture ``bboxes`` (N, 4), ``scores``, ``labels`` and ``masks`` (N, H, W), best first.
        """
        results = super().predict(x, rpn_results_list, batch_data_samples, rescale)
        if not rescale:
            return results
        return [
            _inside(found, sample.metainfo['ori_shape'])
            for found, sample in zip(results, batch_data_samples, strict=True)
        ]


def _inside(found: InstanceData, shape: tuple[int, int]) -> InstanceData:
    height, width = shape[:2]
    boxes = found.bboxes
    boxes[:, 0::2].clamp_(0, width)
    boxes[:, 1::2].clamp_(0, height)
    has_area = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return found if bool(has_area.all()) else found[has_area]
