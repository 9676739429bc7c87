"""Weights inside the package: what is written about them, and how they get there.

A file is safetensors in half precision. Its metadata say what was trained how, on which data, what it
scores, and which words it knows, so that it predicts where no data set is.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..compat.carried import as_metadata
from ..compat.checkpoint import below_name, load_checkpoint_file
from ..utils import UserInputError, atomic_write, parse_json

CONTENT_KEYS = ('file_name', 'height', 'width', 'bbox', 'mask', 'category_id', 'expressions')
ROUNDING = 2.0**-10
"""Largest relative error of half precision where it has all its digits, with room for one bit."""


@dataclass(frozen=True)
class Provenance:
    """Where weights come from and what they score.

    Attributes:
        network: The name of the network, for a reader.
        config: The shipped config that they run with, from the root of the checkout.
        seed: Of the training.
        commit: Of the code that trained them.
        command: What trained them.
        data: The data set, for a reader.
        data_sha256: :func:`fingerprint` of all its splits.
        split: Which one was scored.
        split_sha256: Its own fingerprint, which a set of this split alone has too.
        metrics: Name -> percent, of the weights as they are in the file, per sentence in the original frame.
        readout: What gives the mask: ``'refiner'``, ``'cells'``, ``'decoder'``, or ``'none'`` for boxes.
        words: Of the vocabulary, in order.
        tokenizer: See ``Vocabulary``.
        max_tokens: See ``Vocabulary``.
        extends: Address of the weights that these come on top of, or ''.
        extends_as: Which part of the model those are, or '' if they are its own.
        extends_sha256: Of that file.
    """

    network: str
    config: str
    seed: int
    commit: str
    command: str
    data: str
    data_sha256: str
    split: str
    split_sha256: str
    metrics: dict[str, float]
    readout: str
    words: tuple[str, ...]
    tokenizer: str
    max_tokens: int
    extends: str = ''
    extends_as: str = ''
    extends_sha256: str = ''

    def to_metadata(self) -> dict[str, str]:
        """Strings, as safetensors keeps; what is no string becomes json."""
        values = dataclasses.asdict(self)
        return {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in values.items()
            if value != ''
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], where: str) -> 'Provenance':
        """The reverse.

        Args:
            metadata: Of a file; keys that are none of these are passed over.
            where: The file, for messages.

        Raises:
            UserInputError: If something is missing, or of another kind than :meth:`to_metadata` writes.
        """
        found = {}
        for field in dataclasses.fields(cls):
            if field.name in metadata:
                value = _read_value(metadata[field.name], _KINDS.get(field.name))
                if value is not None:
                    found[field.name] = value
        needed = [field.name for field in dataclasses.fields(cls) if field.default is dataclasses.MISSING]
        missing = [name for name in needed if name not in found]
        if missing:
            raise UserInputError.of(
                where,
                f'metadata without {", ".join(missing)}',
                'weights that this package exported',
                'name others',
            )
        return cls(**{**found, 'words': tuple(found['words'])})

    @classmethod
    def of_file(cls, path: str | os.PathLike) -> 'Provenance':
        """Read it from a safetensors file or the address of shipped weights."""
        meta = load_checkpoint_file(path).get('meta') or {}
        return cls.from_metadata(meta.get('safetensors') or {}, str(path))


_KINDS = {'seed': int, 'metrics': dict, 'words': list, 'max_tokens': int}  # the others are text


def _read_value(text: str, kind: type | None) -> Any:
    """A value of the metadata, or None if it is of another kind."""
    if kind is None:
        return text
    try:
        value = parse_json(text, 'metadata')
    except UserInputError:
        return None
    whole = type(value) is kind and (kind is not list or all(isinstance(word, str) for word in value))
    return value if whole else None


def fingerprint(splits: Iterable[Sequence[Mapping]]) -> str:
    """SHA-256 of what annotations say: images' names and sizes, boxes, masks, categories and sentences.

    Ids do not count, for they depend on which splits were made together.

    Args:
        splits: Lists of records of the working format, in order.
    """
    digest = hashlib.sha256()
    for records in splits:
        content = [{key: record.get(key) for key in CONTENT_KEYS} for record in records]
        digest.update(json.dumps(content, sort_keys=True).encode())
    return digest.hexdigest()


def halve(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights in half precision, but for the tensors that do not bear it.

    A number beyond half precision's range would become infinite, and a small variance of a batch norm, by
    whose root is divided, would lose its digits: such tensors stay as they are, and so do whole numbers.
    """
    return {key: _halved(key, value).contiguous() for key, value in state.items()}


def _halved(key: str, value: Tensor) -> Tensor:
    if not value.is_floating_point():
        return value
    half = value.half()
    error = (half.to(value.dtype) - value).abs()
    if not torch.isfinite(half).all():
        return value
    if key.endswith('running_var') and (error > ROUNDING * value.abs()).any():
        return value
    return half


def select(state: Mapping[str, Tensor], prefixes: Sequence[str]) -> dict[str, Tensor]:
    """The tensors below some names.

    Args:
        state: Key -> value.
        prefixes: Names of modules or tensors, such as ``head.roi_memory``; none takes everything.

    Raises:
        UserInputError: If one of them names nothing.
    """
    if not prefixes:
        return dict(state)
    chosen = {}
    for prefix in prefixes:
        below = {key: state[key] for key in state if key == prefix or key.startswith(f'{prefix}.')}
        if not below:
            raise UserInputError.of(
                f'--keys {prefix}', 'no weights of that name', 'a module', 'correct the name'
            )
        chosen |= below
    return chosen


def write_safetensors(
    path: str | os.PathLike, state: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors and strings, atomically.

    Args:
        path: Ends in ``.safetensors``.
        state: Key -> contiguous value.
        metadata: What is said about them.

    Raises:
        UserInputError: If the name has another ending.
    """
    from safetensors.torch import save

    if Path(path).suffix != '.safetensors':
        raise UserInputError.of(str(path), 'another ending', '.safetensors', 'name the weights so')
    content = memoryview(save(dict(state), {'format': 'pt', **(metadata or {})}))
    start = 8 + int.from_bytes(content[:8], 'little')
    with atomic_write(path, 'wb') as file:
        file.write(_in_order(bytes(content[8:start])))
        file.write(content[start:])


def _in_order(header: bytes) -> bytes:
    """The beginning of a safetensors file with its strings by name: the library's order is another each time.

    Args:
        header: Json, what :func:`safetensors.torch.save` wrote before the tensors.

    Returns:
        The same with its length before it.
    """
    content = parse_json(header, 'what safetensors wrote')
    content['__metadata__'] = dict(sorted(content['__metadata__'].items()))
    text = json.dumps(content, ensure_ascii=False, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)  # what follows is aligned
    return len(text).to_bytes(8, 'little') + text


def with_base(state: Mapping[str, Tensor], base: str, part: str = '') -> dict[str, Tensor]:
    """Weights on top of those that they extend, as a part of the model; both names may be ''."""
    return {**(below_name(load_checkpoint_file(base)['state_dict'], part) if base else {}), **state}


def publish(source: str | os.PathLike, path: str | os.PathLike, half: bool = False) -> tuple[int, int]:
    """Write the weights of a training's checkpoint with its config, words and classes as safetensors.

    Args:
        source: What a training wrote.
        path: Ends in ``.safetensors``.
        half: Halve the precision, see :func:`halve`.

    Returns:
        The sizes of both files in bytes.

    Raises:
        UserInputError: If the source cannot be read, or carries no config.
    """
    checkpoint = load_checkpoint_file(source)
    metadata = as_metadata(checkpoint.get('meta') or {})
    if 'cfg' not in metadata:
        raise UserInputError.of(
            str(source), 'no config in it', 'a checkpoint that a training wrote', 'name that one'
        )
    state = {
        key: value.contiguous().clone()
        for key, value in checkpoint.get('state_dict', checkpoint).items()
        if isinstance(value, Tensor)
    }
    write_safetensors(path, halve(state) if half else state, metadata)
    return os.path.getsize(source), os.path.getsize(path)
