"""EfficientNet-Lite0: EfficientNet without squeeze-and-excitation, with ReLU6 for Swish.

Google's version for devices without fast sigmoids (R. Liu, EfficientNet-Lite, TensorFlow blog, 2020; the
network is Tan and Le's, ICML 2019), on mmdet's layers.
"""

from collections.abc import Sequence

from mmdet.models.backbones import EfficientNet
from mmdet.registry import MODELS

from ..pretrained import check_pretrained

PIXEL_MEAN, PIXEL_STD = 127.0, 128.0
"""Of RGB pixels in 0..255, each channel: what the published weights were trained with."""
NUM_LAYERS = 7
"""Rows of :class:`EfficientNetLite`'s table."""


def _without_attention(stages: Sequence) -> list:
    """mmdet's table of stages with every squeeze-and-excitation ratio (third number of a block) at 0."""
    return [[[*block[:2], 0, *block[3:]] for block in stage] for stage in stages]


def _leave_out_deeper(module: 'EfficientNetLite', state_dict: dict, prefix: str, *_) -> None:
    """A converted checkpoint has all layers; those behind the last of ``out_indices`` are not built."""
    start = f'{prefix}layers.'
    for key in [key for key in state_dict if key.startswith(start)]:
        number = key.removeprefix(start).partition('.')[0]
        if number.isdecimal() and len(module.layers) <= int(number) < NUM_LAYERS:
            del state_dict[key]


@MODELS.register_module()
class EfficientNetLite(EfficientNet):
    """EfficientNet-Lite0 as a backbone.

    It takes RGB images normalised by mean 127 and deviation 128, and gives a map for each of ``out_indices``:

    ======  ==================  ===========
    index   layers              stride, C
    ======  ==================  ===========
    0       first convolution   2, 32
    1       1 block             2, 16
    2       2 blocks            4, 24
    3       2 blocks            8, 40
    4       6 blocks            16, 112
    5       5 blocks            32, 320
    6       last convolution    32, 1280
    ======  ==================  ===========

    Args:
        out_indices: Which maps, finest first.
        frozen_stages: So many rows of the table are frozen and stay in evaluation mode; 7 is all of it.
        norm_eval: Keep the statistics of all batch norms.
        init_cfg: mmengine's initialisation config; of type ``'Pretrained'`` with what
            ``tools/model_converters/efficientnet_lite.py`` writes.
    """

    layer_settings = {'l': _without_attention(EfficientNet.layer_settings['b'])}
    arch_settings = {'lite0': (1.0, 1.0, 224)}

    def __init__(
        self,
        out_indices: Sequence[int] = (3, 4, 5),
        frozen_stages: int = 0,
        norm_eval: bool = False,
        init_cfg: dict | list | None = None,
    ) -> None:
        default = [
            dict(type='Kaiming', layer='Conv2d'),
            dict(type='Constant', layer=['_BatchNorm'], val=1),
        ]
        super().__init__(
            arch='lite0',
            out_indices=tuple(out_indices),
            frozen_stages=min(frozen_stages, max(out_indices) + 1),
            act_cfg=dict(type='ReLU6'),
            norm_eval=norm_eval,
            init_cfg=default if init_cfg is None else init_cfg,
        )
        for stage in self.layers[: self.frozen_stages]:
            stage.requires_grad_(False)
        self.register_load_state_dict_pre_hook(_leave_out_deeper)

    def init_weights(self) -> None:
        """As ``init_cfg`` says.

        Raises:
            UserInputError: If the pretrained weights are missing or are those of another network.
        """
        pretrained = isinstance(self.init_cfg, dict) and self.init_cfg['type'] == 'Pretrained'
        if pretrained and not self._is_init:
            maker = 'tools/model_converters/efficientnet_lite.py'
            check_pretrained(self, 'EfficientNetLite', ('layers.',), maker)
        super().init_weights()

    def train(self, mode: bool = True) -> 'EfficientNetLite':
        """Training mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        return self  # mmdet's returns nothing
