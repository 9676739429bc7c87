"""The only code of the package that knows other packages' versions.

Importing it makes the host packages (torch, mmengine, mmcv, mmdet) work
together; ``mmrefseg/__init__.py`` does so before anything imports mmdet.
"""

from .ops import MissingOperatorError, compiled_operators_installed, install_operators

install_operators()

__all__ = ['MissingOperatorError', 'compiled_operators_installed', 'install_operators']
