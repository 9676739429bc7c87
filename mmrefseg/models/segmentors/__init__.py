from .seqtr import SeqTR

__all__ = ['SeqTR']
