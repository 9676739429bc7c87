"""DarkNet-53 with YOLOv3's first detection convolutions, as SeqTR uses it.

YOLOv3 (Redmon and Farhadi, 2018); the layer numbering is SeqTR's, so that ``out_indices``
and published weights mean the same layers.
"""

from collections.abc import Sequence
from pathlib import Path

from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...compat.checkpoint import load_checkpoint_file
from ...utils import UserInputError

NORM_CFG = dict(type='BN')
ACT_CFG = dict(type='LeakyReLU', negative_slope=0.1)


def dark_conv(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> ConvModule:
    """Convolution, batch norm, leaky ReLU (slope 0.1), 'same' padding."""
    return ConvModule(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        norm_cfg=NORM_CFG,
        act_cfg=ACT_CFG,
    )


class DarkStage(nn.Module):
    """A row of bottlenecks (1x1 to half the channels, 3x3 back).

    Args:
        channels: Input and output channels.
        num_blocks: Bottlenecks.
        shortcut: Whether each adds its input.
    """

    def __init__(self, channels: int, num_blocks: int, shortcut: bool = True) -> None:
        super().__init__()
        self.shortcut = shortcut
        self.blocks = nn.ModuleList(
            nn.Sequential(dark_conv(channels, channels // 2, 1), dark_conv(channels // 2, channels, 3))
            for _ in range(num_blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = x + block(x) if self.shortcut else block(x)
        return x


@MODELS.register_module()
class DarkNet53(BaseModule):
    """DarkNet-53 plus two unshortcut bottlenecks and two convolutions of YOLOv3's head.

    The layers: 0-1 stem, then for each of five strides a stage and a stride-2
    convolution in turn (6, 8 and 10 end strides 8, 16 and 32), 11 the bottlenecks
    without shortcut, 12-13 the last convolutions. Input: RGB, 0..255, no mean or std.

    Args:
        base_channels: Channels of the first convolution; the others scale with it.
            32 is DarkNet-53.
        stage_blocks: Bottlenecks per stage; (1, 2, 8, 8, 4) is DarkNet-53.
        neck_blocks: Bottlenecks without shortcut in layer 11.
        out_indices: Layers whose outputs are returned.
        frozen_layers: So many of the 14 layers are frozen (SeqTR: 12).
        norm_eval: Keep the running statistics of frozen layers. The original did
            not (``False`` reproduces it): its frozen layers drift in training.
        init_cfg: mmengine's initialisation config. A file of type ``'Pretrained'`` must
            hold every tensor of the network.
    """

    def __init__(
        self,
        base_channels: int = 32,
        stage_blocks: Sequence[int] = (1, 2, 8, 8, 4),
        neck_blocks: int = 2,
        out_indices: Sequence[int] = (6, 8, 13),
        frozen_layers: int = 12,
        norm_eval: bool = True,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.out_indices = tuple(out_indices)
        self.frozen_layers = frozen_layers
        self.norm_eval = norm_eval
        c = base_channels
        layers: list[nn.Module] = [dark_conv(3, c, 3)]
        for num_blocks in stage_blocks:
            layers += [dark_conv(c, 2 * c, 3, stride=2), DarkStage(2 * c, num_blocks)]
            c *= 2
        layers += [
            DarkStage(c, neck_blocks, shortcut=False),
            dark_conv(c, c // 2, 1),
            dark_conv(c // 2, c, 3),
        ]
        self.layers = nn.ModuleList(layers)
        self._freeze()

    def _freeze(self) -> None:
        for layer in self.layers[: self.frozen_layers]:
            layer.requires_grad_(False)

    def init_weights(self) -> None:
        """As ``init_cfg`` says.

        Raises:
            UserInputError: If the pretrained weights are missing or are those of another network
                (mmengine would load what fits and go on).
        """
        if isinstance(self.init_cfg, dict) and self.init_cfg['type'] == 'Pretrained' and not self._is_init:
            self._check_weights(self.init_cfg['checkpoint'], self.init_cfg.get('prefix', ''))
        super().init_weights()

    def _check_weights(self, path: str, prefix: str) -> None:
        if not Path(path).is_file():
            raise UserInputError.of(
                f'DarkNet53 weights {path}',
                'no such file',
                'a state dict of DarkNet53',
                'make it with tools/model_converters/darknet.py (docs/weights.md), or train the backbone '
                'from scratch with '
                '--cfg-options model.backbone.init_cfg=None model.backbone.frozen_layers=0',
            )
        weights = load_checkpoint_file(path)
        weights = weights.get('state_dict', weights)
        wanted = {key: value.shape for key, value in self.state_dict().items() if value.ndim}
        prefix = f'{prefix.rstrip(".")}.' if prefix else ''
        absent = [
            key for key, shape in wanted.items() if getattr(weights.get(prefix + key), 'shape', None) != shape
        ]
        if absent:
            count = f'{len(absent)} of {len(wanted)} tensors'
            raise UserInputError.of(
                f'DarkNet53 weights {path}',
                f'{count} missing or of another shape ({prefix}{absent[0]}, ...)',
                'a state dict of DarkNet53',
                'convert the weights with tools/model_converters/darknet.py, or set init_cfg.prefix',
            )

    def train(self, mode: bool = True) -> 'DarkNet53':
        """Training mode; frozen layers stay in evaluation mode with ``norm_eval``."""
        super().train(mode)
        if mode and self.norm_eval:
            for layer in self.layers[: self.frozen_layers]:
                for module in layer.modules():
                    if isinstance(module, _BatchNorm):
                        module.eval()
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> one map per ``out_indices``: strides 8, 16, 32 by default."""
        outputs = []
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index in self.out_indices:
                outputs.append(x)
        return tuple(outputs)
