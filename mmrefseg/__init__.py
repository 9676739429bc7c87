"""Referring and instance segmentation that learns from few masks, as an OpenMMLab plugin package.

Importing the package makes the host packages work together (:mod:`mmrefseg.compat`) and registers every class
that a config can name into mmdet's own registries.
"""

from . import compat  # isort: skip  (must run before anything imports mmdet)
from .registration import register_all_modules
from .version import __version__

register_all_modules()

__all__ = ['__version__', 'compat', 'register_all_modules']
