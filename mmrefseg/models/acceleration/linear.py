"""Linear layers by oneDNN, which on many CPUs multiplies faster than the BLAS that torch calls by default."""

import platform

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.swin import FeedForward
from .base import Accelerated, is_inferring

# What torch.compile's CPU code calls; a torch without oneDNN (ARM, some builds of one's own) lacks it.
HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, '_linear_pointwise')

# Packing pays off above so many weights, for more than one vector.
MANY_WEIGHTS = 2**16
# With fewer multiplications, what it costs to call it is more than what it saves.
MANY_PRODUCTS = 2**25


class OneDNNLinear(Accelerated):
    """Of torch's linear layer, in 32 bits on a CPU and without gradients."""

    accelerates = (nn.Linear,)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C')."""
        weight = self.module.weight
        if not by_onednn(x, weight):
            return self.plain(x)
        return torch.ops.mkldnn._linear_pointwise(x, weight, self.module.bias, 'none', [], '')


class OneDNNFeedForward(Accelerated):
    """Of Swin's feed-forward layer: the GELU in the same pass as the first linear layer."""

    accelerates = (FeedForward,)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        first = self.module.fc1
        if not by_onednn(x, first.weight):
            return self.plain(x)
        hidden = torch.ops.mkldnn._linear_pointwise(x, first.weight, first.bias, 'gelu', [], 'none')
        return self.module.fc2(hidden)


def by_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN may multiply the two, and is faster."""
    return (
        HAS_ONEDNN and x.device.type == 'cpu' and x.dtype == weight.dtype == torch.float32 and is_inferring(x)
    )


class PackedLinear:
    """``F.linear`` with weights that oneDNN has packed, where it can.

    With few vectors a product takes as long as reading the weights, which is fastest in the order of their
    use. Later changes of the weights are not seen: for prediction, not for training.

    Args:
        weight: (D, C).
        bias: (D,); or ``None`` if each call brings its own.
        count: Vectors that are multiplied at a time; other numbers give the same results more slowly.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, count: int) -> None:
        self.weight, self.bias = weight.detach(), None if bias is None else bias.detach()
        self.packed = None
        if weight.numel() > MANY_WEIGHTS and count > 1 and can_pack(weight):
            self.packed = torch.ops.mkldnn._reorder_linear_weight(self.weight.contiguous(), count)
            self.weight = None  # not needed any more

    def __call__(
        self, x: Tensor, bias: Tensor | None = None, relu: bool = False, residual: Tensor | None = None
    ) -> Tensor:
        """(M, C) -> (M, D); with a ReLU, or plus a residual (M, D), not both."""
        bias = self.bias if bias is None else bias
        if self.packed is None:
            x = F.linear(x, self.weight, bias)
            if residual is not None:
                return x.add_(residual)
            return x.relu_() if relu else x
        if residual is not None:
            return torch.ops.mkldnn._linear_pointwise.binary(x, residual, self.packed, bias, 'add')
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, bias, 'relu' if relu else 'none', [], '')


def can_pack(weight: Tensor) -> bool:
    """Whether this build of PyTorch packs such weights: float32 on an x86 processor, outside autocast."""
    return (
        weight.dtype == torch.float32
        and weight.device.type == 'cpu'
        and platform.machine().lower() in ('x86_64', 'amd64')
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, '_reorder_linear_weight')
        and hasattr(torch.ops.mkldnn, '_linear_pointwise')
        and not torch.is_autocast_enabled('cpu')
    )
