"""Batch norm for batches that can be as small as one value."""

import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm


@MODELS.register_module()
class SmallBatchBN(_BatchNorm):
    """BN that takes its running statistics where a channel has one value, and so no statistics of its own.

    ResNeSt normalises one vector an image: with one image on one process, BN in training would raise.
    Everywhere else, and in evaluation, this is PyTorch's BatchNorm, for inputs of any number of axes. Its
    parameters and buffers are BatchNorm's and SyncBatchNorm's.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Any input (N, C, ...) will do, as for SyncBatchNorm."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, ...) -> the same."""
        if self.training and input.numel() == input.shape[1] and self.running_mean is not None:
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(input)
