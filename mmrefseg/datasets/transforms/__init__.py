"""The steps of a pipeline: loading, geometry, encoding, packing."""

from ... import compat  # noqa: F401  isort: skip  (before anything imports mmdet)
from .encoding import EncodeContour
from .flip import RefFlip
from .formatting import PackRefInputs
from .jitter import LargeScaleJitter
from .loading import DrawExpression, LoadRefAnnotations, LoadRefImage
from .resize import RefResize

__all__ = [
    'DrawExpression',
    'EncodeContour',
    'LargeScaleJitter',
    'LoadRefAnnotations',
    'LoadRefImage',
    'PackRefInputs',
    'RefFlip',
    'RefResize',
]
