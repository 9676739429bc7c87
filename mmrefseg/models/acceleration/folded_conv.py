"""Convolution, batch norm and ReLU as one convolution when the statistics are fixed."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .winograd import WinogradConv3x3

# Below so many cells, torch's convolutions are as fast; larger weights would take gigabytes when transformed.
_WINOGRAD_CELLS = 24 * 24
_WINOGRAD_WEIGHTS = 8_000_000
_WINOGRAD_CHANNELS = 64


class FoldedConv(nn.Module):
    """Convolution, batch norm, ReLU.

    In evaluation without gradients the batch norm is a scale and an offset; with ``fold`` both are multiplied
    into the convolution. What is folded is kept until a tensor changes or :meth:`train` or :meth:`eval` is
    called; nothing has to be undone before training goes on.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Side of the kernel; padding keeps the map's size.
        bias: Whether the convolution has a bias.
        fold: See above.
        winograd: With ``fold``, in 32 bits and on a CPU, large 3x3 convolutions by :mod:`winograd`, which
            takes four times the memory of the weight.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        bias: bool = False,
        fold: bool = True,
        winograd: bool = True,
    ) -> None:
        super().__init__()
        self.fold = fold
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias)
        self.bn = nn.BatchNorm2d(out_channels)
        large = min(in_channels, out_channels) >= _WINOGRAD_CHANNELS
        small = self.conv.weight.numel() <= _WINOGRAD_WEIGHTS
        self.winograd = winograd and kernel_size == 3 and large and small
        self._cache: dict = {}

    def train(self, mode: bool = True) -> 'FoldedConv':
        """Set the mode, and forget what is folded."""
        self._cache.clear()
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        """(M, C, H, W) -> (M, C', H, W)."""
        if self.training or not self.fold or torch.is_grad_enabled():
            return F.relu(self.bn(self.conv(x)))
        if self._by_winograd(x):
            return self._folded('winograd')(x).relu_()
        layout = (
            'channels_last' if x.is_contiguous(memory_format=torch.channels_last) else 'contiguous_format'
        )
        return F.conv2d(x, *self._folded(layout), padding=self.conv.padding).relu_()

    def _by_winograd(self, x: Tensor) -> bool:
        return (
            self.winograd
            and x.device.type == 'cpu'
            and x.dtype == self.conv.weight.dtype == torch.float32
            and x.shape[2] * x.shape[3] >= _WINOGRAD_CELLS
            and not torch.is_autocast_enabled('cpu')
        )

    def _folded(self, form: str) -> WinogradConv3x3 | tuple[Tensor, Tensor]:
        """Weight in a memory format, and offset; or both as the other convolution."""
        tensors = [*self.conv.parameters(), *self.bn.parameters(), self.bn.running_mean, self.bn.running_var]
        state = [(item.data_ptr(), item._version, item.dtype, item.device) for item in tensors]
        if self._cache.get('state') != state:
            self._cache.clear()
            self._cache['state'] = state
        if form not in self._cache:
            scale = self.bn.weight * (self.bn.running_var + self.bn.eps).rsqrt()
            offset = self.bn.bias - self.bn.running_mean * scale
            if self.conv.bias is not None:
                offset = offset + self.conv.bias * scale
            weight = self.conv.weight * scale[:, None, None, None]
            if form == 'winograd':
                # 4x4 tiles however wide: the number of weights is limited above
                self._cache[form] = WinogradConv3x3(weight, offset, outputs=4)
            else:
                self._cache[form] = weight.contiguous(memory_format=getattr(torch, form)), offset
        return self._cache[form]
