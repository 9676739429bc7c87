"""BoxFrame: the box first, then its contour in the frame of the box, from features of that box.

Letters: M expressions, K of them with a mask, B images, L tokens of a sequence, P vertices, C channels,
G cells along each side of a box (a region of interest, RoI), S parts of a cell along each side.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn

from ...codecs.contour_codec import ContourCodec
from ...utils import UserInputError
from ..heads.seqtr_head import HeadPrediction, ImageSizes, SeqTRHead
from ..heads.sequence_generator import GeneratedSequence, TokenChoice, generate, sequence_score
from ..layers.memory import Memory
from ..layers.transformer import EncoderLayer

# Smallest side of a frame, as a share of the image's: a predicted box may have no area.
MIN_SIDE = 1 / 16
# Of the decoder's positions, the first ones are the box's: four coordinates and the end.
BOX_POSITIONS = 5


@dataclass(frozen=True)
class BoxFrame:
    """Coordinate bins over M boxes instead of over the image: a shape has the same wherever it lies.

    Attributes:
        low: (M, 2) x and y of the frame's first corner, in bins of the image.
        size: (M, 2) width and height, in bins of the image.
        num_bins: Bins of either frame; larger tokens (the end) stay what they are.
    """

    low: Tensor
    size: Tensor
    num_bins: int

    @classmethod
    def around(cls, boxes: Tensor, num_bins: int, margin: float = 0.0, jitter: float = 0.0) -> 'BoxFrame':
        """The frame of each box.

        Args:
            boxes: (M, 4) tokens x1, y1, x2, y2, in any order of the corners.
            num_bins: Bins of the image's sides, and of the frame's.
            margin: Share of the box's side by which the frame is wider on each side: a predicted box
                may be too small for its object.
            jitter: Standard deviation of noise on each side, as a share of the box's side: what makes
                a network trained on true boxes bear predicted ones.
        """
        corners = (boxes + 0.5).unflatten(1, (2, 2))
        corners = cls._ordered(corners)
        if jitter:
            side = (corners[:, 1] - corners[:, 0]).clamp(min=MIN_SIDE * num_bins)
            corners = cls._ordered(corners + jitter * side[:, None] * torch.randn_like(corners))
        side = (corners[:, 1] - corners[:, 0]).clamp(min=MIN_SIDE * num_bins)
        size = side * (1 + 2 * margin)
        return cls(corners.mean(1) - size / 2, size, num_bins)

    @staticmethod
    def _ordered(corners: Tensor) -> Tensor:
        return torch.stack([corners.amin(1), corners.amax(1)], 1)

    def to_box(self, tokens: Tensor) -> Tensor:
        """Bins of the image -> bins of the frame; what lies outside moves to the edge.

        Args:
            tokens: (M, L) x and y in turn.

        Returns:
            (M, L).
        """
        low, size = self._axes(tokens.shape[1])
        return self._keep_end(tokens, (tokens + 0.5 - low) / size * self.num_bins)

    def to_image(self, tokens: Tensor) -> Tensor:
        """Bins of the frame -> bins of the image, (M, L) both; outside of the image moves to its edge."""
        low, size = self._axes(tokens.shape[1])
        return self._keep_end(tokens, (tokens + 0.5) / self.num_bins * size + low)

    def centers(self, count: int) -> tuple[Tensor, Tensor]:
        """Centres of a grid of ``count`` x ``count`` cells: x and y (M, count), in bins of the image."""
        share = (torch.arange(count, device=self.low.device, dtype=self.low.dtype) + 0.5) / count
        points = self.low[..., None] + self.size[..., None] * share
        return points[:, 0], points[:, 1]

    def _axes(self, length: int) -> tuple[Tensor, Tensor]:
        """Low edge and size of the frame for the x, y, x, ... of a sequence: (M, L) each."""
        axis = torch.arange(length, device=self.low.device) % 2
        return self.low[:, axis], self.size[:, axis]

    def _keep_end(self, tokens: Tensor, moved: Tensor) -> Tensor:
        bins = moved.floor().long().clamp(0, self.num_bins - 1)
        return torch.where(tokens < self.num_bins, bins, tokens)


@dataclass
class ImageMemory(Memory):
    """The encoder's output together with the backbone's maps.

    Attributes:
        maps: Maps (B, C_i, H_i, W_i) of the B images from the backbone, finest first.
        image_index: (M,) the image of each expression.
    """

    maps: tuple[Tensor, ...] = ()
    image_index: Tensor | None = None

    def rows(self, index: Tensor) -> 'ImageMemory':
        """The memory of some of the expressions: ``index`` (K,), or a mask (M,)."""
        parts = (part[index] for part in (self.tokens, self.position, self.padding))
        valid, extent, image_index = self.valid[index], self.extent[index], self.image_index[index]
        return ImageMemory(*parts, self.grid, valid, extent, self.maps, image_index)


class RoIMemory(nn.Module):
    """Sample the backbone's finer maps and the encoder's output on a grid over each box.

    The RoI features of Mask R-CNN (He et al., ICCV 2017), bilinear at the cells' centres, as the
    memory of a point-sequence decoder. A cell of the finest map's grid is half a cell of the memory
    wide, and its four values are stacked, so that where in a cell an edge runs is kept. The
    encoder's output brings in what the expression asks for, and so does the language token.

    Args:
        map_channels: Channels of the backbone's two finest maps.
        embed_dims: C.
        num_heads: Attention heads of the encoder layers.
        hidden_dims: Width of their feed-forward blocks.
        grid: G.
        num_layers: Encoder layers over the cells of a box.
    """

    def __init__(
        self,
        map_channels: tuple[int, int],
        embed_dims: int,
        num_heads: int,
        hidden_dims: int,
        grid: int = 8,
        num_layers: int = 1,
    ) -> None:
        super().__init__()
        fine, middle = map_channels
        self.grid = grid
        self.fine = nn.Linear(4 * fine, embed_dims)
        self.middle = nn.Linear(middle, embed_dims)
        self.encoded = nn.Linear(embed_dims, embed_dims)
        self.norm = nn.LayerNorm(embed_dims)
        self.layers = nn.ModuleList(
            EncoderLayer(embed_dims, num_heads, hidden_dims, dropout=0.0) for _ in range(num_layers)
        )

    def forward(self, memory: ImageMemory, frame: BoxFrame, position: Tensor) -> Memory:
        """Memory of the image -> memory of the boxes.

        Args:
            memory: Of M expressions.
            frame: The boxes' frames.
            position: (G * G, C) position code of the cells.

        Returns:
            Memory of a G x G grid whose bins are the frame's.
        """
        g = self.grid
        fine, middle = (
            self._sample(level[memory.image_index], memory, frame, size)
            for level, size in zip(memory.maps[:2], (2 * g, g), strict=True)
        )
        encoded = self._sample(memory.image_tokens.permute(0, 3, 1, 2), memory, frame, g)
        parts = (self.fine(_cells(F.pixel_unshuffle(fine, 2))), self.middle(_cells(middle)))
        x = self.norm(sum(parts) + self.encoded(_cells(encoded))) + position
        position = position.expand(len(x), -1, -1)
        language = memory.tokens[:, memory.grid[0] * memory.grid[1] :]  # one token, or none
        position = torch.cat([position, torch.zeros_like(language)], 1)
        x = torch.cat([x, language], 1)
        for layer in self.layers:
            x = layer(x, position, None)
        full = torch.full_like(memory.extent, g)
        padding = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device)
        return Memory(x, position, padding, (g, g), full, full)

    @staticmethod
    def _sample(maps: Tensor, memory: Memory, frame: BoxFrame, count: int) -> Tensor:
        """(M, C, H, W) at ``count`` x ``count`` points over each frame: (M, C, count, count)."""
        h, w = memory.grid
        # bins span the image's own padded size, maps that of the batch
        share = memory.extent / memory.extent.new_tensor([w, h]) / frame.num_bins
        x, y = (2 * axis * share[:, i, None] - 1 for i, axis in enumerate(frame.centers(count)))
        points = torch.stack([x[:, None].expand(-1, count, -1), y[:, :, None].expand(-1, -1, count)], -1)
        return F.grid_sample(maps, points.to(maps.dtype), padding_mode='border', align_corners=False)


def _cells(maps: Tensor) -> Tensor:
    """(M, C, H, W) -> (M, H * W, C)."""
    return maps.flatten(2).transpose(1, 2)


def contours_of_cells(logits: Tensor, codec: ContourCodec) -> GeneratedSequence:
    """Tokens of the contours of dense masks, in the frames that the masks fill: a readout beside the decoder.

    The mask is enlarged to one pixel a bin, cut at a logit of 0, and encoded as a true mask is.

    Args:
        logits: (M, GS, GS), positive inside.
        codec: How a mask becomes a contour.

    Returns:
        Tokens (M, 2P + 1), nothing but ends where nothing is inside. Every log probability is the log of
        the mean probability with which the parts are on their side, so that this is the sequence's score.
    """
    width, height = codec.padded_size((codec.num_bins, codec.num_bins))
    enlarged = F.interpolate(logits[:, None].float(), (height, width), mode='bilinear')[:, 0]
    inside = (enlarged > 0).cpu().numpy()
    rows = [torch.from_numpy(codec.encode_mask(mask, mask.shape)) for mask in inside]
    tokens = F.pad(torch.stack(rows), (0, 1), value=codec.end_token).to(logits.device)
    certain = logits.float().abs().sigmoid().mean((1, 2)).log()
    return GeneratedSequence(tokens, certain[:, None].expand(tokens.shape))


@MODELS.register_module()
class BoxFrameHead(SeqTRHead):
    """SeqTR's multi-task head whose contours are decoded in the frame of their box.

    The decoder first decodes the box from the memory of the image, then the contour from a memory
    of that box (:class:`RoIMemory`), in that box's own bins: a shape is the same sequence wherever
    it lies, and the decoder need not tell from cells as large as half an object where its edge runs.
    The step from box to mask is Mask R-CNN's (He et al., ICCV 2017). Not in SeqTR or Partial-RES,
    which have a pretrained backbone and many more masks. It starts from the weights of a
    :class:`SeqTRHead` that decodes boxes.

    Args:
        map_channels: Channels of the backbone's two finest maps.
        grid: G.
        roi_layers: Encoder layers over the cells of a box.
        margin: Share of the box's side by which the frame is wider on each side.
        jitter: Noise on the true boxes in training, see :meth:`BoxFrame.around`.
        jitters: Differently jittered boxes of each mask in a step: more contours from few masks, at the
            price of this head alone.
        mask_weight: Weight of the contour's loss, beside the box's 1; 0 leaves the decoder without contours.
        mask_cell_head: Config of :class:`MaskCellHead`, if masks shall teach the RoI features directly.
        contours_from: What predicts contours: ``'decoder'``, or ``'cells'``, whose dense mask
            (:class:`MaskCellHead`) learns its shapes from fewer masks: for pseudo points.
        **kwargs: Of :class:`SeqTRHead`.

    Raises:
        UserInputError: One of the two tasks is off, or contours are asked from cells that are not there.
    """

    def __init__(
        self,
        *args,
        map_channels: tuple[int, int],
        grid: int = 8,
        roi_layers: int = 1,
        margin: float = 0.15,
        jitter: float = 0.08,
        jitters: int = 1,
        mask_weight: float = 1.0,
        mask_cell_head: dict | None = None,
        contours_from: str = 'decoder',
        num_heads: int = 8,
        feedforward_channels: int = 1024,
        **kwargs,
    ) -> None:
        super().__init__(*args, num_heads=num_heads, feedforward_channels=feedforward_channels, **kwargs)
        if not self.multi_task:
            tasks = f'with_box={self.with_box} and with_mask={self.with_mask}'
            raise UserInputError.of('BoxFrameHead', tasks, 'both True', 'correct the config')
        if contours_from not in ('decoder', 'cells') or (contours_from == 'cells' and not mask_cell_head):
            expected = "'decoder', or 'cells' and a mask_cell_head"
            raise UserInputError.of(
                'BoxFrameHead contours_from', repr(contours_from), expected, 'correct the config'
            )
        c = self.token_embedding.embedding_dim
        self.roi_memory = RoIMemory(map_channels, c, num_heads, feedforward_channels, grid, roi_layers)
        self.margin, self.jitter, self.jitters, self.mask_weight = margin, jitter, jitters, mask_weight
        self.mask_cell_head = None
        if mask_cell_head is not None:
            self.mask_cell_head = MODELS.build({**mask_cell_head, 'in_channels': c})
        self.contours_from = contours_from

    def encode(
        self,
        fused: Tensor,
        language: Tensor,
        sizes: ImageSizes,
        maps: tuple[Tensor, ...],
        image_index: Tensor,
    ) -> ImageMemory:
        """As :meth:`SeqTRHead.encode`, with the backbone's maps at hand for the boxes."""
        memory = super().encode(fused, language, sizes)
        parts = (memory.tokens, memory.position, memory.padding, memory.grid, memory.valid, memory.extent)
        return ImageMemory(*parts, maps, image_index)

    def roi_features(
        self, memory: ImageMemory, boxes: Tensor, jitter: float = 0.0
    ) -> tuple[Memory, BoxFrame]:
        """The memory of boxes (M, 4), given as tokens, and their frames."""
        frame = BoxFrame.around(boxes, self.codec.num_bins, self.margin, jitter)
        grid = self.roi_memory.grid
        padding = torch.zeros(1, grid, grid, dtype=torch.bool, device=boxes.device)
        position = self.image_position(padding)[0].flatten(1).transpose(0, 1)
        return self.roi_memory(memory, frame, position), frame

    # ----------------------------------------------------------------- training

    def loss(
        self, memory: ImageMemory, box_tokens: Tensor, mask_tokens: Tensor, has_mask: Tensor
    ) -> dict[str, Tensor]:
        """Token losses.

        Args:
            memory: The encoder output of M expressions.
            box_tokens: (M, 4) targets.
            mask_tokens: (M, 2P) targets.
            has_mask: (M,) bool; the mask tokens of others do not count.

        Returns:
            ``loss_box``, ``loss_mask``, ``loss_mask_cell`` if there are such cells, and ``acc_token``, the
            percentage of the contours' tokens predicted right under teacher forcing.
        """
        inputs, targets, weights = self.task_sequence('box', box_tokens, memory)
        loss_box, _ = self.sequence_loss(self.decode(inputs, memory), targets, weights)
        # One row at least, with a weight of zero, so that every parameter has a gradient.
        rows = has_mask.nonzero()[:, 0] if has_mask.any() else has_mask.new_zeros(1, dtype=torch.long)
        rows = rows.repeat(self.jitters)
        masks = self.mask_losses(memory.rows(rows), box_tokens[rows], mask_tokens[rows], has_mask[rows])
        return {'loss_box': loss_box} | masks

    def mask_losses(
        self, memory: ImageMemory, boxes: Tensor, tokens: Tensor, counts: Tensor
    ) -> dict[str, Tensor]:
        """Losses of K contours: tokens (K, 2P) in the image's bins, ``counts`` (K,) bool."""
        roi, frame = self.roi_features(memory, boxes, self.jitter)
        contours = frame.to_box(tokens)
        losses = {}
        if self.mask_weight:
            inputs, targets, weights = self.task_sequence('mask', contours, roi)
            logits = self.predictor(self.decoder(inputs, roi, BOX_POSITIONS))
            loss, accuracy = self.sequence_loss(logits, targets, weights * counts[:, None])
            losses |= {'loss_mask': self.mask_weight * loss, 'acc_token': accuracy}
        if self.mask_cell_head is not None:
            vertices = self.vertices_in_cells(contours)
            losses['loss_mask_cell'] = self.mask_cell_head.loss(roi.image_tokens, vertices) * counts.any()
        return losses

    def vertices_in_cells(self, contours: Tensor) -> list[Tensor]:
        """Contours in the frame's bins (K, 2P) -> their vertices (at most P, 2) in cells of the grid."""
        scale = self.roi_memory.grid / self.codec.num_bins
        pairs = ((contours + 0.5) * scale).unflatten(1, (-1, 2))
        lengths = (contours < self.codec.num_bins).sum(1) // 2
        return [row[:count] for row, count in zip(pairs, lengths.tolist(), strict=True)]

    # --------------------------------------------------------------- prediction

    @torch.no_grad()
    def predict(
        self, memory: ImageMemory, bins: Tensor | None = None, keep_logits: bool = False
    ) -> HeadPrediction:
        """Decode every expression greedily: arguments as in :meth:`SeqTRHead.predict`.

        Contours from cells have no logits to keep.
        """
        boxes = self._generate_boxes(self.start(memory), bins, keep_logits)
        roi, frame = self.roi_features(memory, boxes.tokens)
        inside = None if bins is None else frame.to_box(bins)
        if self.contours_from == 'cells':
            masks = self._contours_from_cells(roi, inside)
        else:
            masks = self._generate_in_frame(roi, inside, keep_logits)
        masks.tokens = frame.to_image(masks.tokens)
        return HeadPrediction(boxes, masks, sequence_score(masks, self.codec.end_token))

    def _contours_from_cells(self, roi: Memory, bins: Tensor | None) -> GeneratedSequence:
        """Contours in the bins of their frames, within ``bins`` (M, 4) if they are given."""
        masks = contours_of_cells(self.mask_cell_head(roi.image_tokens), self.codec)
        if bins is not None:
            axis = torch.arange(masks.tokens.shape[1], device=bins.device) % 2
            kept = masks.tokens.clamp(bins[:, axis], bins[:, axis + 2])
            masks.tokens = torch.where(masks.tokens < self.codec.num_bins, kept, masks.tokens)
        return masks

    def _generate_in_frame(self, roi: Memory, bins: Tensor | None, keep_logits: bool) -> GeneratedSequence:
        """Contours in the bins of their frames."""
        choice = TokenChoice(self.codec.end_token, first_end=6, bins=bins)
        start = self._start('mask', roi.tokens.shape[0])
        steps = self.num_mask_tokens + 1
        return generate(self.start(roi, BOX_POSITIONS), start, steps, choice, keep_logits)
