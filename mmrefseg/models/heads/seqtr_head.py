"""The point-sequence head of SeqTR and Partial-RES.

A box is a sequence of 4 coordinate tokens, a mask one of 2P (its contour's vertices) and
an end token; one decoder writes both. SeqTR (Zhu et al., ECCV 2022); language token, task
prompt, co-content teacher forcing and point modulation: Partial-RES (Qu et al., CVPR 2023).
Letters: B images, M expressions, L sequence positions, V token classes, C channels, H W grid.
"""

from dataclasses import dataclass

import torch
from mmcv.cnn import ConvModule
from mmdet.models.layers import SinePositionalEncoding
from mmdet.registry import MODELS, TASK_UTILS
from mmengine.model import BaseModule
from torch import Tensor, nn

from ..layers.memory import Memory, grid_padding
from ..layers.partial_res import CoContent
from ..layers.transformer import Decoder, Encoder
from .sequence_generator import Decoding, GeneratedSequence, TokenChoice, generate, sequence_score


@dataclass
class ImageSizes:
    """Sizes of the M images of a batch, one row per expression, in pixels.

    Attributes:
        image: (M, 2) height and width before padding.
        padded: (M, 2) height and width that coordinate bins span (the image's own
            size, rounded up to the codec's divisor).
        batch: (height, width) of the padded batch.
    """

    image: Tensor
    padded: Tensor
    batch: tuple[int, int]


@dataclass
class HeadPrediction:
    """Decoded tokens and their scores; a task that the head lacks is ``None``.

    Attributes:
        boxes: 4 tokens per expression (x1, y1, x2, y2).
        masks: 2P + 1 tokens per expression (x, y interleaved, then the end).
        scores: (M,) sequence probability of the mask, or of the box without one.
    """

    boxes: GeneratedSequence | None
    masks: GeneratedSequence | None
    scores: Tensor


@MODELS.register_module()
class SeqTRHead(BaseModule):
    """Encoder, decoder and token predictor, with the losses.

    Args:
        codec: The codec (config) that makes and reads the tokens.
        in_channels: Channels of the fused map and of the language vector.
        embed_dims: C.
        num_heads: Attention heads.
        feedforward_channels: Width of the feed-forward blocks.
        num_encoder_layers: Encoder layers.
        num_decoder_layers: Decoder layers.
        dropout: Dropout probability of encoder and decoder.
        with_box: Write boxes (REC).
        with_mask: Write masks (RES). Both: multi-task, the box first.
        language_token: The language vector is one more encoder token.
        task_prompt: A learned vector starts the mask sequence (else zeros).
        co_content: Co-content teacher forcing, see :class:`CoContent`.
        point_modulation: See :class:`PointModulation`.
        position_in_content: Add the position code to the encoder's input too, not only
            to queries and keys, so that a network trained from scratch need not
            learn position from the padding. The original does not.
        first_coordinate_weight: Loss weight of a box's first coordinate (SeqTR: 1.5).
        end_weight: Loss weight of the end token in masks (the original: 0.1).
        loss: Config of the token loss; SeqTR's label smoothing of 0.1 if it is left out.
        legacy: Reproduce the original's conventions: co-content features (see
            :class:`CoContent`), and an end token that may come before three points.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(
        self,
        codec: dict,
        in_channels: int = 1024,
        embed_dims: int = 256,
        num_heads: int = 8,
        feedforward_channels: int = 1024,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 3,
        dropout: float = 0.1,
        with_box: bool = False,
        with_mask: bool = True,
        language_token: bool = False,
        task_prompt: bool = False,
        co_content: bool = False,
        point_modulation: bool = False,
        position_in_content: bool = False,
        first_coordinate_weight: float = 1.5,
        end_weight: float = 0.1,
        loss: dict | None = None,
        legacy: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if not (with_box or with_mask):
            raise ValueError('SeqTRHead needs with_box=True, with_mask=True or both')
        self.codec = TASK_UTILS.build(codec)
        self.with_box, self.with_mask, self.legacy = with_box, with_mask, legacy
        self.multi_task = with_box and with_mask
        self.language_token = language_token
        self.position_in_content = position_in_content
        self.first_coordinate_weight = first_coordinate_weight
        self.end_weight = end_weight
        self.loss_token = MODELS.build(loss or dict(type='SequenceLabelSmoothingLoss', smoothing=0.1))
        self.num_mask_tokens = 2 * self.codec.num_points
        self._init_layers(
            in_channels,
            embed_dims,
            num_encoder_layers,
            num_decoder_layers,
            dict(
                embed_dims=embed_dims, num_heads=num_heads, hidden_dims=feedforward_channels, dropout=dropout
            ),
            point_modulation,
        )
        if self.multi_task:
            self.task_embedding = nn.Embedding(2, embed_dims)
        self.task_prompt = nn.Embedding(1, embed_dims) if task_prompt else None
        self.co_content = CoContent(self.codec.num_bins, legacy) if co_content else None

    def _init_layers(
        self, in_channels: int, c: int, encoder_layers: int, decoder_layers: int, layer: dict, points: bool
    ) -> None:
        positions = 5 * self.with_box + (self.num_mask_tokens + 1) * self.with_mask
        vocab_size = self.codec.vocab_size
        self.input_proj = ConvModule(
            in_channels, c, 1, bias=True, act_cfg=None, norm_cfg=dict(type='GN', num_groups=32)
        )
        self.image_position = SinePositionalEncoding(c // 2, normalize=True)
        self.encoder = Encoder(encoder_layers, **layer)
        self.decoder = Decoder(decoder_layers, **layer, max_length=positions, point_modulation=points)
        self.token_embedding = nn.Embedding(vocab_size, c)
        self.predictor = nn.Sequential(
            nn.Linear(c, c), nn.ReLU(), nn.Linear(c, c), nn.ReLU(), nn.Linear(c, vocab_size)
        )
        for module in (self.encoder, self.decoder.layers):
            for parameter in module.parameters():
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)

    # ------------------------------------------------------------------ encoder

    def encode(
        self,
        fused: Tensor,
        language: Tensor,
        sizes: ImageSizes,
        maps: tuple[Tensor, ...] = (),
        image_index: Tensor | None = None,
    ) -> Memory:
        """Fused maps (M, C_in, H, W) and language vectors (M, C_in) -> memory.

        ``maps`` (the backbone's) and ``image_index`` (M,), the image of each expression, are for heads that
        read the finer maps as well; this one does not.
        """
        m, _, h, w = fused.shape
        stride = (sizes.batch[0] / h, sizes.batch[1] / w)
        padding, valid = grid_padding((h, w), sizes.image, stride)
        position = self.image_position(padding).flatten(2).transpose(1, 2)
        padding = padding.flatten(1)
        tokens = fused.flatten(2)
        if self.language_token:
            tokens = torch.cat([tokens, language[..., None]], -1)
            position = torch.cat([position, position.new_zeros(m, 1, position.shape[-1])], 1)
            padding = torch.cat([padding, padding.new_zeros(m, 1)], 1)
        tokens = self.input_proj(tokens[..., None])[..., 0].transpose(1, 2)
        if self.position_in_content:
            tokens = tokens + position
        tokens = self.encoder(tokens, position, padding)
        extent = (sizes.padded / sizes.padded.new_tensor(stride)).flip(-1)
        return Memory(tokens, position, padding, (h, w), valid, extent)

    # ----------------------------------------------------------------- training

    def _embed(self, tokens: Tensor, memory: Memory) -> Tensor:
        """Teacher-forced tokens (M, L) of one task -> (M, L, C)."""
        x = self.token_embedding(tokens)
        return x if self.co_content is None else x + self.co_content(tokens, memory)

    def _start(self, task: str, m: int) -> Tensor:
        """What comes before the first token of a task: (M, C)."""
        if self.multi_task:
            return self.task_embedding.weight[0 if task == 'box' else 1].expand(m, -1)
        if task == 'mask' and self.task_prompt is not None:
            return self.task_prompt.weight.expand(m, -1)
        return self.token_embedding.weight.new_zeros(m, self.token_embedding.embedding_dim)

    def task_sequence(self, task: str, tokens: Tensor, memory: Memory) -> tuple[Tensor, Tensor, Tensor]:
        """Decoder input (M, L, C), targets (M, L) and weights (M, L) for tokens (M, L - 1) of one task."""
        m = len(tokens)
        inputs = torch.cat([self._start(task, m)[:, None], self._embed(tokens, memory)], 1)
        targets = torch.cat([tokens, tokens.new_full((m, 1), self.codec.end_token)], 1)
        weights = torch.ones_like(targets, dtype=torch.float32)
        if task == 'box':
            weights[:, 0] = self.first_coordinate_weight
        return inputs, targets, weights

    def build_sequence(
        self, box_tokens: Tensor | None, mask_tokens: Tensor | None, memory: Memory
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Decoder input, targets and loss weights for teacher forcing.

        Args:
            box_tokens: (M, 4), used with ``with_box``.
            mask_tokens: (M, 2P), used with ``with_mask``.
            memory: The encoder output.

        Returns:
            inputs (M, L, C), targets (M, L), weights (M, L).
        """
        inputs, targets, weights = [], [], []
        for task, tokens, used in (('box', box_tokens, self.with_box), ('mask', mask_tokens, self.with_mask)):
            if not used:
                continue
            read, target, weight = self.task_sequence(task, tokens, memory)
            if task == 'mask' and not self.multi_task:
                weight[target == self.codec.end_token] = self.end_weight
            inputs.append(read)
            targets.append(target)
            weights.append(weight)
        return torch.cat(inputs, 1), torch.cat(targets, 1), torch.cat(weights, 1)

    def decode(self, inputs: Tensor, memory: Memory) -> Tensor:
        """Teacher-forced logits: (M, L, C) -> (M, L, V)."""
        return self.predictor(self.decoder(inputs, memory))

    def loss(
        self, memory: Memory, box_tokens: Tensor | None, mask_tokens: Tensor | None, has_mask: Tensor
    ) -> dict[str, Tensor]:
        """Token losses.

        Args:
            memory: The encoder output of M expressions.
            box_tokens: (M, 4) targets.
            mask_tokens: (M, 2P) targets.
            has_mask: (M,) bool; the mask tokens of others do not count.

        Returns:
            ``loss_box``, ``loss_mask`` or ``loss_multi_task``, and ``acc_token``, the percentage of tokens
            predicted right under teacher forcing.
        """
        inputs, targets, weights = self.build_sequence(box_tokens, mask_tokens, memory)
        logits = self.decode(inputs, memory)
        if self.with_mask:
            positions = slice(5 if self.with_box else 0, None)
            weights[:, positions] = weights[:, positions] * has_mask[:, None]
        name = 'multi_task' if self.multi_task else 'box' if self.with_box else 'mask'
        loss, accuracy = self.sequence_loss(logits, targets, weights)
        return {f'loss_{name}': loss, 'acc_token': accuracy}

    def sequence_loss(self, logits: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of the tokens with a weight, and the percentage of them that is predicted right."""
        # The loss is a mean over all tokens: undo what withheld masks dilute.
        counted = (weights > 0).sum().clamp(min=1)
        loss = self.loss_token(logits, targets, weights) * (weights.numel() / counted)
        with torch.no_grad():
            right = (logits.argmax(-1) == targets) & (weights > 0)
        return loss, 100 * right.sum() / counted

    # --------------------------------------------------------------- prediction

    @torch.no_grad()
    def predict(
        self, memory: Memory, bins: Tensor | None = None, keep_logits: bool = False
    ) -> HeadPrediction:
        """Decode every expression greedily.

        Args:
            memory: The encoder output of M expressions.
            bins: (M, 4) box tokens that vertices are confined to (the box is known while
                pseudo-labelling); the multi-task head takes them for its box as well.
            keep_logits: Keep the logits of every step.

        Returns:
            Tokens and scores.
        """
        decoding = self.start(memory)
        boxes = masks = None
        if self.with_box:
            boxes = self._generate_boxes(decoding, bins, keep_logits)
        if self.with_mask:
            masks = self._generate_masks(decoding, bins, keep_logits)
        scored = masks if masks is not None else boxes
        return HeadPrediction(boxes, masks, sequence_score(scored, self.codec.end_token))

    def start(self, memory: Memory, first_position: int = 0) -> Decoding:
        """Begin to decode step by step sequences that start at this position of the decoder's table."""
        return Decoding(self, memory, first_position)

    def _generate_boxes(
        self, decoding: Decoding, known: Tensor | None, keep_logits: bool
    ) -> GeneratedSequence:
        start = self._start('box', decoding.memory.tokens.shape[0])
        choice = TokenChoice(self.codec.end_token, first_end=None)
        known = known if self.multi_task else None
        boxes = generate(decoding, start, 4, choice, keep_logits, known)
        if self.multi_task:
            decoding.step(decoding.embed(boxes.tokens[:, 3], 3))  # the box's end, whose logits nobody needs
        return boxes

    def _generate_masks(
        self, decoding: Decoding, bins: Tensor | None, keep_logits: bool
    ) -> GeneratedSequence:
        first_end = 6 if not self.legacy else 4 if self.multi_task else 0
        choice = TokenChoice(self.codec.end_token, first_end, bins)
        start = self._start('mask', decoding.memory.tokens.shape[0])
        return generate(decoding, start, self.num_mask_tokens + 1, choice, keep_logits)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """The multi-task head starts from a REC head: boxes keep the positions they have there."""
        key = prefix + 'decoder.position.weight'
        own, given = self.decoder.position.weight, state_dict.get(key)
        if self.multi_task and given is not None and len(given) == 5 and given.shape[1] == own.shape[1]:
            state_dict[key] = torch.cat([given, own.detach()[5:].to(given)])
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, *encoded) -> dict[str, Tensor]:
        """Plain tensors: the tokens of every task, (M, 4) and (M, 2P + 1), for what :meth:`encode` takes."""
        out = self.predict(self.encode(*encoded))
        return {
            name: sequence.tokens
            for name, sequence in (('box_tokens', out.boxes), ('mask_tokens', out.masks))
            if sequence is not None
        }
