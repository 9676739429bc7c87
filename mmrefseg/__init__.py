"""Referring and instance segmentation that learns from few masks, as an OpenMMLab plugin package.

Importing it registers nothing and imports no torch. A config's
``custom_imports = dict(imports=['mmrefseg.registration'])`` makes the host packages work together
and registers every class that a config can name into mmdet's registries.
"""

import os
from typing import TYPE_CHECKING

from .version import __version__

if TYPE_CHECKING:
    from .apis import Predictor

__all__ = ['__version__', 'load', 'register_all_modules']


def load(
    weights: str | os.PathLike | None = None,
    *,
    config: str | os.PathLike | None = None,
    device: str | None = None,
    calibration: str | os.PathLike | None = None,
) -> 'Predictor':
    """A network with its weights; ``load().predict(image, sentences)`` finds masks.

    See :func:`mmrefseg.apis.load`.

    Args:
        weights: A checkpoint of a training, or the address of weights inside the package; by default the
            package's own.
        config: Only for a checkpoint that carries none.
        device: ``'cpu'``, ``'cuda'``, ...; a GPU if there is one.
        calibration: A file that makes scores the IoUs to expect.

    Raises:
        UserInputError: If the weights are missing, or carry no config, or do not fit it.
    """
    from . import apis  # brings torch

    given = {} if weights is None else {'weights': weights}
    return apis.load(**given, config=config, device=device, calibration=calibration)


def register_all_modules() -> None:
    """Register every class that a config can name; what ``import mmrefseg.registration`` does."""
    from . import registration  # noqa: F401
