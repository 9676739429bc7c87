"""DarkNet's binary weight files (``darknet.weights``, ``yolov3.weights``) as weights of our DarkNet53."""

import os
from pathlib import Path

import numpy as np
import torch
from mmcv.cnn import ConvModule

from ..compat.key_map import MappedState
from ..models.backbones.darknet53 import DarkNet53
from ..utils import UserInputError
from .conversion_report import ConversionReport, expected_shapes

# The order of a convolution's arrays in the file.
FIELDS = ('bn.bias', 'bn.weight', 'bn.running_mean', 'bn.running_var', 'conv.weight')
# Version (3 int32) and images seen (an int64; in files before version 0.2 an int32).
HEADER, OLD_HEADER = 20, 16
DETECTION = 'detection layers'


def convert_darknet(path: str | os.PathLike, network: dict | None = None) -> ConversionReport:
    """Read a binary file.

    It holds float32 arrays without names, layer by layer. SeqTR's ``darknet.weights`` and YOLOv3's
    own file begin with our 14 layers; the detection layers behind them are dropped.

    Args:
        path: The file.
        network: Arguments of :class:`DarkNet53`; None is the full-size network.

    Returns:
        What went where. Where the file ends too early, keys are missing.

    Raises:
        UserInputError: If it cannot be such a file.
    """
    with torch.device('meta'):
        model = DarkNet53(**(network or {}))
    shapes = expected_shapes(model)
    layout = [
        (f'{name}.{field}', shapes[f'{name}.{field}']) for name in _convolutions(model) for field in FIELDS
    ]
    needed = sum(int(np.prod(shape)) for _, shape in layout)
    numbers = _read(path, needed)
    mapped, first = MappedState({}, {}, []), 0
    for key, shape in layout:
        last = first + int(np.prod(shape))
        if last > len(numbers):
            break
        mapped.state[key] = torch.from_numpy(numbers[first:last].reshape(shape).copy())
        mapped.origin[key] = f'numbers {first}..{last - 1}'
        first = last
    rest = len(numbers) - first
    if rest and first == needed:
        _check_layout(path, mapped)
        mapped.dropped.append(DETECTION)
    elif rest:
        mapped.left_over.append(f'numbers {first}..{len(numbers) - 1}')
    notes = {}
    for name in _convolutions(model):
        key = f'{name}.bn.num_batches_tracked'
        if f'{name}.bn.bias' in mapped.state:
            mapped.state[key], mapped.origin[key] = torch.tensor(0), '-'
            notes[key] = 'the file has no such count'
    dropped = {DETECTION: f"YOLOv3's, the last {rest:,} numbers"} if mapped.dropped else {}
    return ConversionReport.compare(mapped, shapes, notes, dropped)


def _convolutions(model: DarkNet53) -> list[str]:
    """Names of the convolutions, in the order of the layers."""
    return [name for name, module in model.named_modules() if isinstance(module, ConvModule)]


def _read(path: str | os.PathLike, needed: int) -> np.ndarray:
    """All float32 numbers behind the header."""
    path = Path(path)
    if not path.is_file():
        raise UserInputError.of(str(path), 'no such file', 'a DarkNet weight file', 'check the path')
    content = path.read_bytes()
    if content[:2] == b'PK' or len(content) <= HEADER or len(content) % 4:
        raise UserInputError.of(
            str(path),
            f'{len(content):,} bytes that are no float32 numbers behind a header',
            'a binary file of DarkNet, such as darknet.weights or yolov3.weights',
            'check that it is one, and that it is complete',
        )
    major, minor = np.frombuffer(content, '<i4', count=2)
    # The original reads five integers whatever the version says; an old file is one that says so and fits.
    old = major * 10 + minor < 2 and len(content) - OLD_HEADER == 4 * needed
    numbers = np.frombuffer(content, '<f4', offset=OLD_HEADER if old else HEADER)
    if not np.isfinite(numbers[:needed]).all():
        raise UserInputError.of(
            str(path), 'values that are no numbers', 'weights', 'download or copy the file again'
        )
    return numbers


def _check_layout(path: str | os.PathLike, mapped: MappedState) -> None:
    """A longer file of another network would be cut up wrongly: then variances are not all positive."""
    negative = [
        key for key, value in mapped.state.items() if key.endswith('running_var') and bool((value < 0).any())
    ]
    if negative:
        raise UserInputError.of(
            str(path),
            f'negative variances ({negative[0]})',
            'the layers of DarkNet-53 and YOLOv3',
            'check that it is yolov3.weights or a file of the same layers',
        )
