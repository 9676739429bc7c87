"""What makes the same networks faster, attached from outside by one call and taken away by another.

The networks compute without it what they compute with it, but for rounding: nothing outside this package
imports from it, but those who run a model. Each form falls back to the plain one wherever it does not apply.
"""

from collections.abc import Sequence
from typing import TypeVar

from torch import nn

from .base import Accelerated, attached
from .convolutions import FoldedConvBlock, FoldedConvModule, LaidOutHead
from .linear import OneDNNFeedForward, OneDNNLinear
from .stepwise import StepwiseHead
from .windows import IndexedWindows

__all__ = ['PIECES', 'accelerate', 'decelerate']

#: All there is, each for one class.
PIECES: tuple[type[Accelerated], ...] = (
    FoldedConvModule,
    FoldedConvBlock,
    LaidOutHead,
    IndexedWindows,
    OneDNNFeedForward,
    OneDNNLinear,
    StepwiseHead,
)
Model = TypeVar('Model', bound=nn.Module)


def accelerate(model: Model, pieces: Sequence[type[Accelerated]] = PIECES) -> Model:
    """Attach the faster forms to all modules of a model that they fit (docs/benchmarks.md: what each gives).

    Parameters, buffers, names, state dict and results stay what they are, results but for rounding. It may be
    called before or after weights are loaded, in training and in evaluation, and again.

    Args:
        model: Is changed.
        pieces: Those that are wanted.

    Returns:
        The model.
    """
    for module in model.modules():
        if attached(module) is None:
            piece = next((piece for piece in pieces if piece.fits(module)), None)
            if piece is not None:
                piece(module).attach()
    return model


def decelerate(model: Model) -> Model:
    """Take away what :func:`accelerate` has attached, and return the model."""
    for module in model.modules():
        accelerated = attached(module)
        if accelerated is not None:
            accelerated.detach()
    return model
