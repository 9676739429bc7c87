from .box_cell_loss import BoxCellLoss
from .cell_category_loss import CellCategoryLoss
from .gaussian_label_loss import SequenceGaussianLabelLoss
from .label_smoothing_loss import SequenceLabelSmoothingLoss
from .mask_cell_loss import MaskCellLoss
from .pixel_cross_entropy_loss import PixelCrossEntropyLoss
from .word_loss import WordLoss

__all__ = [
    'BoxCellLoss',
    'CellCategoryLoss',
    'MaskCellLoss',
    'PixelCrossEntropyLoss',
    'SequenceGaussianLabelLoss',
    'SequenceLabelSmoothingLoss',
    'WordLoss',
]
