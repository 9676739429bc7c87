from .inferencer import RefSegInferencer

__all__ = ['RefSegInferencer']
