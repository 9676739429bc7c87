from .attention import MultiHeadAttention, padding_bias
from .box_frame import BoxFrame
from .co_content import CoContent, StepwiseContent
from .memory import Memory, grid_padding
from .point_modulation import PointModulation
from .roi_memory import RoIMemory
from .small_batch_norm import SmallBatchBN
from .transformer import Decoder, DecodingState, Encoder

__all__ = [
    'BoxFrame',
    'CoContent',
    'Decoder',
    'DecodingState',
    'Encoder',
    'Memory',
    'MultiHeadAttention',
    'PointModulation',
    'RoIMemory',
    'SmallBatchBN',
    'StepwiseContent',
    'grid_padding',
    'padding_bias',
]
