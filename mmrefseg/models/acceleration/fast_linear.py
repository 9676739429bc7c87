"""Linear layers by oneDNN, which on many CPUs multiplies faster than the BLAS that torch calls by default."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# What torch.compile's CPU code calls; a torch without oneDNN (ARM, some builds of one's own) lacks it.
HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, '_linear_pointwise')


class FastLinear(nn.Linear):
    """A linear layer, with or without a GELU behind it.

    Without gradients, in 32 bits and on a CPU, oneDNN computes both in one pass; everywhere else it is
    torch's own. The two differ by rounding.

    Attributes:
        fast: Set to False for torch's own everywhere.
    """

    fast = True

    def forward(self, x: Tensor, gelu: bool = False) -> Tensor:
        """(..., C) -> (..., C')."""
        if self._by_onednn(x):
            activation, algorithm = ('gelu', 'none') if gelu else ('none', '')
            return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, activation, [], algorithm)
        x = super().forward(x)
        return F.gelu(x) if gelu else x

    def _by_onednn(self, x: Tensor) -> bool:
        return (
            self.fast
            and HAS_ONEDNN
            and x.device.type == 'cpu'
            and x.dtype == self.weight.dtype == torch.float32
            and not torch.is_grad_enabled()
            and not torch.is_autocast_enabled('cpu')
        )
