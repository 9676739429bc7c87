"""Where mmdet's Mask R-CNN computes something else than detectron2's: the parts that make it the same.

docs/instance_segmentation.md lists every difference, and which of these or which setting removes it.
"""

from .proposals import Detectron2Assigner, Detectron2BoxCoder, Detectron2RPNHead
from .rois import Detectron2BoxHead, Detectron2RoIExtractor, Detectron2RoIHead

__all__ = [
    'Detectron2Assigner',
    'Detectron2BoxCoder',
    'Detectron2BoxHead',
    'Detectron2RPNHead',
    'Detectron2RoIExtractor',
    'Detectron2RoIHead',
]
