"""Where mmdet's Mask R-CNN computes something else than detectron2's: the parts that make it the same.

docs/instance_segmentation.md lists every difference, and which of these or which setting removes it.
"""

from .assigner import Detectron2Assigner
from .box_coder import Detectron2BoxCoder
from .box_head import Detectron2BoxHead
from .roi_extractor import Detectron2RoIExtractor
from .roi_head import Detectron2RoIHead
from .rpn_head import Detectron2RPNHead

__all__ = [
    'Detectron2Assigner',
    'Detectron2BoxCoder',
    'Detectron2BoxHead',
    'Detectron2RPNHead',
    'Detectron2RoIExtractor',
    'Detectron2RoIHead',
]
