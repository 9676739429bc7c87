from .gru_encoder import GRUEncoder

__all__ = ['GRUEncoder']
