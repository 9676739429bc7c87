"""What a conversion did with every key, and the files it writes: a checkpoint and its config."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from ..compat.key_map import MappedState
from ..utils import UserInputError, atomic_write
from ..utils.places import shipped
from ..version import __version__

SHOWN = 3  # keys that an error names


@dataclass
class ConversionReport:
    """Where the keys of a foreign checkpoint went. Shapes are tuples.

    Attributes:
        state: Our key -> value: what the converted checkpoint holds.
        origin: Our key -> the original's key, for everything in ``state``.
        notes: Our key -> what was done to the value besides renaming it (cut, transposed, made).
        dropped: Original key -> why it has no place here (fixed buffers, parts that the original never used).
        left_over: Original keys that no rule knows.
        missing: Our keys that nothing was found for.
        mismatched: Our key -> (shape found, shape expected); not in ``state``.
    """

    state: dict
    origin: dict[str, str]
    notes: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    left_over: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    mismatched: dict[str, tuple[tuple, tuple]] = field(default_factory=dict)

    @classmethod
    def compare(
        cls,
        mapped: MappedState,
        expected: Mapping[str, Sequence[int]],
        notes: Mapping[str, str] | None = None,
        dropped: Mapping[str, str] | None = None,
    ) -> 'ConversionReport':
        """Hold renamed weights against what our model wants.

        Args:
            mapped: From a :class:`KeyMap`, values already reshaped where that is needed.
            expected: Our key -> shape, see :func:`expected_shapes`. Keys of ``mapped`` that are not in it are
                left over: the model has no such parameter.
            notes: Our key -> what was done to the value.
            dropped: Original key -> why it was left out, besides what the key map itself drops.
        """
        report = cls({}, {}, dict(notes or {}), dict.fromkeys(mapped.dropped, 'fixed buffer'))
        report.dropped.update(dropped or {})
        report.left_over = list(mapped.left_over)
        for key, value in mapped.state.items():
            if key not in expected:
                report.left_over.append(mapped.origin[key])
            elif tuple(value.shape) != tuple(expected[key]):
                report.mismatched[key] = (tuple(value.shape), tuple(expected[key]))
                report.origin[key] = mapped.origin[key]
            else:
                report.state[key] = value
                report.origin[key] = mapped.origin[key]
        report.missing = [key for key in expected if key not in mapped.state]
        return report

    def require_complete(self, where: str, allow: Sequence[str] = ()) -> None:
        """Refuse what is not accounted for.

        Args:
            where: The file that was converted.
            allow: Shell patterns (``lan_enc.embedding.*``) of keys, the original's or ours, that may be
                missing, left over or of another shape. They stay out of the converted checkpoint.

        Raises:
            UserInputError: If any other key is missing, left over or of another shape.
        """

        def allowed(*names: str) -> bool:
            return any(fnmatchcase(name, pattern) for name in names for pattern in allow)

        faults = []
        left_over = [key for key in self.left_over if not allowed(key)]
        missing = [key for key in self.missing if not allowed(key)]
        mismatched = [
            f'{self.origin[key]} {found} where {key} has {expected}'
            for key, (found, expected) in self.mismatched.items()
            if not allowed(key, self.origin[key])
        ]
        for keys, what in (
            (left_over, 'without a place here'),
            (missing, 'missing'),
            (mismatched, 'of another shape'),
        ):
            if keys:
                faults.append(f'{len(keys)} keys {what} ({_some(keys)})')
        if faults:
            raise UserInputError.of(
                where,
                ', '.join(faults),
                'a place for every key and a value for each of ours',
                'check that it is a checkpoint of this model, or name those keys with --allow',
            )

    def table(self, every_key: bool = False) -> str:
        """Text: what went where, one line a key, or a family of keys that differ in their numbers only.

        Args:
            every_key: One line for every key.
        """
        rows = [
            (self.origin[key], key, tuple(value.shape), self.notes.get(key, ''))
            for key, value in self.state.items()
        ]
        rows += [(key, '-', None, f'left out: {why}') for key, why in self.dropped.items()]
        rows += [(key, '-', None, 'LEFT OVER') for key in self.left_over]
        rows += [('-', key, None, 'MISSING') for key in self.missing]
        rows += [
            (self.origin[key], key, found, f'OTHER SHAPE, expected {_shape(expected)}')
            for key, (found, expected) in self.mismatched.items()
        ]
        lines = [('original', 'here', 'keys', 'shape', '')]
        lines += [(o, k, '1', _shape(s), n) for o, k, s, n in rows] if every_key else _families(rows)
        widths = [max(len(line[column]) for line in lines) for column in range(4)]
        text = [
            '  '.join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[4]])
            for line in lines
        ]
        return '\n'.join(line.rstrip() for line in [*text, self.summary()])

    def summary(self) -> str:
        """One line: how many keys went where."""
        counts = dict(
            converted=self.state, dropped=self.dropped, missing=self.missing, mismatched=self.mismatched
        )
        counts['left over'] = self.left_over
        numbers = sum(value.numel() for value in self.state.values())
        return ', '.join(f'{len(keys)} {name}' for name, keys in counts.items()) + f'; {numbers:,} numbers'


def expected_shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Key -> shape of a model's parameters and buffers.

    Build the model under ``torch.device('meta')`` if nothing but the shapes is wanted: that takes no memory.
    """
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


def shapes_of(config: Config, where: str) -> dict[str, tuple[int, ...]]:
    """:func:`expected_shapes` of the model of a config that a checkpoint is to carry.

    Args:
        config: The whole config.
        where: Its file, for the message.

    Raises:
        UserInputError: If it has no model, or nothing that says how images come to it.
    """
    absent = [part for part in ('model', 'test_dataloader') if not config.get(part)]
    if absent:
        raise UserInputError.of(where, f'no {absent[0]}', 'the config of a detector', 'choose another')
    with DefaultScope.overwrite_default_scope('mmdet'), torch.device('meta'):
        return expected_shapes(MODELS.build(config.model))


def _families(rows: list[tuple]) -> list[tuple[str, str, str, str, str]]:
    """Rows whose names differ in numbers only become one, with ``*`` for a number that varies."""
    groups: dict[tuple, list[tuple]] = {}
    for row in rows:
        names = tuple(re.sub(r'\d+', '#', name) for name in row[:2])
        groups.setdefault((*names, row[3]), []).append(row)
    lines = []
    for group in groups.values():
        shapes = {_shape(row[2]) for row in group}
        shape = shapes.pop() if len(shapes) == 1 else 'various'
        names = [_merge([row[column] for row in group]) for column in (0, 1)]
        lines.append((*names, str(len(group)), shape, group[0][3]))
    return lines


def _merge(names: list[str]) -> str:
    """Names that differ in their numbers as one, with ``*`` in place of those that vary."""
    split = [re.split(r'(\d+)', name) for name in names]
    return ''.join(part[0] if len(set(part)) == 1 else '*' for part in zip(*split, strict=True))


def _shape(shape: tuple | None) -> str:
    return '' if shape is None else 'x'.join(map(str, shape)) or 'scalar'


def _some(keys: list[str]) -> str:
    return ', '.join(keys[:SHOWN]) + (', ...' if len(keys) > SHOWN else '')


def write_checkpoint(path: str | os.PathLike, state: Mapping[str, torch.Tensor], **meta: Any) -> None:
    """Write weights as mmengine does, atomically; they load with ``weights_only=True``.

    Args:
        path: Where; ends in ``.pth``.
        state: Our key -> value.
        **meta: Plain values for the checkpoint's ``meta``, such as ``original='SeqTR'`` and
            ``conventions=[...]``.

    Raises:
        UserInputError: If the name has another ending.
        OSError: If the file cannot be written.
    """
    if Path(path).suffix != '.pth':
        raise UserInputError.of(str(path), 'another ending', '.pth', 'name the converted checkpoint so')
    content = {'meta': {'mmrefseg_version': __version__, **meta}, 'state_dict': dict(state)}
    with atomic_write(path, 'wb') as file:
        torch.save(content, file)


def config_beside(checkpoint: str | os.PathLike) -> Path:
    """The config that belongs to a converted checkpoint: the same name with the ending ``.py``."""
    return Path(checkpoint).with_suffix('.py')


def inherit(base: str, more: Mapping[str, Any] | None = None) -> Config:
    """A config that inherits from ``base``, loaded."""
    text = f'_base_ = {base!r}\n' + ''.join(f'{key} = {value!r}\n' for key, value in (more or {}).items())
    return Config.fromstring(text, '.py')


def plain_text(config: Config) -> str:
    """A whole config as Python text, for a checkpoint's ``meta['cfg']``: a training writes the same there."""
    return ''.join(f'{key} = {value!r}\n' for key, value in config.to_dict().items())


def chosen_base(path: str, kinds: Mapping[str, str]) -> str:
    """The config of ``--config``, as another config can inherit from it wherever that one lies.

    Args:
        path: The file.
        kinds: Part of the model -> class that it must be of; ``'model'`` is the whole.

    Returns:
        ``mmrefseg::FOLDER/FILE.py`` of a config of the package, else the absolute path.

    Raises:
        UserInputError: If its model is another, or if it has no data.
    """
    file, configs = Path(path).resolve(), shipped('configs').resolve()
    base = f'mmrefseg::{file.relative_to(configs)}' if file.is_relative_to(configs) else str(file)
    config = inherit(base)
    model = config.get('model') or {}
    for part, kind in kinds.items():
        found = ((model if part == 'model' else model.get(part)) or {}).get('type')
        if found != kind:
            raise UserInputError.of(
                f'--config {path}', f'a {part} of type {found!r}', repr(kind), 'name one of the same network'
            )
    absent = [part for part in ('train_dataloader', 'test_dataloader') if not config.get(part)]
    if absent:
        raise UserInputError.of(f'--config {path}', f'no {absent[0]}', 'the config of a training', 'add it')
    return base


def write_config(path: str | os.PathLike, about: str, base: str, settings: Mapping[str, Any]) -> None:
    """Write a config of a few lines that inherits from one of the package's.

    Args:
        path: Where; ends in ``.py``.
        about: Comment at the top.
        base: What to inherit from, such as ``mmrefseg::seqtr/seqtr_darknet53_rec_refcoco-unc.py``.
        settings: What differs from it.
    """
    comment = '\n'.join(f'# {line}' for line in about.splitlines())
    with atomic_write(path) as file:
        file.write(f'{comment}\n_base_ = {base!r}\n\n{Config(dict(settings)).pretty_text}')
