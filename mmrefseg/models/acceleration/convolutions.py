"""Convolution, batch norm and activation as one convolution where the statistics are fixed.

Letters: M images, C channels, H W cells.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..heads.lavt_head import ConvBlock, LAVTHead, LAVTPytorchHead
from .base import Accelerated, is_inferring
from .winograd import WinogradConv3x3, tile_outputs


class FoldedConvBlock(Accelerated):
    """Of LAVT's :class:`ConvBlock`, a convolution, a batch norm and a ReLU.

    With fixed statistics a batch norm is a scale and an offset of what the convolution gives: both are
    multiplied into its weights. On CPUs tensors are laid out channels last, for which the libraries have
    their fastest kernels and need not rearrange what they read and write, and wide 3x3 convolutions in 32
    bits run by :mod:`winograd`.
    """

    accelerates = (ConvBlock,)

    @property
    def norm(self) -> _BatchNorm | None:
        """The batch norm behind the convolution."""
        return self.module.bn

    def forward(self, x: Tensor) -> Tensor:
        """(M, C, H, W) -> (M, C', H, W)."""
        return self.convolve(x).relu_() if self.applies(x) else self.plain(x)

    def applies(self, x: Tensor) -> bool:
        """Whether nothing here is learned, and the precision is an ordinary one.

        With gradients enabled that is so for frozen layers whose input has none.
        """
        weight, norm = self.module.conv.weight, self.norm
        fixed = norm is None or not (norm.training or norm.running_mean is None)
        known = x.dtype == weight.dtype and x.dtype in (torch.float32, torch.float64)
        if not (fixed and known) or torch.is_autocast_enabled(x.device.type):
            return False
        return not torch.is_grad_enabled() or not (
            x.requires_grad or any(tensor.requires_grad for tensor in self._tensors() if tensor is not None)
        )

    def convolve(self, x: Tensor) -> Tensor:
        """Convolution and batch norm."""
        conv = self.module.conv
        outputs = tile_outputs(conv, x)
        if outputs:
            winograd = self.derived(('tiles', outputs), lambda: self._winograd(outputs), self._tensors())
            return winograd(x)
        layout = torch.contiguous_format
        if x.device.type == 'cpu':
            layout = torch.channels_last
            x = x.contiguous(memory_format=layout)
        weight, offset = self.derived('folded', lambda: self._fold(layout), self._tensors())
        return F.conv2d(x, weight, offset, conv.stride, conv.padding, conv.dilation, conv.groups)

    def _tensors(self) -> list[Tensor | None]:
        """All that the folded weights depend on."""
        conv, norm = self.module.conv, self.norm
        of_norm = [] if norm is None else [*norm.parameters(), norm.running_mean, norm.running_var]
        return [conv.weight, conv.bias, *of_norm]

    def _fold(self, layout: torch.memory_format) -> tuple[Tensor, Tensor | None]:
        """The weight in a memory format, and the offset."""
        weight, offset, norm = self.module.conv.weight, self.module.conv.bias, self.norm
        if norm is not None:
            scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
            weight = weight * scale[:, None, None, None]
            shift = -norm.running_mean if offset is None else offset - norm.running_mean
            offset = norm.bias + shift * scale
        return weight.contiguous(memory_format=layout), offset

    def _winograd(self, outputs: int) -> WinogradConv3x3:
        return WinogradConv3x3(*self._fold(torch.contiguous_format), outputs)


class FoldedConvModule(FoldedConvBlock):
    """Of mmcv's :class:`ConvModule` in its usual order, with a batch norm or none."""

    accelerates = (ConvModule,)

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        """See :meth:`Accelerated.fits`."""
        if not super().fits(module) or type(module.conv) is not nn.Conv2d or module.with_spectral_norm:
            return False
        known_norm = module.norm is None or (isinstance(module.norm, _BatchNorm) and module.norm.affine)
        usual = module.order == ('conv', 'norm', 'act') and not module.with_explicit_padding
        return known_norm and usual and module.conv.padding_mode == 'zeros'

    @property
    def norm(self) -> _BatchNorm | None:
        """The batch norm behind the convolution, if there is one."""
        return self.module.norm

    def forward(self, x: Tensor, activate: bool = True, norm: bool = True) -> Tensor:
        """(M, C, H, W) -> (M, C', H', W')."""
        if not norm or not self.applies(x):
            return self.plain(x, activate, norm)
        x = self.convolve(x)
        return self.module.activate(x) if activate and self.module.with_activation else x


class LaidOutHead(Accelerated):
    """Of LAVT's decoders: maps are laid out for the convolutions before they are resized and joined."""

    accelerates = (LAVTHead, LAVTPytorchHead)

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Maps, finest first -> logits (M, 2, H / 4, W / 4)."""
        if is_inferring(feats[0]) and feats[0].device.type == 'cpu':
            feats = [feat.contiguous(memory_format=torch.channels_last) for feat in feats]
        return self.plain(feats)
