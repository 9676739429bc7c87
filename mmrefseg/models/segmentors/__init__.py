from .lavt import LAVT
from .seqtr import SeqTR

__all__ = ['LAVT', 'SeqTR']
