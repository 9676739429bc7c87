from .multiscale_fusion import MultiscaleFusion
from .simple_feature_pyramid import SimpleFeaturePyramid

__all__ = ['MultiscaleFusion', 'SimpleFeaturePyramid']
