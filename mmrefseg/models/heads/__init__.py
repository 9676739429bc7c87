from .seqtr_head import HeadPrediction, ImageSizes, SeqTRHead

__all__ = ['HeadPrediction', 'ImageSizes', 'SeqTRHead']
