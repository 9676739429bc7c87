from .lavt_head import LAVTHead, LAVTPytorchHead
from .seqtr_head import HeadPrediction, ImageSizes, SeqTRHead
from .shared_lavt_head import SharedLAVTHead

__all__ = ['HeadPrediction', 'ImageSizes', 'LAVTHead', 'LAVTPytorchHead', 'SeqTRHead', 'SharedLAVTHead']
