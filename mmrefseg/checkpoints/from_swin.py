"""Swin's ImageNet weights for the backbone :class:`LanguageSwin`."""

import os
import re
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..compat.checkpoint import load_checkpoint_file
from ..compat.key_map import KeyMap
from ..utils import UserInputError
from .conversion_report import ConversionReport, expected_shapes

SWIN_KEYS = KeyMap(
    [(r'(?:backbone\.|encoder\.)?((?:patch_embed|layers\.\d+\.(?:blocks|downsample))\..*)', r'\1')],
    drop=[r'.*\.relative_position_index', r'.*\.attn_mask', r'.*\.relative_coords_table'],
)
CLASSIFIER = ('norm.', 'head.', 'norm0.', 'norm1.', 'norm2.', 'norm3.')


def read_swin(path: str | os.PathLike) -> dict[str, Tensor]:
    """The weights of a ``swin_*_patch4_window*.pth``.

    Raises:
        UserInputError: If it is another file.
    """
    state = load_checkpoint_file(path)
    for name in ('model', 'state_dict'):
        if isinstance(state.get(name), Mapping):
            state = state[name]
    if 'patch_embed.proj.weight' not in state:
        raise UserInputError.of(
            str(path),
            f'the key {next(iter(state), None)!r} and no patch_embed.proj.weight',
            'ImageNet weights of a Swin transformer',
            'use swin_*_patch4_window*.pth of its authors',
        )
    return dict(state)


def resize_bias_table(table: Tensor, window_size: int) -> Tensor:
    """A relative-position bias table ((2 S - 1)^2, A) for windows of another size, bicubically.

    Both originals of LAVT resize so (``align_corners=False``).
    """
    rows, heads = table.shape
    old, new = round(rows**0.5), 2 * window_size - 1
    if old == new:
        return table
    grid = table.t().reshape(1, heads, old, old)
    grid = F.interpolate(grid, size=(new, new), mode='bicubic', align_corners=False)
    return grid.reshape(heads, new * new).t().contiguous()


def convert_swin(
    state: Mapping[str, Tensor], window_size: int | None = None
) -> tuple[dict[str, Any], ConversionReport]:
    """ImageNet weights under our names.

    Args:
        state: From :func:`read_swin`.
        window_size: Of the backbone that shall take them; the file's own by default.

    Returns:
        The arguments of :class:`LanguageSwin` that go with them, and what went where. Gates and output norms
        are not part of it: they start anew.
    """
    from mmdet.registry import MODELS

    sizes = swin_sizes(state)
    notes, dropped = {}, {}
    kept = {}
    for key, value in state.items():
        if key.startswith(CLASSIFIER):
            dropped[key] = "ImageNet's classifier"
        else:
            kept[key] = value
    mapped = SWIN_KEYS(kept)
    if window_size is not None and window_size != sizes['window_size']:
        for key in mapped.state:
            if key.endswith('relative_position_bias_table'):
                mapped.state[key] = resize_bias_table(mapped.state[key], window_size)
                notes[key] = f'window {sizes["window_size"]} to {window_size}'
        sizes['window_size'] = window_size
    with torch.device('meta'):
        shapes = expected_shapes(MODELS.build(dict(type='LanguageSwin', **sizes)))
    expected = {key: shape for key, shape in shapes.items() if key.startswith(('patch_embed.', 'layers.'))}
    return sizes, ConversionReport.compare(mapped, expected, notes, dropped)


def swin_sizes(state: Mapping[str, Tensor], prefix: str = '') -> dict[str, Any]:
    """The arguments of :class:`LanguageSwin` that a Swin's weights decide, beginning with ``prefix``."""
    found: dict[int, dict[int, tuple[int, int]]] = {}
    pattern = re.compile(
        re.escape(prefix) + r'layers\.(\d+)\.blocks\.(\d+)\.attn\.relative_position_bias_table'
    )
    for key, value in state.items():
        match = pattern.fullmatch(key)
        if match:
            found.setdefault(int(match[1]), {})[int(match[2])] = tuple(value.shape)
    rows = found[0][0][0]
    return dict(
        embed_dims=state[f'{prefix}patch_embed.proj.weight'].shape[0],
        depths=tuple(len(found[stage]) for stage in sorted(found)),
        num_heads=tuple(found[stage][0][1] for stage in sorted(found)),
        window_size=(round(rows**0.5) + 1) // 2,
    )
