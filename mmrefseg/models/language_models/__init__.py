from .bert_encoder import BertEncoder
from .gru_encoder import GRUEncoder
from .word_encoder import WordEncoder

__all__ = ['BertEncoder', 'GRUEncoder', 'WordEncoder']
