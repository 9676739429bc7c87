"""Referring and instance segmentation that learns from few masks, as an OpenMMLab plugin package.

Importing it registers nothing and imports no torch. A config's
``custom_imports = dict(imports=['mmrefseg.registration'])`` makes the host packages work together
and registers every class that a config can name into mmdet's registries.
"""

from .version import __version__

__all__ = ['__version__', 'register_all_modules']


def register_all_modules() -> None:
    """Register every class that a config can name; what ``import mmrefseg.registration`` does."""
    from . import registration  # noqa: F401
