from .lavt_head import LAVTHead, LAVTPytorchHead
from .seqtr_head import HeadPrediction, ImageSizes, SeqTRHead
from .seqtr_roi_head import SeqTRRoIHead
from .shared_lavt_head import SharedLAVTHead

__all__ = [
    'HeadPrediction',
    'ImageSizes',
    'LAVTHead',
    'LAVTPytorchHead',
    'SeqTRHead',
    'SeqTRRoIHead',
    'SharedLAVTHead',
]
