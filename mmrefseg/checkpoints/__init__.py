from .key_map import KeyMap, MappedState
from .options import add_conversion_options
from .report import ConversionReport, expected_shapes
from .seqtr import SEQTR_KEYS
from .writing import config_beside, write_checkpoint, write_config

__all__ = [
    'SEQTR_KEYS',
    'ConversionReport',
    'KeyMap',
    'MappedState',
    'add_conversion_options',
    'config_beside',
    'expected_shapes',
    'write_checkpoint',
    'write_config',
]
