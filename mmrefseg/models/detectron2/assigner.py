"""Which object an anchor learns, by detectron2's rules."""

from mmdet.models.task_modules.assigners import AssignResult, MaxIoUAssigner
from mmdet.registry import TASK_UTILS
from torch import Tensor


@TASK_UTILS.register_module()
class Detectron2Assigner(MaxIoUAssigner):
    """Anchors that fit an object best become positive, and learn the object that they fit best.

    mmdet hands such an anchor to the object that it is the best of, also where it overlaps another one more.

    Args:
        pos_iou_thr: IoU from which on an anchor is positive.
        neg_iou_thr: IoU below which it is negative; between the two it is left out.
        match_low_quality: Whether the best anchors of an object are positive whatever their IoU (RPN: yes,
            RoI heads: no).
        **kwargs: Those of MaxIoUAssigner.
    """

    def __init__(
        self, pos_iou_thr: float, neg_iou_thr: float, match_low_quality: bool = True, **kwargs
    ) -> None:
        super().__init__(pos_iou_thr, neg_iou_thr, match_low_quality=False, **kwargs)
        self.raise_best = match_low_quality

    def assign_wrt_overlaps(self, overlaps: Tensor, gt_labels: Tensor) -> AssignResult:
        """Assign by a table of overlaps.

        Args:
            overlaps: (K, N) IoU of K objects with N boxes.
            gt_labels: (K,) classes.

        Returns:
            For each box the object's number from 1 on, 0 for background, -1 for left out.
        """
        result = super().assign_wrt_overlaps(overlaps, gt_labels)
        if self.raise_best and overlaps.numel():
            best = (overlaps == overlaps.max(dim=1, keepdim=True).values).any(dim=0)
            nearest = overlaps[:, best].argmax(dim=0)
            result.gt_inds[best] = nearest + 1
            result.labels[best] = gt_labels[nearest]
        return result
