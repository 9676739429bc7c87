from .key_map import KeyMap, MappedState
from .seqtr import SEQTR_KEYS

__all__ = ['SEQTR_KEYS', 'KeyMap', 'MappedState']
