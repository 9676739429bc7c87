"""From the frame of the network to that of the picture."""

from mmengine.structures import InstanceData
from torch import Tensor


def to_original_frame(found: InstanceData, meta: dict) -> tuple[InstanceData, Tensor]:
    """Scale boxes back, clip them to the picture, and drop those without area.

    detectron2 multiplies by the ratio of the sizes; mmdet divides by its inverse, and the last bit of a
    coordinate decides about single pixels of small masks.

    Args:
        found: ``bboxes`` (N, 4) in the frame of the network, and whatever else has N rows.
        meta: ``ori_shape`` and ``img_shape``, both (height, width).

    Returns:
        The M boxes that are left, and which of the N rows (N,) bool they are.
    """
    height, width = meta['ori_shape'][:2]
    boxes = found.bboxes
    ratio = boxes.new_tensor([width / meta['img_shape'][1], height / meta['img_shape'][0]]).repeat(2)
    boxes = boxes * ratio
    boxes[:, 0::2].clamp_(0, width)
    boxes[:, 1::2].clamp_(0, height)
    found.bboxes = boxes
    kept = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return found[kept], kept
