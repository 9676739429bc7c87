from .label_smoothing_loss import SequenceLabelSmoothingLoss

__all__ = ['SequenceLabelSmoothingLoss']
