"""Convolution, batch norm and ReLU as one convolution when the statistics are fixed."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FoldedConv(nn.Module):
    """Convolution, batch norm, ReLU.

    In evaluation the batch norm is a scale and an offset; with ``fold`` both are multiplied into the
    convolution at each call, so that nothing has to be undone before training goes on.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Side of the kernel; padding keeps the map's size.
        bias: Whether the convolution has a bias.
        fold: See above.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, bias: bool = False, fold: bool = True
    ) -> None:
        super().__init__()
        self.fold = fold
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(M, C, H, W) -> (M, C', H, W)."""
        if self.training or not self.fold or torch.is_grad_enabled():
            return F.relu(self.bn(self.conv(x)))
        scale = self.bn.weight * (self.bn.running_var + self.bn.eps).rsqrt()
        offset = self.bn.bias - self.bn.running_mean * scale
        if self.conv.bias is not None:
            offset = offset + self.conv.bias * scale
        weight = self.conv.weight * scale[:, None, None, None]
        if x.is_contiguous(memory_format=torch.channels_last):
            weight = weight.contiguous(memory_format=torch.channels_last)
        return F.conv2d(x, weight, offset, padding=self.conv.padding).relu_()
