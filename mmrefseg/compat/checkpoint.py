"""Reading checkpoints with ``weights_only=True`` kept on.

From torch 2.6 on ``torch.load`` builds tensors and plain containers and
nothing else, because a pickle can run any code. mmengine's own checkpoints
also hold its log history and numpy scalars; :func:`allow_mmengine_state`
names exactly those, so that they load and resume. Whatever else a file wants
to import stays refused. A ``.safetensors`` file holds tensors and strings only.
"""

import contextlib
import io
import os
import pickle
import re
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

from ..utils import UserInputError
from ..utils.files import checkpoint_problem, is_zip
from ..utils.places import SCHEME, is_shipped, shipped_weights

PIECE = 2**20  # bytes that are read at a time
WEIGHTS = ('state_dict', 'ema_state_dict', 'model', 'bert_model')
OPTIONAL = ('bert_model', 'meta')  # may be None
STATISTICS = ('min', 'max', 'current', 'mean')
NUMBERS = ('?', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4', 'f8')


def allow_mmengine_state() -> None:
    """Let ``torch.load(weights_only=True)`` build what mmengine writes next to the weights."""
    torch.serialization.add_safe_globals(
        [
            HistoryBuffer,
            (_get_statistics_method, 'builtins.getattr'),
            np.ndarray,
            np.dtype,
            *(type(np.dtype(number)) for number in NUMBERS),
            *_numpy_constructors(),
        ]
    )


def _numpy_constructors() -> list[tuple[Callable, str]]:
    """numpy's two unpickling functions, under their names in numpy 1 and in numpy 2."""
    reconstruct, scalar = np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0]
    return [
        (function, f'numpy.{core}.multiarray.{name}')
        for core in ('core', '_core')
        for function, name in ((reconstruct, '_reconstruct'), (scalar, 'scalar'))
    ]


def _get_statistics_method(owner: Any, name: str) -> Callable:
    """What a pickled HistoryBuffer needs of ``getattr``, which as a whole would open the door to any code."""
    if owner is not HistoryBuffer or name not in STATISTICS:
        raise pickle.UnpicklingError(f'Unsupported global: GLOBAL getattr({owner!r}, {name!r})')
    return getattr(HistoryBuffer, name)


def load_checkpoint_file(
    path: str | os.PathLike, map_location: str | torch.device = 'cpu', allow: Sequence[type | Callable] = ()
) -> dict[str, Any]:
    """Open a checkpoint from anywhere without running code from it.

    Args:
        path: A file written by ``torch.save``, a ``.safetensors`` file, or the address of weights inside the
            package, ``mmrefseg://NAME``.
        map_location: Where the tensors shall be.
        allow: Classes and functions that this file may build besides tensors, plain containers, numpy numbers
            and mmengine's log history, e.g. ``[argparse.Namespace]``.

    Returns:
        What the file holds. Of a ``.safetensors`` file: ``state_dict``, and its strings in
        ``meta['safetensors']``.

    Raises:
        UserInputError: If the file is missing, truncated, damaged, not a checkpoint, or wants to build
            anything else, or if the package has no weights of that name.
    """
    if is_shipped(path):
        return load_from_package(str(path), map_location)
    path = Path(path)
    if not path.is_file():
        found = 'a folder' if path.is_dir() else 'no such file'
        raise UserInputError.of(str(path), found, 'a checkpoint file', 'check the path')
    problem = checkpoint_problem(path)
    if problem:
        raise UserInputError.of(str(path), *problem)
    if path.suffix == '.safetensors':
        return _read_safetensors(path, map_location)
    damaged = damaged_entry(path)
    if damaged:
        found = f'a damaged checkpoint (the content of {damaged} is not what its checksum says)'
        raise UserInputError.of(str(path), found, 'a whole one', 'download or copy it again')
    try:
        with torch.serialization.safe_globals(list(allow)):
            checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:
        raise _explain(path, error) from None
    if not isinstance(checkpoint, dict):
        found = f'a {type(checkpoint).__name__}'
        raise UserInputError.of(str(path), found, 'a dict with weights', 'check that it is a checkpoint')
    check_parts(checkpoint, str(path))
    return checkpoint


def damaged_entry(path: str | os.PathLike) -> str | None:
    """The first entry of a zip file, which torch writes, whose checksum does not fit; torch checks none.

    Returns:
        Its name; None if all fit, if the file is no zip, or if it was written without checksums.
    """
    if not is_zip(path):
        return None
    entry = None
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                # torch writes 0 where it is told to compute none
                with archive.open(entry) if entry.CRC else contextlib.nullcontext(io.BytesIO()) as file:
                    while file.read(PIECE):
                        pass
    except Exception:  # of many kinds, by the byte that is wrong
        return entry.filename if entry is not None else 'its list of contents'
    return None


def check_parts(checkpoint: Mapping, where: str) -> None:
    """See that the parts of a checkpoint that everybody reads are of the kind that everybody expects.

    Raises:
        UserInputError: If weights are no names with tensors, tensors without numbers or sparse ones, or
            what is said about them is no dict.
    """
    whole = 'a checkpoint as its training wrote it'
    for name in ('state_dict', 'ema_state_dict', 'model', 'bert_model', 'meta', 'message_hub'):
        part = checkpoint.get(name, {})
        if not isinstance(part, Mapping) and not (part is None and name in OPTIONAL):
            found = f'{name!r} that is {"None" if part is None else f"a {type(part).__name__}"}'
            raise UserInputError.of(where, found, 'a dict', f'use {whole}')
    for part in (checkpoint, *(checkpoint[name] for name in WEIGHTS if checkpoint.get(name) is not None)):
        wrong = [key for key in part if not isinstance(key, str)]
        if wrong:
            raise UserInputError.of(where, f'the key {wrong[0]!r}', 'names of weights', f'use {whole}')
        for key, value in part.items():
            if isinstance(value, torch.Tensor) and (value.is_meta or value.layout != torch.strided):
                kind = 'a tensor without numbers' if value.is_meta else f'a tensor of {value.layout}'
                raise UserInputError.of(where, f'{kind} ({key})', 'dense weights', f'use {whole}')


def without_number(state: Mapping[str, Any], parameters: Collection[str]) -> list[str]:
    """Names of weights that are no numbers any more: NaN, or infinite where training could change them.

    Args:
        state: Name -> tensor; other values are passed over.
        parameters: The names that a training changes; what a buffer holds may be infinite on purpose.
    """
    found = []
    for key, value in state.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            bad = ~torch.isfinite(value) if key in parameters else torch.isnan(value)
            if bad.any():
                found.append(key)
    return found


def load_from_package(
    filename: str, map_location: str | torch.device = 'cpu', extended_by: Sequence[str] = ()
) -> dict[str, Any]:
    """mmengine's loader of ``mmrefseg://NAME`` (it shows the name after ``load_from_`` in its log).

    A file whose metadata say that it ``extends`` another holds only what comes on top of that one, which is
    the part ``extends_as`` of the model if that is said, too.

    Args:
        filename: ``mmrefseg://NAME``.
        map_location: Where the tensors shall be.
        extended_by: The addresses that led here.

    Raises:
        UserInputError: If the package has no weights of that name, or they are damaged.
    """
    checkpoint = load_checkpoint_file(shipped_weights(filename), map_location)
    said = checkpoint['meta']['safetensors']
    if base := said.get('extends'):
        chain = (*extended_by, filename)
        if base in chain:
            raise UserInputError.of(
                filename,
                f'weights that extend themselves, by {base}',
                'other weights',
                'install the package again',
            )
        below = below_name(load_from_package(base, map_location, chain)['state_dict'], said.get('extends_as'))
        checkpoint['state_dict'] = below | checkpoint['state_dict']
    return checkpoint


def below_name(state: Mapping[str, torch.Tensor], name: str | None) -> dict[str, torch.Tensor]:
    """Weights as those of a model's part, every key behind ``name`` and a dot; without a name as they are."""
    return {f'{name}.{key}': value for key, value in state.items()} if name else dict(state)


def know_package_weights() -> None:
    """Let ``load_from`` and ``init_cfg=dict(type='Pretrained')`` of any runner name ``mmrefseg://NAME``."""
    CheckpointLoader.register_scheme(SCHEME, load_from_package, force=True)


def _read_safetensors(path: Path, map_location: str | torch.device | None) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework='pt', device=str(map_location or 'cpu')) as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no dict)
            return {'state_dict': state, 'meta': {'safetensors': file.metadata() or {}}}
    except SafetensorError as error:
        raise UserInputError.of(
            str(path),
            f'a damaged file ({" ".join(str(error).split())[:120]})',
            'a whole safetensors file',
            'download or copy it again',
        ) from None


def _explain(path: Path, error: Exception) -> UserInputError:
    """One sentence for whatever ``torch.load`` raised."""
    refused = re.search(r'GLOBAL (\S+(?:\(.*?\))?)', str(error))
    if isinstance(error, pickle.UnpicklingError) and refused:
        return UserInputError.of(
            str(path),
            f'a pickle that wants to import `{refused[1]}`, which was not executed',
            'tensors and plain containers',
            'use a file of tensors alone (.safetensors), or, if you trust who made this one, save '
            'its weights as docs/troubleshooting.md shows',
        )
    reason = str(error).strip().splitlines()[0] if str(error).strip() else 'the file ends too early'
    return UserInputError.of(
        str(path),
        f'a file that torch cannot read ({type(error).__name__}: {reason[:120]})',
        'a checkpoint written by torch.save',
        'check that it is one, and that it is complete',
    )
