"""Swin with a language gate after each stage: LAVT's backbone (Yang et al., CVPR 2022).

Letters: B images, M expressions, T words, D channels of the words, H W cells, C channels.
"""

from collections.abc import Sequence

import numpy as np
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...utils import UserInputError
from ..layers.language_gate import GATES
from ..layers.swin import PatchEmbed, SwinStage
from ..pretrained import check_pretrained


@MODELS.register_module()
class LanguageSwin(BaseModule):
    """A Swin transformer whose stages see the words.

    After each stage a gate fuses the map with the words: the fused map goes to the decoder, the gated one
    to the next stage. The first stage, which has seen no word, is shared by the expressions of an image.

    Args:
        embed_dims: C of the first stage, doubled by each further one. 96 is tiny and small, 128 base.
        depths: Blocks per stage.
        num_heads: Heads per stage.
        window_size: Side of a window, in cells.
        mlp_ratio: See :class:`SwinBlock`.
        language_channels: D.
        gate: ``dict(type='lavt', num_heads=1, dropout=0.0)`` or ``dict(type='lavt_pytorch')``; heads may be
            one number per stage.
        fuse_after_merging: Fuse after patch merging, so that the maps have strides 8, 16, 32 and 32, and give
            them without layer norms, as LAVT-pytorch does.
        shift_single_window: See :class:`SwinBlock`.
        drop_path_rate: Of the last block; it grows from 0 linearly.
        init_cfg: mmengine's initialisation config; of type ``'Pretrained'`` with a checkpoint of
            ``tools/model_converters/swin.py``, which must hold every tensor but those of gates and norms.
    """

    def __init__(
        self,
        embed_dims: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        window_size: int = 7,
        mlp_ratio: float = 4.0,
        language_channels: int = 768,
        gate: dict | None = None,
        fuse_after_merging: bool = False,
        shift_single_window: bool = True,
        drop_path_rate: float = 0.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.fuse_after_merging = fuse_after_merging
        self.patch_embed = PatchEmbed(embed_dims)
        rates = np.linspace(0, drop_path_rate, sum(depths)).tolist()
        channels = [embed_dims * 2**i for i in range(len(depths))]
        self.layers = nn.ModuleList(
            SwinStage(
                c,
                heads,
                window_size,
                rates[sum(depths[:i]) : sum(depths[: i + 1])],
                merging=i < len(depths) - 1,
                mlp_ratio=mlp_ratio,
                shift_single_window=shift_single_window,
            )
            for i, (c, heads) in enumerate(zip(channels, num_heads, strict=True))
        )
        if fuse_after_merging:
            channels = [*channels[1:], channels[-1]]
        self.out_channels, self.language_channels = tuple(channels), language_channels
        self.gates = nn.ModuleList(_build_gates(channels, language_channels, dict(gate or {})))
        self.norms = nn.ModuleList(nn.Identity() if fuse_after_merging else nn.LayerNorm(c) for c in channels)
        self._init_swin()

    def _init_swin(self) -> None:
        """Swin's own initialisation; the gates keep torch's."""
        for module in (self.patch_embed, self.layers):
            for layer in module.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.trunc_normal_(layer.weight, std=0.02)
                    if layer.bias is not None:
                        nn.init.zeros_(layer.bias)

    def init_weights(self) -> None:
        """As ``init_cfg`` says.

        Raises:
            UserInputError: If the pretrained weights are missing or are those of another network.
        """
        if isinstance(self.init_cfg, dict) and self.init_cfg['type'] == 'Pretrained' and not self._is_init:
            check_pretrained(
                self, 'LanguageSwin', ('patch_embed.', 'layers.'), 'tools/model_converters/swin.py'
            )
        super().init_weights()

    def forward(
        self, images: Tensor, words: Tensor, mask: Tensor, index: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Maps of all expressions.

        Args:
            images: (B, 3, H, W) float, normalised.
            words: (M, T, D).
            mask: (M, T), True at real words.
            index: (M,) the image of each expression; ``None`` if M = B, one each.

        Returns:
            Four maps (M, C, h, w), finest first: strides 4, 8, 16, 32, or with ``fuse_after_merging`` 8, 16,
            32, 32.
        """
        return self.forward_language(self.forward_image(images), words, mask, index)

    def forward_image(self, images: Tensor) -> Tensor:
        """What no word has touched: (B, 3, H, W) -> map of the first stage (B, h, w, C)."""
        return self._run_stage(0, self.patch_embed(images))

    def forward_language(
        self, x: Tensor, words: Tensor, mask: Tensor, index: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """The rest of :meth:`forward`, from the map of the first stage (B, h, w, C)."""
        if index is not None:
            x = x[index]
        outputs = []
        for i, gate in enumerate(self.gates):
            if i > 0:
                x = self._run_stage(i, x)
            fused, x = gate(x, words, mask)
            outputs.append(self.norms[i](fused).permute(0, 3, 1, 2).contiguous())
            merging = self.layers[i].downsample
            if merging is not None and not self.fuse_after_merging:
                x = merging(x)
        return tuple(outputs)

    def _run_stage(self, i: int, x: Tensor) -> Tensor:
        x = self.layers[i](x)
        merging = self.layers[i].downsample
        return merging(x) if merging is not None and self.fuse_after_merging else x


def _build_gates(channels: Sequence[int], language_channels: int, cfg: dict) -> list[nn.Module]:
    kind = cfg.pop('type', 'lavt')
    if kind not in GATES:
        raise UserInputError.of(
            'LanguageSwin', f'gate type {kind!r}', f'one of {", ".join(GATES)}', 'correct the config'
        )
    heads = cfg.pop('num_heads', None)
    gates = []
    for i, c in enumerate(channels):
        if heads is not None:
            cfg['num_heads'] = heads if isinstance(heads, int) else heads[i]
        gates.append(GATES[kind](c, language_channels, last=i == len(channels) - 1, **cfg))
    return gates
