"""LAVT's gates on any image encoder of Hugging Face's ``transformers``.

Letters: B images, M expressions, T words, D channels of the words, L = H * W cells, C channels of a map.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...utils import UserInputError
from ..hugging_face import encoder_blocks
from ..layers.language_gate import LanguageGate
from ..necks.simple_feature_pyramid import ChannelNorm

STRIDES = (4, 8, 16, 32)
PLACES = ('auto', 'stages', 'late')
# Types whose four stages follow one another, each the next one's input, as LAVT's gates want it.
STAGED = (
    'bit', 'convnext', 'convnextv2', 'dinov3_convnext', 'maskformer-swin', 'regnet', 'resnet',
    'rt_detr_resnet', 'swin', 'swinv2',
)  # fmt: skip
SWINS = ('maskformer-swin', 'swin', 'swinv2')


@dataclass(frozen=True)
class EncoderMaps:
    """What no word has touched, of B images.

    Attributes:
        maps: (B, C, H, W) each, finest first.
    """

    maps: tuple[Tensor, ...]

    @property
    def device(self) -> torch.device:
        """Of the tensors."""
        return self.maps[0].device

    @property
    def evidence(self) -> Tensor:
        """(B, H, W, C) the map of stride 16, which auxiliary heads teach."""
        return self.maps[-2].permute(0, 2, 3, 1)

    def __getitem__(self, rows: slice) -> 'EncoderMaps':
        """The maps of some of the images."""
        return EncoderMaps(tuple(x[rows] for x in self.maps))


@MODELS.register_module()
class HFLanguageBackbone(BaseModule):
    """An image encoder with language gates, for :class:`LAVT`.

    Args:
        encoder: Options of :class:`HFBackbone`; the strides are 4, 8, 16 and 32.
        language_channels: D.
        gates: ``'stages'``: after each stage, as LAVT's, so that the next stage sees the words; every
            expression has its own pass through the encoder. ``'late'``: on the encoder's maps alone, which
            are computed once per image. ``'auto'``: in the stages where there are such (:data:`STAGED`) and
            they are not all frozen.
        gate: Options of :class:`LanguageGate`.
        init_cfg: mmengine's initialisation config.

    Attributes:
        out_channels: C of each map.

    Raises:
        UserInputError: If there are to be gates between stages and the encoder has none.
    """

    def __init__(
        self,
        encoder: dict,
        language_channels: int = 768,
        gates: str = 'auto',
        gate: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.encoder = MODELS.build(dict(type='HFBackbone', strides=STRIDES) | dict(encoder))
        if gates not in PLACES:
            raise UserInputError.of(
                'HFLanguageBackbone', f'gates={gates!r}', f'one of {", ".join(PLACES)}', 'correct the config'
            )
        self.kind = self.encoder.encoder.config.model_type
        staged = gates != 'late' and self.kind in STAGED and tuple(self.encoder.maps.strides) == STRIDES
        if gates == 'stages' and not staged:
            raise UserInputError.of(
                self.encoder.where,
                f"gates='stages' in {self.kind!r}",
                f'an encoder of four stages ({", ".join(STAGED)})',
                "set gates='late'",
            )
        self.staged = staged and not (gates == 'auto' and self.encoder.frozen)
        channels = self.encoder.maps.channels if self.staged else self.encoder.out_channels
        self.out_channels, self.language_channels = tuple(channels), language_channels
        options = dict(language_channels=language_channels, **(gate or {}))
        self.gates = nn.ModuleList(
            # late gates end where they are: what goes on to a next stage is of no use
            LanguageGate(c, last=not self.staged or i == len(channels) - 1, **options)
            for i, c in enumerate(channels)
        )
        self.norms = nn.ModuleList(ChannelNorm(c) for c in channels)
        if self.staged:
            # What transformers adds to the maps of a backbone is not in the way of the words.
            for name, parameter in self.encoder.encoder.named_parameters():
                if 'hidden_states_norms' in name:
                    parameter.requires_grad_(False)
            self.encoder.pyramid = nn.Identity()

    def forward(
        self, images: Tensor, words: Tensor, mask: Tensor, index: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Maps of all expressions.

        Args:
            images: (B, 3, H, W) RGB in 0..255.
            words: (M, T, D).
            mask: (M, T), True at real words.
            index: (M,) the image of each expression; ``None`` if M = B, one each.

        Returns:
            Four maps (M, C, h, w) of strides 4, 8, 16 and 32.
        """
        return self.forward_language(self.forward_image(images), words, mask, index)

    def forward_image(self, images: Tensor) -> Tensor | EncoderMaps:
        """What no word has touched: the images themselves, or with late gates the encoder's maps."""
        return images if self.staged else EncoderMaps(self.encoder(images))

    def forward_language(
        self, maps: Tensor | EncoderMaps, words: Tensor, mask: Tensor, index: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """The rest of :meth:`forward`."""
        if self.staged:
            return self._run_stages(maps if index is None else maps[index], words, mask)
        outputs = []
        for gate, norm, x in zip(self.gates, self.norms, maps.maps, strict=True):
            x = x if index is None else x[index]
            fused, _ = gate(x.permute(0, 2, 3, 1), words, mask)
            outputs.append(norm(fused.permute(0, 3, 1, 2)))
        return tuple(outputs)

    def _run_stages(self, images: Tensor, words: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        outputs = []

        def fuse(i: int, x: Tensor) -> Tensor:
            fused, x = self.gates[i](x, words, mask)
            fused = self.norms[i](fused.permute(0, 3, 1, 2))
            outputs.append(self.encoder.cut(fused, images.shape[-2:], STRIDES[i]))
            return x

        with self._replaced(fuse):
            self.encoder.run_encoder(self.encoder.prepare(images))
        return tuple(outputs)

    @contextlib.contextmanager
    def _replaced(self, replace: Callable[[int, Tensor], Tensor]) -> Iterator[None]:
        """Send the map (M, H, W, C) of each stage through ``replace(i, map)`` before the next takes it.

        The hooks are there for one pass: what copies the network (a moving average) copies none of them.
        """

        def behind(i: int, module: nn.Module, args: tuple, output: Tensor) -> Tensor:
            return replace(i, output.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

        # Swin's stages end with the step to half the size: tokens (M, L, C), and their rows and columns.
        def before_halving(i: int, module: nn.Module, args: tuple) -> tuple:
            return (replace(i, args[0].unflatten(1, tuple(args[1]))).flatten(1, 2), *args[1:])

        def behind_last(i: int, module: nn.Module, args: tuple, output: tuple) -> None:
            replace(i, output[0].unflatten(1, tuple(args[1])))

        handles = []
        for i, stage in enumerate(encoder_blocks(self.encoder.encoder)[1]):
            if self.kind not in SWINS:
                handles.append(stage.register_forward_hook(partial(behind, i)))
            elif stage.downsample is not None:
                handles.append(stage.downsample.register_forward_pre_hook(partial(before_halving, i)))
            else:
                handles.append(stage.register_forward_hook(partial(behind_last, i)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
