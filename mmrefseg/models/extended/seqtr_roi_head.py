"""A point-sequence head that looks closer at the box before it writes the contour.

Letters: M expressions, K of them with a mask, P vertices, C channels, G cells along a box's side.
"""

import torch
from mmdet.registry import MODELS
from torch import Tensor

from ..heads.seqtr_head import HeadPrediction, SeqTRHead
from ..heads.sequence_generator import GeneratedSequence, TokenChoice, generate, sequence_score
from ..layers.memory import Memory
from .box_frame import BoxFrame
from .cell_contours import contours_of_cells
from .roi_memory import RoIMemory

BOX_PLACES = 5  # four coordinates and the end


@MODELS.register_module()
class SeqTRRoIHead(SeqTRHead):
    """SeqTR's multi-task head whose contours are written in the frame of their box.

    The decoder first writes the box from the memory of the picture, then the contour from a memory
    of that box (:class:`RoIMemory`), in that box's own bins: a shape is the same sequence wherever
    it lies, and the decoder need not tell from cells as large as half an object where its edge runs.
    The step from box to mask is Mask R-CNN's (He et al., ICCV 2017). Not in SeqTR or Partial-RES,
    which have a pretrained backbone and many more masks. It starts from the weights of a
    :class:`SeqTRHead` that writes boxes.

    Args:
        map_channels: Channels of the backbone's two finest maps.
        grid: G.
        roi_layers: Encoder layers over the cells of a box.
        margin: Share of the box's side by which the frame is wider on each side.
        jitter: Noise on the true boxes in training, see :meth:`BoxFrame.around`.
        jitters: Differently jittered boxes of each mask in a step: more contours from few masks, at the
            price of this head alone.
        mask_weight: Weight of the contour's loss, beside the box's 1.
        mask_cell_loss: Config of :class:`MaskCellLoss`, if masks shall teach the RoI features directly.
        contours_from: What predicts contours: ``'decoder'``, or ``'cells'``, whose dense mask
            (:class:`MaskCellLoss`) learns its shapes from fewer masks: for pseudo points.
        **kwargs: Of :class:`SeqTRHead`.
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
        mask_cell_loss: dict | None = None,
        contours_from: str = 'decoder',
        num_heads: int = 8,
        feedforward_channels: int = 1024,
        **kwargs,
    ) -> None:
        super().__init__(*args, num_heads=num_heads, feedforward_channels=feedforward_channels, **kwargs)
        if not self.multi_task:
            raise ValueError('SeqTRRoIHead needs with_box=True and with_mask=True')
        c = self.token_embedding.embedding_dim
        self.roi_memory = RoIMemory(map_channels, c, num_heads, feedforward_channels, grid, roi_layers)
        self.margin, self.jitter, self.jitters, self.mask_weight = margin, jitter, jitters, mask_weight
        self.mask_cell_loss = None
        if mask_cell_loss is not None:
            self.mask_cell_loss = MODELS.build({**mask_cell_loss, 'embed_dims': c})
        if contours_from not in ('decoder', 'cells') or (contours_from == 'cells' and not mask_cell_loss):
            raise ValueError(
                f"contours_from: found {contours_from!r}, expected 'decoder', or 'cells' and a mask_cell_loss"
            )
        self.contours_from = contours_from

    def look_closer(self, memory: Memory, boxes: Tensor, jitter: float = 0.0) -> tuple[Memory, BoxFrame]:
        """The memory of boxes (M, 4), given as tokens, and their frames."""
        frame = BoxFrame.around(boxes, self.codec.num_bins, self.margin, jitter)
        grid = self.roi_memory.grid
        padding = torch.zeros(1, grid, grid, dtype=torch.bool, device=boxes.device)
        position = self.image_position(padding)[0].flatten(1).transpose(0, 1)
        return self.roi_memory(memory, frame, position), frame

    def loss(
        self, memory: Memory, box_tokens: Tensor, mask_tokens: Tensor, has_mask: Tensor
    ) -> dict[str, Tensor]:
        """Token losses.

        Args:
            memory: The encoder output of M expressions.
            box_tokens: (M, 4) targets.
            mask_tokens: (M, 2P) targets.
            has_mask: (M,) bool; the mask tokens of others do not count.

        Returns:
            ``loss_box``, ``loss_mask``, ``loss_cell`` and ``loss_mask_cell`` if there are such, and
            ``acc_token``, the percentage of the contours' tokens predicted right under teacher forcing.
        """
        inputs, targets, weights = self.task_sequence('box', box_tokens, memory)
        loss_box, _ = self.sequence_loss(self.decode(inputs, memory), targets, weights)
        # One row at least, with a weight of zero, so that every parameter has a gradient.
        rows = has_mask.nonzero()[:, 0] if has_mask.any() else has_mask.new_zeros(1, dtype=torch.long)
        rows = rows.repeat(self.jitters)
        masks = self.mask_losses(memory.rows(rows), box_tokens[rows], mask_tokens[rows], has_mask[rows])
        return {'loss_box': loss_box} | masks | self.cell_losses(memory, box_tokens)

    def mask_losses(self, memory: Memory, boxes: Tensor, tokens: Tensor, counts: Tensor) -> dict[str, Tensor]:
        """Losses of K contours: tokens (K, 2P) in the picture's bins, ``counts`` (K,) bool."""
        closer, frame = self.look_closer(memory, boxes, self.jitter)
        written = frame.to_box(tokens)
        inputs, targets, weights = self.task_sequence('mask', written, closer)
        logits = self.predictor(self.decoder(inputs, closer, BOX_PLACES))
        loss, accuracy = self.sequence_loss(logits, targets, weights * counts[:, None])
        losses = {'loss_mask': self.mask_weight * loss, 'acc_token': accuracy}
        if self.mask_cell_loss is not None:
            vertices = self.vertices_in_cells(written)
            losses['loss_mask_cell'] = self.mask_cell_loss(closer.image_tokens, vertices) * counts.any()
        return losses

    def vertices_in_cells(self, written: Tensor) -> list[Tensor]:
        """Contours in the frame's bins (K, 2P) -> their vertices (at most P, 2) in cells of the grid."""
        scale = self.roi_memory.grid / self.codec.num_bins
        pairs = ((written + 0.5) * scale).unflatten(1, (-1, 2))
        lengths = (written < self.codec.num_bins).sum(1) // 2
        return [row[:count] for row, count in zip(pairs, lengths.tolist(), strict=True)]

    def predict(
        self, memory: Memory, bins: Tensor | None = None, keep_logits: bool = False
    ) -> HeadPrediction:
        """Decode every expression greedily: arguments as in :meth:`SeqTRHead.predict`.

        Contours from cells have no logits to keep.
        """
        embed = self._embedder(memory)
        boxes = self._generate_boxes(self.decoder.start(memory, self.predictor), embed, bins, keep_logits)
        closer, frame = self.look_closer(memory, boxes.tokens)
        inside = None if bins is None else frame.to_box(bins)
        if self.contours_from == 'cells':
            masks = self._read_cells(closer, inside)
        else:
            masks = self._generate_in_frame(closer, inside, keep_logits)
        masks.tokens = frame.to_picture(masks.tokens)
        return HeadPrediction(boxes, masks, sequence_score(masks, self.codec.end_token))

    def _read_cells(self, closer: Memory, bins: Tensor | None) -> GeneratedSequence:
        """Contours in the bins of their frames, within ``bins`` (M, 4) if they are given."""
        masks = contours_of_cells(self.mask_cell_loss.dense_logits(closer.image_tokens), self.codec)
        if bins is not None:
            axis = torch.arange(masks.tokens.shape[1], device=bins.device) % 2
            kept = masks.tokens.clamp(bins[:, axis], bins[:, axis + 2])
            masks.tokens = torch.where(masks.tokens < self.codec.num_bins, kept, masks.tokens)
        return masks

    def _generate_in_frame(self, closer: Memory, bins: Tensor | None, keep_logits: bool) -> GeneratedSequence:
        """Contours in the bins of their frames."""
        choice = TokenChoice(self.codec.end_token, first_end=6, bins=bins)
        state = self.decoder.start(closer, self.predictor, BOX_PLACES)
        start = self._start('mask', closer.tokens.shape[0])
        steps = self.num_mask_tokens + 1
        return generate(self._step, self._embedder(closer), start, state, steps, choice, keep_logits)
