"""The module ``mmcv._ext`` for an mmcv that was installed without it.

``mmcv-lite`` ships every Python file of ``mmcv.ops``; each of them asks
``mmcv._ext`` for the functions it wraps, at import. So one module that
answers for every name is enough to import mmdet, and the functions that this
package really runs are ordinary PyTorch.
"""

import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn

from .nms import nms, softnms
from .roi_align import roi_align_backward, roi_align_forward

EXTENSION = 'mmcv._ext'


class MissingOperatorError(NotImplementedError):
    """An operator of mmcv was called that neither mmcv-lite nor this package has."""


def get_compiler_version() -> str:
    """For ``collect_env``: no compiler was run."""
    return 'n/a (mmcv-lite, operators by mmrefseg)'


def get_compiling_cuda_version() -> str:
    """For ``collect_env``: no compiler was run."""
    return 'n/a (mmcv-lite, operators by mmrefseg)'


VERSIONS = (get_compiler_version, get_compiling_cuda_version)


def compiled_operators_installed() -> bool:
    """Whether the installed mmcv has its compiled operators."""
    module = sys.modules.get(EXTENSION)
    if module is not None:
        return not getattr(module, 'is_stand_in', False)
    return importlib.util.find_spec(EXTENSION) is not None


def install_operators() -> ModuleType:
    """Put the stand-ins in place of ``mmcv._ext`` if it is missing; leave a compiled mmcv untouched.

    Must run before ``mmcv.ops`` (hence before mmdet's models) is imported. Calling it again changes nothing.

    Returns:
        The module ``mmcv._ext``, compiled or ours.

    Raises:
        ImportError: If the compiled module is there but does not load (it was built for another torch).
    """
    if compiled_operators_installed():
        return _import_compiled()
    if EXTENSION not in sys.modules:
        module = _stand_in_module()
        sys.modules[EXTENSION] = module
        importlib.import_module('mmcv')._ext = module
    return sys.modules[EXTENSION]


def _import_compiled() -> ModuleType:
    importlib.import_module('torch')  # the compiled module's symbols live in torch's libraries
    try:
        return importlib.import_module(EXTENSION)
    except ImportError as error:
        raise ImportError(
            f"mmcv's compiled operators do not load ({error}), expected a build for the installed torch; "
            'build it again with `pip install --no-build-isolation --no-binary mmcv mmcv==2.1.0`, '
            'or use the stand-ins: `pip uninstall mmcv && pip install mmcv-lite==2.1.0`'
        ) from error


def _stand_in_module() -> ModuleType:
    spec = importlib.machinery.ModuleSpec(EXTENSION, loader=None, origin='mmrefseg.compat.ops')
    module = importlib.util.module_from_spec(spec)
    module.__doc__ = 'Stand-ins of mmrefseg for the compiled operators of mmcv.'
    module.is_stand_in = True
    for operator in (nms, softnms, roi_align_forward, roi_align_backward, *VERSIONS):
        setattr(module, operator.__name__, operator)
    module.__getattr__ = _missing_operator
    return module


def _missing_operator(name: str) -> Callable[..., NoReturn]:
    """A function that says, when called, that the operator ``name`` needs a compiled mmcv."""
    if name.startswith('__'):
        # inspect, pickle and torch probe for special names and must see that there are none
        raise AttributeError(name)

    def call(*args: Any, **kwargs: Any) -> NoReturn:
        raise MissingOperatorError(
            f"the operator '{name}' of mmcv was called, but mmcv-lite has no compiled operators and mmrefseg "
            f'has no stand-in for it; install compiled mmcv: `pip uninstall mmcv-lite && '
            f'pip install --no-build-isolation mmcv==2.1.0` (it compiles for about 20 minutes)'
        )

    call.__name__ = name
    return call
