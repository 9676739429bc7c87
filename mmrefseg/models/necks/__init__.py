from .multiscale_fusion import MultiscaleFusion

__all__ = ['MultiscaleFusion']
