"""Stand-ins for the compiled operators of mmcv (the module ``mmcv._ext``), which ``mmcv-lite`` lacks."""

from .extension import MissingOperatorError, compiled_operators_installed, install_operators

__all__ = ['MissingOperatorError', 'compiled_operators_installed', 'install_operators']
