"""A small dense network that draws a mask anew inside its box, from the image's own pixels.

Letters: B images, M objects, K of them with a mask, R pixels along each side of a window, C channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...utils import UserInputError
from ..losses.box_losses import colour_affinity_loss, outside_loss, projection_loss

# Smallest side of a box, in pixels: a predicted one may have no area.
MIN_SIDE = 4.0
# Cells along a side of the coarsest masks of training.
FEWEST_CELLS = 4


@dataclass(frozen=True)
class Windows:
    """Windows around M boxes of B images, a little wider than the boxes.

    Attributes:
        boxes: (M, 4) xyxy of the windows, in pixels of the image; they may reach beyond it.
        index: (M,) the image of each.
    """

    boxes: Tensor
    index: Tensor

    @classmethod
    def around(cls, boxes: Tensor, index: Tensor, margin: float, jitter: float = 0.0) -> 'Windows':
        """The window of each box.

        Args:
            boxes: (M, 4) xyxy in pixels.
            index: (M,) the image of each.
            margin: Share of the box's side by which the window is wider on each side.
            jitter: Standard deviation of noise on each side, as a share of the box's side: what makes a
                network trained on true boxes bear predicted ones.
        """
        low, high = boxes[:, :2], boxes[:, 2:]
        side = (high - low).clamp(min=MIN_SIDE)
        if jitter:
            low = low + jitter * side * torch.randn_like(side)
            high = high + jitter * side * torch.randn_like(side)
            side = (high - low).clamp(min=MIN_SIDE)
        half = side * (0.5 + margin)
        centre = (low + high) / 2
        return cls(torch.cat([centre - half, centre + half], 1), index)

    def crop(self, maps: Tensor, size: int) -> Tensor:
        """What the windows show of maps (B, C, H, W) that span the images: (M, C, size, size).

        Bilinear at the pixels' centres; where a window is larger than ``size`` pixels, the mean of several
        points. Beyond the image, its nearest pixel.
        """
        height, width = maps.shape[-2:]
        shrunk = (self.boxes[:, 2:] - self.boxes[:, :2]).amax(1) / size
        points = int(shrunk.max().ceil().clamp(1, 4)) if len(shrunk) else 1
        x, y = self.centres(size * points)
        x, y = 2 * x / width - 1, 2 * y / height - 1
        count = size * points
        grid = torch.stack([x[:, None].expand(-1, count, -1), y[:, :, None].expand(-1, -1, count)], -1)
        shown = maps.new_empty(len(grid), maps.shape[1], count, count)
        # image by image: maps[self.index] would be a copy of its whole image for each object
        for image in self.index.unique().tolist():
            rows = self.index == image
            one = grid[rows].view(1, -1, count, 2)
            seen = F.grid_sample(maps[image, None], one, padding_mode='border', align_corners=False)
            shown[rows] = seen.view(len(seen[0]), -1, count, count).transpose(0, 1)
        return F.avg_pool2d(shown, points) if points > 1 else shown

    def crossed(self, boxes: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Which columns and rows of the windows cross boxes (M, 4): (M, size) each, 1.0 or 0.0."""
        x, y = self.centres(size)
        columns = (x > boxes[:, 0, None]) & (x < boxes[:, 2, None])
        rows = (y > boxes[:, 1, None]) & (y < boxes[:, 3, None])
        return columns.float(), rows.float()

    def centres(self, size: int) -> tuple[Tensor, Tensor]:
        """x and y (M, size) of the centres of ``size`` pixels along each side of the windows."""
        share = (torch.arange(size, device=self.boxes.device) + 0.5) / size
        low, high = self.boxes[:, :2, None], self.boxes[:, 2:, None]
        points = low + (high - low) * share
        return points[:, 0], points[:, 1]


def to_image(values: Tensor, window: Tensor, height: int, width: int) -> tuple[Tensor, tuple[slice, slice]]:
    """What a window's pixels are in an image: the way back of :meth:`Windows.crop`.

    Args:
        values: (R, R) of the window's pixels.
        window: (4,) xyxy in pixels of the image; it may reach beyond it.
        height: Of the image.
        width: Of the image.

    Returns:
        (h, w) bilinear at the centres of the image's pixels in and next to the window, 0 outside of it, and
        which rows and columns of the image these are; none where the window is beside the image.
    """
    sizes = window.new_tensor([width, height])
    first = (window[:2].floor() - 1).clamp(min=0).minimum(sizes)
    last = (window[2:].ceil() + 1).clamp(min=0).minimum(sizes).maximum(first)
    left, top, right, bottom = (int(side) for side in torch.cat([first, last]).tolist())
    low, side = window[:2], window[2:] - window[:2]
    x = (torch.arange(left, right, device=window.device) + 0.5 - low[0]) / side[0] * 2 - 1
    y = (torch.arange(top, bottom, device=window.device) + 0.5 - low[1]) / side[1] * 2 - 1
    grid = torch.stack([x.expand(len(y), -1), y[:, None].expand(-1, len(x))], -1)[None]
    pasted = F.grid_sample(values[None, None].float(), grid, align_corners=False)[0, 0]
    return pasted, (slice(top, bottom), slice(left, right))


@MODELS.register_module()
class BoxRefiner(BaseModule):
    """The mask of the object that a box is around, from the image in a window around it.

    An encoder and a decoder of 3x3 convolutions with shortcuts (U-Net, MICCAI 2015) on the window's pixels:
    what a contour of few points or a mask of few cells leaves out, corners, holes and parts, is read from
    the image itself. It needs no expression: which object is meant is the box's matter.

    It learns from masks where there are any, by cross-entropy, and from boxes elsewhere, by BoxInst's losses
    (Tian et al., CVPR 2021): the mask touches the four sides of its box, nothing lies outside, and
    neighbours of one colour are on one side of its edge. Windows are turned and mirrored at random.

    Args:
        size: R. The output's side, too.
        channels: Channels of the finest convolutions; each of the coarser levels has more.
        depth: Levels below the finest, each of half the size.
        margin: Share of the box's side by which a window is wider on each side.
        jitter: Noise on the boxes in training, see :meth:`Windows.around`.
        coarse: Whether a coarse mask comes in as one more channel. In training it is the true mask, made
            coarse; for a third of the objects it is unknown, and always where there is no true mask.
        box_weight: Weight of the losses of objects without a mask; 0 leaves them out.
        affinity: Weight of the colour affinity among them.
        same_colour: The largest distance of two colours that count as one, in units of the preprocessed
            image.
        warmup: Steps in which the weight of the affinity rises from 0: at first one side is as good as the
            other.
        paste: Share of the objects with a mask that stand, in training, in front of what another window shows
            (after Ghiasi et al., Simple Copy-Paste, CVPR 2021).
        score_power: A mask weighs its score to this power; pseudo masks have one below 1. 0: all weigh the
            same.
        init_cfg: mmengine's initialisation config.

    Raises:
        UserInputError: The size cannot be halved ``depth`` times, or is too small for coarse masks.
    """

    def __init__(
        self,
        size: int = 48,
        channels: int = 16,
        depth: int = 3,
        margin: float = 0.15,
        jitter: float = 0.04,
        coarse: bool = False,
        box_weight: float = 0.0,
        affinity: float = 1.0,
        same_colour: float = 0.5,
        warmup: int = 300,
        paste: float = 0.0,
        score_power: float = 0.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        _check_size(size, depth, coarse)
        self.size, self.margin, self.jitter, self.coarse = size, margin, jitter, coarse
        self.box_weight, self.affinity, self.same_colour, self.warmup = (
            box_weight,
            affinity,
            same_colour,
            warmup,
        )
        self.paste, self.score_power = paste, score_power
        widths = [channels * min(2**level, 4) for level in range(depth + 1)]
        inputs = 3 + 2 + coarse
        self.down = nn.ModuleList(
            _convs(before, width, stride=1 if level == 0 else 2)
            for level, (before, width) in enumerate(zip([inputs, *widths[:-1]], widths, strict=True))
        )
        self.up = nn.ModuleList(
            _conv(widths[level + 1] + widths[level], widths[level]) for level in reversed(range(depth))
        )
        self.classifier = nn.Conv2d(widths[0], 1, 1)
        self.register_buffer('position', _position(size, margin), persistent=False)
        self.register_buffer('steps', torch.zeros((), dtype=torch.long))

    def forward(self, images: Tensor, coarse: Tensor | None = None) -> Tensor:
        """The image in the windows -> logits of the masks.

        Args:
            images: (M, 3, R, R) preprocessed.
            coarse: (M, R, R) a coarse mask, 1 inside, -1 outside, 0 unknown; ``None``: unknown everywhere.

        Returns:
            (M, R, R), positive inside.
        """
        x = [images, self.position.expand(len(images), -1, -1, -1)]
        if self.coarse:
            x.append(images.new_zeros(images[:, :1].shape) if coarse is None else coarse[:, None])
        # few channels: a fifth faster on CPUs with a pixel's channels side by side
        x, levels = torch.cat(x, 1).contiguous(memory_format=torch.channels_last), []
        for convs in self.down:
            x = convs(x)
            levels.append(x)
        for conv, level in zip(self.up, reversed(levels[:-1]), strict=True):
            larger = F.interpolate(x, size=level.shape[-2:], mode='bilinear')
            x = conv(torch.cat([larger, level], 1))
        return self.classifier(x)[:, 0]

    def windows(self, boxes: Tensor, index: Tensor) -> Windows:
        """The windows of boxes (M, 4) xyxy in pixels; in training with noise."""
        return Windows.around(boxes, index, self.margin, self.jitter if self.training else 0.0)

    def loss(
        self,
        images: Tensor,
        boxes: Tensor,
        index: Tensor,
        masks: Sequence[Tensor],
        has_mask: Tensor,
        scores: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Losses of M objects.

        Args:
            images: (B, 3, H, W) preprocessed.
            boxes: (M, 4) xyxy in pixels.
            index: (M,) the image of each, ascending.
            masks: Of each image (N, h, w), 1 inside; h and w at most H and W.
            has_mask: (M,) bool; the masks of others do not count.
            scores: (M,) of the masks, from 0 to 1; all 1 if they are left out.

        Returns:
            ``loss_mask`` and, with ``box_weight``, ``loss_projection``, ``loss_outside`` and
            ``loss_affinity``; zeros that keep the graph where nothing is to be learned.
        """
        rows = torch.ones_like(has_mask) if self.box_weight else has_mask
        if not rows.any():  # one row at least, with a weight of zero, so that every parameter has a gradient
            rows = torch.arange(len(rows), device=rows.device) == 0
        boxes, index, has_mask = boxes[rows], index[rows], has_mask[rows]
        windows = self.windows(boxes, index)
        target = _crop_masks(masks, rows, windows, self.size)
        columns, crossed = windows.crossed(boxes, self.size)
        inside = crossed[:, :, None] * columns[:, None]
        turn = _Turn.random()
        shown, target, inside = (turn(x) for x in (windows.crop(images, self.size), target, inside))
        weights = torch.ones_like(boxes[:, 0]) if scores is None else scores[rows] ** self.score_power
        if self.training and self.paste:
            shown = _pasted(shown, target, has_mask & (torch.rand_like(weights) < self.paste))
        logits = self(self.strong_view(shown), self._coarse(target, has_mask) if self.coarse else None)
        each = F.binary_cross_entropy_with_logits(logits, target, reduction='none')
        losses = {'loss_mask': _mean(each * weights[:, None, None], has_mask)}
        if self.box_weight:
            losses |= self.box_losses(logits, shown, inside, ~has_mask)
        if self.training:
            self.steps += 1
        return losses

    def strong_view(self, images: Tensor) -> Tensor:
        """What the network sees in training of windows (M, 3, R, R): here, what is there."""
        return images

    def box_losses(self, logits: Tensor, images: Tensor, inside: Tensor, rows: Tensor) -> dict[str, Tensor]:
        """What teaches objects without a mask.

        Args:
            logits: (M, R, R) of what the network has seen.
            images: (M, 3, R, R) the windows as they are.
            inside: (M, R, R) 1 in the box, else 0.
            rows: (M,) bool, the objects without a mask.
        """
        columns, crossed = inside.amax(1), inside.amax(2)
        warm = min(1.0, float(self.steps) / max(1, self.warmup))
        affinity = logits.sum() * 0
        if rows.any():
            affinity = colour_affinity_loss(logits[rows], images[rows], inside[rows], self.same_colour)
        return {
            'loss_projection': self.box_weight * _mean(projection_loss(logits, columns, crossed), rows),
            'loss_outside': self.box_weight * _mean(outside_loss(logits, inside), rows),
            'loss_affinity': self.box_weight * self.affinity * warm * affinity,
        }

    def _coarse(self, target: Tensor, has_mask: Tensor) -> Tensor:
        """True masks (M, R, R) made as coarse as heads of cells and contours draw them: 1, -1, 0 unknown."""
        cells = int(torch.randint(FEWEST_CELLS, self.size // 3, ()))
        shift = torch.randint(-self.size // 16, self.size // 16 + 1, (2,)).tolist()
        blurred = F.interpolate(
            F.adaptive_avg_pool2d(target[:, None], cells), size=self.size, mode='bilinear'
        )
        limit = 0.5 + 0.3 * (torch.rand(len(target), 1, 1, device=target.device) - 0.5)
        coarse = (torch.roll(blurred[:, 0], shift, (1, 2)) > limit).to(target) * 2 - 1
        known = has_mask & (torch.rand(len(target), device=target.device) > 1 / 3)
        return coarse * known[:, None, None]


def _check_size(size: int, depth: int, coarse: bool) -> None:
    """See that a window can be halved ``depth`` times, and be made of 4 to a third as many cells."""
    least = 3 * (FEWEST_CELLS + 1) if coarse else 1
    if size < least or depth < 0 or size % 2**depth:
        more = f' of at least {least}, for coarse=True and' if coarse else ', for'
        expected = f'a multiple of {2 ** max(depth, 0)}{more} depth={depth}'
        raise UserInputError.of('BoxRefiner', f'size={size}', expected, 'correct the config')


class _Turn:
    """One of the eight ways to turn and mirror a square."""

    def __init__(self, quarters: int, mirrored: bool) -> None:
        self.quarters, self.mirrored = quarters, mirrored

    @classmethod
    def random(cls) -> '_Turn':
        return cls(int(torch.randint(4, ())), bool(torch.randint(2, ())))

    def __call__(self, x: Tensor) -> Tensor:
        x = x.rot90(self.quarters, (-2, -1))
        return x.flip(-1) if self.mirrored else x


def _mean(losses: Tensor, rows: Tensor) -> Tensor:
    """Mean of the losses (M, ...) of some rows (M,) bool; a zero that keeps the graph if there are none."""
    return losses[rows].mean() if rows.any() else losses.sum() * 0


def _pasted(shown: Tensor, masks: Tensor, rows: Tensor) -> Tensor:
    """Some objects in front of what other windows (M, 3, R, R) show beside their objects.

    The other window is moved by half its side, round and round: what was in its middle is in the corners.

    Args:
        shown: The windows.
        masks: (M, R, R) shares of the pixels that are the object's.
        rows: (M,) bool, which objects.
    """
    half = shown.shape[-1] // 2
    others = torch.randperm(len(shown), device=shown.device)
    background = shown[others].roll((half, half), (-2, -1))
    pasted = background.lerp(shown, masks[:, None])
    return torch.where(rows[:, None, None, None], pasted, shown)


def _crop_masks(masks: Sequence[Tensor], rows: Tensor, windows: Windows, size: int) -> Tensor:
    """Shares of the objects in the windows' pixels (M, R, R), of the ``rows`` of all images' masks."""
    kept, first = [], 0
    for own in masks:
        kept.append(own[rows[first : first + len(own)]])
        first += len(own)
    done, crops = 0, []
    for own in kept:
        part = slice(done, done + len(own))
        done = part.stop
        each = Windows(windows.boxes[part], torch.arange(len(own), device=own.device))
        crops.append(each.crop(own[:, None].to(windows.boxes.dtype), size)[:, 0])
    return torch.cat(crops)


def _position(size: int, margin: float) -> Tensor:
    """Of a window's pixels (2, R, R): whether in the box, and how far from its middle (1 at its sides)."""
    along = ((torch.arange(size) + 0.5) / size * 2 - 1) * (1 + 2 * margin)
    y, x = torch.meshgrid(along, along, indexing='ij')
    distance = torch.maximum(x.abs(), y.abs())
    return torch.stack([(distance <= 1).float(), distance])


def _conv(in_channels: int, channels: int, stride: int = 1) -> ConvModule:
    return ConvModule(in_channels, channels, 3, stride=stride, padding=1, norm_cfg=dict(type='BN'))


def _convs(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_conv(in_channels, channels, stride), _conv(channels, channels))
