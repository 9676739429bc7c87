"""The steps of a pipeline: loading, geometry, encoding, packing."""

from ... import compat  # noqa: F401  isort: skip  (before anything imports mmdet)
from .formatting import EncodeContour, PackRefInputs
from .geometry import LargeScaleJitter, RefFlip, RefResize
from .loading import DrawExpression, LoadCheckedImage, LoadRefAnnotations, LoadRefImage
from .orientation import MatchRecordedSize

__all__ = [
    'DrawExpression',
    'EncodeContour',
    'LargeScaleJitter',
    'LoadCheckedImage',
    'LoadRefAnnotations',
    'LoadRefImage',
    'MatchRecordedSize',
    'PackRefInputs',
    'RefFlip',
    'RefResize',
]
