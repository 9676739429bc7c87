"""LAVT's backbone at a size that learns from scratch in minutes: gates late, at the coarsest stride only.

Letters: B pictures, M expressions, T words, D channels of the words, L = H * W cells, C channels.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...utils import UserInputError
from ..layers.swin import SwinStage
from .sentence_gate import SentenceGate
from .shared_map import PictureMaps, SharedMap

SHARED = 3  # stages of strides 4, 8 and 16


@MODELS.register_module()
class LateLanguageSwin(BaseModule):
    """A Swin transformer whose language gates begin at stride 16.

    :class:`LanguageSwin` gates after every stage, so that each expression of a picture has its own pass from
    the first stage on. Here the stages of strides 4, 8 and 16 are shared by all expressions of the picture;
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
        fused_attention: See :class:`WindowAttention`; plain products are faster for windows this small.
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
        fused_attention: bool = False,
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
                fused=fused_attention,
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
            index: (M,) the picture of each expression; ``None`` if M = B, one each.

        Returns:
            The maps of strides 4 and 8, shared, and one (M, C, h, w) of stride 16 per gate.
        """
        return self.forward_language(self.forward_image(images), words, mask, index)

    def forward_image(self, images: Tensor) -> PictureMaps:
        """What no word has touched: (B, 3, H, W) -> maps of the first three stages."""
        x, finer = images, []
        for convs, position, stage in zip(self.convs, self.positions, self.layers[:SHARED], strict=True):
            x = convs(x).permute(0, 2, 3, 1)
            x = stage(x + position(_coordinates(x)))
            finer.append(x.permute(0, 3, 1, 2))
            x = finer[-1]
        coarse = x.permute(0, 2, 3, 1)
        return PictureMaps(coarse, tuple(finer[:-1]), self.norm(coarse))

    def forward_language(
        self, maps: PictureMaps, words: Tensor, mask: Tensor, index: Tensor | None = None
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
    """Convolutions that begin a stage: to a quarter of the picture's size, or half the last stage's."""
    c = channels[stage]
    down = [_conv(channels[stage - 1], c, 2)] if stage else [_conv(3, c // 2, 2), _conv(c // 2, c, 2)]
    return nn.Sequential(*down, *(ResidualConvs(c) for _ in range(depth)))


def _coordinates(x: Tensor) -> Tensor:
    """Of a map (B, H, W, C): x, y and their distances from the middle, from -1 to 1, (H, W, 4)."""
    y, column = (torch.linspace(-1, 1, n, dtype=x.dtype, device=x.device) for n in x.shape[1:3])
    y, column = torch.meshgrid(y, column, indexing='ij')
    return torch.stack([column, y, column.abs(), y.abs()], -1)
