from .lavt_head import LAVTHead, LAVTPytorchHead
from .seqtr_head import HeadPrediction, ImageSizes, SeqTRHead

__all__ = ['HeadPrediction', 'ImageSizes', 'LAVTHead', 'LAVTPytorchHead', 'SeqTRHead']
