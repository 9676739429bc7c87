"""LAVT at a size that learns from scratch in minutes: late gates, shared maps, words learned with the rest.

Gates begin at the coarsest stride, so that everything before them, in the backbone and in the decoder, is
computed once per image, whatever the number of its expressions.
Letters: B images, M expressions, T words, E word-vector channels, D channels of the words, C channels of a
map, H W cells, L = H * W.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ...datasets.vocabulary import PAD, build_vocabulary
from ...utils import UserInputError
from ..heads.lavt_head import MaskHead, upsample
from ..language_models.gru_encoder import carried_vocabulary
from ..language_models.token_batch import TokenBatch, WordFeatures
from ..layers.swin import SwinStage

SHARED = 3  # stages of strides 4, 8 and 16


@dataclass(frozen=True)
class ImageMaps:
    """What no word has touched, of B images.

    Attributes:
        coarse: (B, H, W, C) the map that expressions are brought into.
        finer: (B, C', H', W') maps for the decoder, finest first.
        evidence: (B, H, W, C) the same map, normalised: what words are matched with and what auxiliary heads
            teach.
    """

    coarse: Tensor
    finer: tuple[Tensor, ...]
    evidence: Tensor

    @property
    def device(self) -> torch.device:
        """Of the tensors."""
        return self.coarse.device

    def __getitem__(self, rows: slice) -> 'ImageMaps':
        """The maps of some of the images."""
        return ImageMaps(self.coarse[rows], tuple(x[rows] for x in self.finer), self.evidence[rows])


class SharedMap(NamedTuple):
    """A map of M expressions that is the same for all expressions of an image.

    Attributes:
        x: (B, C, H, W), one row per image.
        index: (M,) the image of each expression; ``None`` if M = B, one each.
    """

    x: Tensor
    index: Tensor | None

    def rows(self, x: Tensor) -> Tensor:
        """Rows of images (B, ...) -> rows of expressions (M, ...)."""
        return x if self.index is None else x[self.index]


class SentenceGate(nn.Module):
    """Pixel-word attention plus the sentence as a whole, then LAVT's gate.

    As in :class:`LanguageGate`, each cell gathers words, the map is multiplied with what it gathered, and
    ``x + tanh(...)(fused) * fused`` goes on. Three things differ, all for training from scratch:

    - No instance norm behind the attention. At first every cell gathers the same words, the norm subtracts
      just that, and nothing of the sentence is left until the attention has learned to tell cells apart.
    - A linear map of the sentence vector is added to what a cell gathers.
    - The map is multiplied with ``1 + tanh(gathered)``: words turn channels up and down, but none is lost
      before the words are understood.

    Args:
        channels: C.
        language_channels: D, of words and of sentence vectors.
        last: Leave the gate out: the last map goes to the decoder only.
    """

    def __init__(self, channels: int, language_channels: int, last: bool = False) -> None:
        super().__init__()
        self.scale = channels**-0.5
        self.norm = nn.LayerNorm(channels)
        self.vision = nn.Linear(channels, channels)
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(language_channels, channels)
        self.value = nn.Linear(language_channels, channels)
        self.sentence = nn.Linear(language_channels, channels)
        self.project = nn.Linear(channels, channels)
        self.gate = None
        if not last:
            self.gate = nn.Sequential(
                nn.Linear(channels, channels, bias=False),
                nn.ReLU(),
                nn.Linear(channels, channels, bias=False),
                nn.Tanh(),
            )

    def forward(self, x: Tensor, words: Tensor, mask: Tensor, sentence: Tensor) -> tuple[Tensor, Tensor]:
        """Fuse and gate.

        Args:
            x: Map (M, H, W, C).
            words: (M, T, D).
            mask: (M, T), True at real words.
            sentence: (M, D).

        Returns:
            The fused map for the decoder and the gated one for the next stage, (M, H, W, C) each.
        """
        cells = self.norm(x.flatten(1, 2))
        logits = self.query(cells) @ self.key(words).transpose(1, 2) * self.scale
        # -1e4, not -inf: an expression without words sees its padding
        weight = logits.masked_fill(~mask[:, None], -1e4).softmax(-1)
        gathered = weight @ self.value(words) + self.sentence(sentence)[:, None]
        fused = self.project(self.vision(cells) * (1 + gathered.tanh())).view_as(x)
        if self.gate is None:
            return fused, x
        return fused, x + self.gate(fused) * fused


@MODELS.register_module()
class LateLanguageSwin(BaseModule):
    """A Swin transformer whose language gates begin at stride 16.

    :class:`LanguageSwin` gates after every stage, so that each expression of an image has its own pass from
    the first stage on. Here the stages of strides 4, 8 and 16 are shared by all expressions of the image;
    then comes the first gate, and every further stage, at stride 16 too, is followed by another. With one
    window around the whole map that is where a sentence compares objects. The shared stages begin with
    convolutions, which find edges, colours and textures sooner than attention does (Xiao et al., NeurIPS
    2021), and with each cell's coordinates (CoordConv, Liu et al., NeurIPS 2018).

    Args:
        channels: C of each stage; those from stride 16 on are equal.
        depths: Swin blocks of each stage; 0 leaves the convolutions alone.
        conv_depths: Residual convolution blocks of the first three stages.
        num_heads: Of all stages.
        window_size: Side of a window, in cells.
        mlp_ratio: See :class:`SwinBlock`.
        language_channels: D.
        visual_words: Read the last C + 1 channels of the words as weights and bias of a classifier of cells,
            as ``WordEncoder(visual_dims=C)`` gives them: each cell receives the words by how well they fit
            it (a sigmoid each, where the attention's softmax only tells which fits best).
        init_cfg: mmengine's initialisation config.
    """

    def __init__(
        self,
        channels: Sequence[int] = (32, 64, 96, 96, 96),
        depths: Sequence[int] = (0, 1, 1, 1, 1),
        conv_depths: Sequence[int] = (1, 1, 1),
        num_heads: int = 4,
        window_size: int = 8,
        mlp_ratio: float = 2.0,
        language_channels: int = 128,
        visual_words: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if len(channels) != len(depths) or len(channels) < SHARED or len(set(channels[SHARED - 1 :])) > 1:
            raise UserInputError.of(
                'LateLanguageSwin', f'channels {tuple(channels)} and depths {tuple(depths)}',
                'one of each per stage, three or more stages, equal channels from the third on',
                'correct the config',
            )  # fmt: skip
        width = channels[-1]
        self.convs = nn.ModuleList(_convs(i, channels, conv_depths[i]) for i in range(SHARED))
        self.positions = nn.ModuleList(nn.Linear(4, c, bias=False) for c in channels[:SHARED])
        self.layers = nn.ModuleList(
            SwinStage(
                c,
                num_heads,
                window_size,
                [0.0] * depth,
                merging=False,
                mlp_ratio=mlp_ratio,
                shift_single_window=False,
            )
            for c, depth in zip(channels, depths, strict=True)
        )
        self.norm = nn.LayerNorm(width)
        self.visual_words = nn.Linear(language_channels, width) if visual_words else None
        self.sentence_norm = nn.BatchNorm1d(language_channels)
        gates = len(channels) - SHARED + 1
        self.gates = nn.ModuleList(
            SentenceGate(width, language_channels, last=i == gates - 1) for i in range(gates)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(gates))
        self.out_channels = (*channels[: SHARED - 1], *[width] * gates)
        self._init_linear()

    def _init_linear(self) -> None:
        """Wider than Swin's 0.02: few channels, no pretraining and few steps."""
        for layer in self.layers.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.5 * layer.in_features**-0.5)

    def forward(
        self, images: Tensor, words: Tensor, mask: Tensor, index: Tensor | None = None
    ) -> tuple[SharedMap | Tensor, ...]:
        """Maps of all expressions.

        Args:
            images: (B, 3, H, W) float, normalised.
            words: (M, T, D), or with ``visual_words`` (M, T, D + C + 1).
            mask: (M, T), True at real words.
            index: (M,) the image of each expression; ``None`` if M = B, one each.

        Returns:
            The maps of strides 4 and 8, shared, and one (M, C, h, w) of stride 16 per gate.
        """
        return self.forward_language(self.forward_image(images), words, mask, index)

    def forward_image(self, images: Tensor) -> ImageMaps:
        """What no word has touched: (B, 3, H, W) -> maps of the first three stages."""
        x, finer = images, []
        for convs, position, stage in zip(self.convs, self.positions, self.layers[:SHARED], strict=True):
            x = convs(x).permute(0, 2, 3, 1)
            x = stage(x + position(_coordinates(x)))
            finer.append(x.permute(0, 3, 1, 2))
            x = finer[-1]
        coarse = x.permute(0, 2, 3, 1)
        return ImageMaps(coarse, tuple(finer[:-1]), self.norm(coarse))

    def forward_language(
        self, maps: ImageMaps, words: Tensor, mask: Tensor, index: Tensor | None = None
    ) -> tuple[SharedMap | Tensor, ...]:
        """The rest of :meth:`forward`, from the shared maps."""
        x = maps.coarse if index is None else maps.coarse[index]
        if self.visual_words is not None:
            evidence = maps.evidence if index is None else maps.evidence[index]
            words, found = self._find_words(evidence.flatten(1, 2), words, mask)
            x = x + found.view_as(x)
        sentence = self._sentences(words, mask)
        outputs = []
        for i, gate in enumerate(self.gates):
            if i > 0:
                x = self.layers[SHARED - 1 + i](x)
            fused, x = gate(x, words, mask, sentence)
            outputs.append(self.norms[i](fused).permute(0, 3, 1, 2))
        return (*(SharedMap(item, index) for item in maps.finer), *outputs)

    def _find_words(self, cells: Tensor, words: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Cells (M, L, C) and words (M, T, D + C + 1) -> words (M, T, D) and what cells receive (M, L, C)."""
        channels = cells.shape[-1]
        words, weight, bias = words.split([words.shape[-1] - channels - 1, channels, 1], -1)
        fit = (cells @ weight.transpose(1, 2) + bias.transpose(1, 2)).sigmoid() * mask[:, None]
        return words, fit @ self.visual_words(words)

    def _sentences(self, words: Tensor, mask: Tensor) -> Tensor:
        """Words (M, T, D) -> sentence vectors (M, D): the maximum, normalised over the batch.

        At first all sentences look alike; the normalisation speeds up learning what sets them apart. One
        sentence alone has no batch statistics and takes the running ones.
        """
        mask = mask | ~mask.any(1, keepdim=True)
        sentence = words.masked_fill(~mask[..., None], float('-inf')).amax(1)
        norm = self.sentence_norm
        if self.training and len(sentence) == 1:
            return F.batch_norm(
                sentence, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
            )
        return norm(sentence)


class ResidualConvs(nn.Module):
    """Two 3x3 convolutions with a shortcut.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
        self.second = _conv(channels, channels)[:2]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return F.relu(x + self.second(self.first(x)))


def _conv(in_channels: int, channels: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU())


def _convs(stage: int, channels: Sequence[int], depth: int) -> nn.Sequential:
    """Convolutions that begin a stage: to a quarter of the image's size, or half the last stage's."""
    c = channels[stage]
    down = [_conv(channels[stage - 1], c, 2)] if stage else [_conv(3, c // 2, 2), _conv(c // 2, c, 2)]
    return nn.Sequential(*down, *(ResidualConvs(c) for _ in range(depth)))


def _coordinates(x: Tensor) -> Tensor:
    """Of a map (B, H, W, C): x, y and their distances from the middle, from -1 to 1, (H, W, 4)."""
    y, column = (torch.linspace(-1, 1, n, dtype=x.dtype, device=x.device) for n in x.shape[1:3])
    y, column = torch.meshgrid(y, column, indexing='ij')
    return torch.stack([column, y, column.abs(), y.abs()], -1)


@MODELS.register_module()
class SharedLAVTHead(MaskHead):
    """From the coarse maps to the finest: upsample, concatenate, convolve; then two logits.

    A convolution of concatenated maps is the sum of a convolution of each. The one of the image's own map
    is computed once per image, whatever the number of its sentences.

    The loss is computed at the logits' own size, against the share of the object around each cell: a
    sixteenth of the pixels, and the border still learns where between two cells it lies.

    Args:
        shared_channels: C of the shared maps, finest first.
        coarse_channels: C of the expressions' own maps, all of one size.
        channels: C behind each shared map, finest first.
        cell_weight: Weight of the loss that classifies the cells of every coarse map as inside or outside of
            the object, so that each stage matches words and image by itself; 0 leaves it out.
        cell_positive_weight: Weight of cells inside, of which there are few.
        pixel_weight: Weight of the binary cross-entropy of logits.
        dice_loss: Config of a dice loss on the object's probability; none by default.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(
        self,
        shared_channels: Sequence[int],
        coarse_channels: Sequence[int],
        channels: Sequence[int],
        cell_weight: float = 0.0,
        cell_positive_weight: float = 3.0,
        pixel_weight: float = 1.0,
        dice_loss: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(None, dice_loss, init_cfg)
        self.pixel_weight = pixel_weight
        self.cell_weight = cell_weight
        self.cell_positive_weight = cell_positive_weight
        self.cells = nn.ModuleList(nn.Conv2d(c, 1, 1) for c in coarse_channels) if cell_weight else None
        widths = channels[::-1]
        self.reduce = nn.Conv2d(sum(coarse_channels), widths[0], 1)
        self.own, self.shared, self.norms = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        before = widths[0]
        for skip, width in zip(reversed(shared_channels), widths, strict=True):
            self.own.append(nn.Conv2d(before, width, 3, padding=1, bias=False))
            self.shared.append(nn.Conv2d(skip, width, 3, padding=1, bias=False))
            self.norms.append(nn.BatchNorm2d(width))
            before = width
        conv = nn.Conv2d(before, before, 3, padding=1, bias=False)
        self.last = nn.Sequential(conv, nn.BatchNorm2d(before), nn.ReLU())
        self.classifier = nn.Conv2d(before, 2, 1)

    def forward(self, feats: Sequence[SharedMap | Tensor]) -> Tensor:
        """Maps, finest first -> logits (M, 2, H / 4, W / 4) of background and object."""
        finer, coarse = feats[: len(self.own)], feats[len(self.own) :]
        x = self.reduce(torch.cat(coarse, 1))
        for own, shared, norm, skip in zip(self.own, self.shared, self.norms, reversed(finer), strict=True):
            x = own(upsample(x, skip.x.shape[-2:])) + skip.rows(shared(skip.x))
            x = F.relu(norm(x))
        return self.classifier(self.last(x))

    def loss_from_maps(
        self, feats: Sequence[SharedMap | Tensor], target: Tensor, has_mask: Tensor
    ) -> dict[str, Tensor]:
        """:meth:`loss` at the logits' own size and, with ``cell_weight``, ``loss_cell``.

        Args:
            feats: Maps of M expressions, finest first.
            target: (M, H, W) in the size of the input, 1 inside the object.
            has_mask: (M,) bool; the target of others does not count.
        """
        target = target[has_mask]
        losses = self.loss(self(feats)[has_mask], target)
        if self.cells is not None:
            losses['loss_cell'] = self.cell_loss([feat[has_mask] for feat in feats[len(self.own) :]], target)
        return losses

    def loss(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Losses of logits (M, 2, h, w) against masks (M, H, W), 1 inside the object.

        Returns:
            ``loss_mask`` and, if there is one, ``loss_dice``; zeros that keep the graph for M = 0.
        """
        if not len(target):
            return {'loss_mask': logits.sum() * 0}
        share = object_share(target, logits.shape[-2:])
        margin = logits[:, 1] - logits[:, 0]
        losses = {'loss_mask': self.pixel_weight * F.binary_cross_entropy_with_logits(margin, share)}
        if self.dice_loss is not None:
            losses['loss_dice'] = self.dice_loss(margin.sigmoid(), share)
        return losses

    def cell_loss(self, feats: Sequence[Tensor], target: Tensor) -> Tensor:
        """Cross-entropy of the coarse maps (M, C, h, w) against masks (M, H, W); zero for M = 0."""
        logits = [classifier(x) for classifier, x in zip(self.cells, feats, strict=True)]
        if not len(target):
            return sum(x.sum() * 0 for x in logits)
        share = F.adaptive_avg_pool2d(target[:, None].float(), feats[0].shape[-2:])
        weight = share.new_tensor(self.cell_positive_weight)
        losses = [F.binary_cross_entropy_with_logits(x, share, pos_weight=weight) for x in logits]
        return self.cell_weight * sum(losses)


def object_share(target: Tensor, size: Sequence[int]) -> Tensor:
    """Share of the object around each point of a coarser grid: masks (M, H, W) -> (M, h, w) in [0, 1].

    The grid's corners are the image's, as in :func:`upsample`, which takes logits back to the image.
    """
    x = target[:, None].float()
    # one axis after the other: fewer pixels each time
    for axis in (0, 1):
        side = round(target.shape[1 + axis] / size[axis]) // 2 * 2 + 1
        kernel = (side, 1) if axis == 0 else (1, side)
        half = (side // 2, 0) if axis == 0 else (0, side // 2)
        x = F.avg_pool2d(x, kernel, 1, half, count_include_pad=False)
        x = upsample(x, (size[0], x.shape[3]) if axis == 0 else size)
    return x[:, 0]


@MODELS.register_module()
class WordEncoder(BaseModule):
    """Learned word vectors and a bidirectional GRU, one output per word.

    Args:
        vocabulary: Config of the vocabulary, see :func:`build_vocabulary`.
        max_tokens: Expressions are cut to so many words.
        embed_dims: E.
        hidden_dims: GRU units of each direction; D is twice that.
        visual_dims: Give each word C + 1 more channels that do not depend on the sentence: weights and bias
            of a linear classifier of C visual features, which says whether the word is said of what is
            there (:class:`WordHead` trains it, ``LateLanguageSwin(visual_words=True)`` uses it).
        init_cfg: mmengine's initialisation config.
    """

    word_rows = ('embedding.weight', 'visual.weight', 'visual.bias')

    def __init__(
        self,
        vocabulary: dict,
        max_tokens: int = 15,
        embed_dims: int = 128,
        hidden_dims: int = 128,
        visual_dims: int = 0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.vocabulary = build_vocabulary(**vocabulary)
        self.max_tokens = max_tokens
        self.embedding = nn.Embedding(len(self.vocabulary), embed_dims)
        self.gru = nn.GRU(embed_dims, hidden_dims, batch_first=True, bidirectional=True)
        # as torch initialises a linear layer
        self.visual = nn.Linear(visual_dims, len(self.vocabulary)) if visual_dims else None

    def carried(self) -> dict:
        """The words."""
        return carried_vocabulary(self.vocabulary, max_tokens=self.max_tokens)

    @property
    def out_channels(self) -> int:
        """D, or with ``visual_dims`` D + C + 1."""
        return 2 * self.gru.hidden_size + (self.visual.in_features + 1 if self.visual else 0)

    def tokenize(self, expressions: list[str]) -> TokenBatch:
        """Word indices of expressions (M, T), padded with 0."""
        ids = torch.as_tensor(self.vocabulary.encode(expressions, self.max_tokens), dtype=torch.long)
        ids = ids.to(self.embedding.weight.device)
        return TokenBatch(ids, ids != PAD)

    def forward(self, tokens: TokenBatch) -> WordFeatures:
        """Word indices (M, T) -> vectors (M, T, :attr:`out_channels`); the first D are zero at padding."""
        lengths = tokens.mask.sum(1).clamp(min=1).cpu()
        packed = pack_padded_sequence(
            self.embedding(tokens.ids), lengths, batch_first=True, enforce_sorted=False
        )
        words: Tensor
        words, _ = pad_packed_sequence(
            self.gru(packed)[0], batch_first=True, total_length=tokens.ids.shape[1]
        )
        if self.visual is not None:
            weight, bias = self.visual.weight[tokens.ids], self.visual.bias[tokens.ids]
            words = torch.cat([words, weight, bias[..., None]], -1)
        return WordFeatures(words, tokens.mask)
