"""A refiner that is taught by an average of itself where there are no masks."""

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from ..losses.box_losses import projection_loss
from .refiner import BoxRefiner

# Between a probability of one half and this, or its counterpart, a pixel teaches nothing.
SURE = 0.7


@MODELS.register_module()
class TeacherRefiner(BoxRefiner):
    """Objects without a mask learn from a mean teacher whose masks fit their boxes.

    The teacher (Tarvainen & Valpola, NeurIPS 2017) is a moving average of the network's weights. It sees the
    window as it is, the network sees it in other colours; pixels of which the teacher is sure teach, of
    masks whose projections fit the box. So do Omni-RES (weak labels choose among the teacher's masks) and,
    once and for a finished network, RPP (Partial-RES).

    Args:
        momentum: Share of the teacher's weights that stays in a step.
        largest_residual: A mask teaches if its projection loss, from 0 to 1 by halving
            (:func:`projection_loss`), is not above this.
        burn_in: Steps before the teacher teaches; it follows the network from the first.
        recolour: Standard deviation of the noise on each channel's mean and contrast, in units of the
            preprocessed image and as a share.
        with_boxes: Also BoxInst's losses of the boxes (:class:`BoxRefiner`), beside the teacher's.
        **kwargs: Of :class:`BoxRefiner`; ``box_weight`` is the weight of all that teaches without masks.
    """

    def __init__(
        self,
        *args,
        momentum: float = 0.99,
        largest_residual: float = 0.1,
        burn_in: int = 300,
        recolour: float = 0.2,
        with_boxes: bool = False,
        box_weight: float = 1.0,
        **kwargs,
    ) -> None:
        super().__init__(*args, box_weight=box_weight, **kwargs)
        self.teacher = BoxRefiner(*args, **kwargs).requires_grad_(False)
        self.teacher.load_state_dict(self.state_dict(), strict=False)
        self.momentum, self.largest_residual, self.burn_in = momentum, largest_residual, burn_in
        self.recolour, self.with_boxes = recolour, with_boxes

    def train(self, mode: bool = True) -> 'TeacherRefiner':
        """The teacher never trains."""
        super().train(mode)
        self.teacher.eval()
        return self

    def strong_view(self, images: Tensor) -> Tensor:
        """Windows (M, 3, R, R) with another mean and contrast of each channel."""
        shape = (*images.shape[:2], 1, 1)
        mean = images.mean((2, 3), keepdim=True)
        contrast = 1 + self.recolour * torch.randn(shape, device=images.device)
        shift = self.recolour * torch.randn(shape, device=images.device)
        return (images - mean) * contrast + mean + shift * images.std().detach()

    def box_losses(self, logits: Tensor, images: Tensor, inside: Tensor, rows: Tensor) -> dict[str, Tensor]:
        """``loss_teacher``, ``accepted`` (the share of masks that teach), perhaps those of boxes."""
        losses = super().box_losses(logits, images, inside, rows) if self.with_boxes else {}
        self._follow()
        with torch.no_grad():
            taught = self.teacher(images)
            probability = taught.sigmoid()
            residual = projection_loss(taught, inside.amax(1), inside.amax(2)) / 2
            accepted = rows & (residual <= self.largest_residual) & (self.steps >= self.burn_in)
            sure = ((probability - 0.5).abs() >= SURE - 0.5) & accepted[:, None, None]
        each = F.binary_cross_entropy_with_logits(logits, (probability > 0.5).to(logits), reduction='none')
        losses['loss_teacher'] = self.box_weight * (each * sure).sum() / sure.sum().clamp(min=1)
        losses['accepted'] = accepted.sum() / rows.sum().clamp(min=1)
        return losses

    @torch.no_grad()
    def _follow(self) -> None:
        """The teacher's weights move towards the network's; counts and statistics are taken as they are."""
        own = dict(self.named_parameters())
        for name, average in self.teacher.named_parameters():
            average.lerp_(own[name], 1 - self.momentum)
        buffers = dict(self.named_buffers())
        for name, average in self.teacher.named_buffers():
            average.copy_(buffers[name])
