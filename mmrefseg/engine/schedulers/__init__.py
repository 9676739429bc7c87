from .poly_decay import PolyDecay

__all__ = ['PolyDecay']
