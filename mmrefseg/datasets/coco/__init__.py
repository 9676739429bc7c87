"""COCO instance files as people have them: checked, mended where that is certain, counted where it is not.

No torch: the data set, the metric, the converters and ``verify_coco.py`` read through :func:`check_coco`.
"""

from .check import CheckedCoco, check_coco, read_coco
from .image_files import ImageFolder
from .tables import as_objects, with_plain_ids

__all__ = ['CheckedCoco', 'ImageFolder', 'as_objects', 'check_coco', 'read_coco', 'with_plain_ids']
