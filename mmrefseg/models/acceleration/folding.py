"""Convolutional parts that run faster where nothing is learned: norms folded, channels last, Winograd."""

import copy
from collections.abc import Iterable

import torch
from mmcv.cnn import fuse_conv_bn
from torch import nn

from .winograd import use_winograd


def fold_batch_norms(module: nn.Module) -> nn.Module:
    """A copy of a module that computes what it does in evaluation mode, with less work.

    Every batch norm that follows a convolution becomes part of its weights, and weights are laid out
    channels last, for which the libraries have their fastest kernels and need not rearrange what
    they read and write. On CPUs, wide 3x3 convolutions run with fewer multiplications (see
    :class:`WinogradConv3x3`). Results differ by rounding only.

    Args:
        module: What to copy; stays as it is.

    Returns:
        nn.Module: The copy, in evaluation mode, without gradients.
    """
    module = copy.deepcopy(module).eval().requires_grad_(False)
    module = fuse_conv_bn(module).requires_grad_(False)
    return use_winograd(module).to(memory_format=torch.channels_last)


class FoldedCopies:
    """Folded copies of modules, made when first asked for and made anew when the weights have changed.

    Not a module itself: parameters, state dict and copies of its owner are what they are without it.
    Changes are seen by the tensors' version counters, which an assignment through ``.data`` (mmengine's
    ``EMAHook``) leaves alone: owners call :meth:`drop` whenever their mode is set, which happens after it.
    """

    def __init__(self) -> None:
        self.drop()

    def __call__(self, *modules: nn.Module) -> list[nn.Module]:
        """The folded copies of these modules, in their order."""
        stamp = _stamp(modules)
        if stamp != self._stamp:
            with torch.no_grad():
                self._copies = [fold_batch_norms(module) for module in modules]
            self._stamp = stamp
        return self._copies

    def drop(self) -> None:
        """Forget the copies."""
        self._copies: list[nn.Module] = []
        self._stamp: list | None = None

    def __deepcopy__(self, memo: dict) -> 'FoldedCopies':
        return FoldedCopies()

    def __reduce__(self) -> tuple:
        return FoldedCopies, ()


def _stamp(modules: Iterable[nn.Module]) -> list[tuple[int, int]]:
    """Where the tensors of modules are and how often each has been written to."""
    tensors = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
    return [(tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version) for tensor in tensors]
