"""``mmrefseg info`` and ``mmrefseg doctor``: what weights are, and whether this machine can run them."""

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from ..runs.options import check_checkpoint
from ..utils.errors import printable
from ..utils.places import SCHEME, WEIGHTS, shipped
from ..version import __version__

INFO_DOES = 'Say what is in the package, or in a checkpoint.'
INFO_HELP = f"""{INFO_DOES}

\b
Examples:
  mmrefseg info
  mmrefseg info work_dirs/mine/best.pth --json
"""
DOCTOR_DOES = 'Look whether all that is needed is installed: versions, GPU, mmcv, fonts, disk.'
DOCTOR_HELP = f"""{DOCTOR_DOES}

Ends with 1 if something that is needed is missing.

\b
Examples:
  mmrefseg doctor
  mmrefseg doctor --json
"""
NEEDED = ('torch', 'mmengine', 'mmdet', 'transformers', 'numpy', 'opencv-python', 'pillow', 'pycocotools')
OPTIONAL = ('spacy', 'gradio', 'supervision', 'tensorboard', 'wandb', 'mlflow')
FREE_GB = 5
AS_JSON = Annotated[bool, typer.Option('--json', help='For machines.')]


class Finding(NamedTuple):
    """A line of the check-up.

    Attributes:
        name: What was looked at.
        state: ``'ok'``, ``'note'`` or ``'missing'``, which fails.
        about: What was found, and what to do.
    """

    name: str
    state: str
    about: str


def info(
    weights: Annotated[str | None, typer.Argument(help='A checkpoint, or mmrefseg://NAME.')] = None,
    as_json: AS_JSON = False,
) -> None:
    """Print what is known, as lines or json."""
    if weights is not None:
        check_checkpoint(weights)
    found = _of_package() if weights is None else _of_weights(weights)
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    width = max(map(len, found))
    for name, value in found.items():
        text = ', '.join(map(str, value)) if isinstance(value, list) else value
        typer.echo(f'{name:<{width}}  {printable(str(text))}')


def doctor(as_json: AS_JSON = False) -> None:
    """Print the findings; exit code 1 if something is missing."""
    findings = [finding for check in CHECKS for finding in check()]
    if as_json:
        typer.echo(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        for name, state, about in findings:
            typer.echo(f'{state:<8} {name:<14} {about}')
    if any(finding.state == 'missing' for finding in findings):
        raise typer.Exit(1)


def _of_package() -> dict[str, Any]:
    configs = [file for file in shipped('configs').rglob('*.py') if '_base_' not in file.parts]
    return {
        'mmrefseg': __version__,
        'python': platform.python_version(),
        **{name: _version(name) or 'not installed' for name in NEEDED[:4]},
        'weights': [f'{SCHEME}{file.stem}' for file in sorted(WEIGHTS.glob('*.safetensors'))],
        'configs': f'{len(configs)} in {shipped("configs")}',
    }


def _of_weights(weights: str) -> dict[str, Any]:
    from ..apis.checkpoint_config import carried_config  # brings torch
    from ..compat.carried import carried_by, vocabulary_in
    from ..compat.checkpoint import load_checkpoint_file
    from ..utils import UserInputError

    checkpoint = load_checkpoint_file(weights)
    meta = checkpoint.get('meta') or {}
    state = checkpoint.get('state_dict', checkpoint)
    sizes = [value.numel() for value in state.values() if hasattr(value, 'numel')]
    found: dict[str, Any] = {'weights': weights, 'numbers': f'{sum(sizes):,} in {len(sizes)} tensors'}
    try:
        found['network'] = carried_config(meta, weights).model.type
        found['runs alone'] = 'yes'
    except UserInputError as error:
        found['runs alone'] = f'no: {error}'
    carried = vocabulary_in(carried_by(checkpoint, weights))
    if carried:
        found['words'] = f'{len(carried["words"])}, at most {carried["max_tokens"]} a sentence'
    classes = (meta.get('dataset_meta') or {}).get('classes')
    if classes:
        found['classes'] = [str(name) for name in classes]
    kept = {key: meta[key] for key in ('epoch', 'iter', 'seed', 'time', 'experiment_name') if key in meta}
    told = {
        'network',
        'config',
        'seed',
        'commit',
        'command',
        'data',
        'split',
        'metrics',
        'readout',
        'extends',
    }
    metadata = meta.get('safetensors') or {}
    return found | kept | {key: metadata[key] for key in sorted(told & metadata.keys())}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _python() -> Iterator[Finding]:
    fits = (3, 11) <= sys.version_info[:2] <= (3, 14)
    yield Finding('python', 'ok' if fits else 'missing', f'{platform.python_version()} (3.11 to 3.14 suit)')


def _packages() -> Iterator[Finding]:
    for name in NEEDED:
        version = _version(name)
        yield Finding(name, 'ok' if version else 'missing', version or f'not installed: pip install {name}')
    for name in OPTIONAL:
        version = _version(name)
        yield Finding(
            name, 'ok' if version else 'note', version or 'not installed, and only needed for its own use'
        )


def _mmcv() -> Iterator[Finding]:
    compiled, lite = _version('mmcv'), _version('mmcv-lite')
    if compiled and lite:
        yield Finding('mmcv', 'missing', 'mmcv and mmcv-lite, which overwrite one another: uninstall one')
    elif not compiled and not lite:
        yield Finding('mmcv', 'missing', 'not installed: pip install "mmcv-lite<2.2"')
    else:
        operators = importlib.util.find_spec('mmcv._ext') is not None
        about = (
            'compiled operators' if operators else "the package's own operators stand in for compiled ones"
        )
        yield Finding('mmcv', 'ok', f'{compiled or lite} ({about})')


def _works_together() -> Iterator[Finding]:
    try:
        from .. import registration  # noqa: F401  (brings torch)
    except Exception as error:
        yield Finding('together', 'missing', f'{type(error).__name__}: {" ".join(str(error).split())[:200]}')
        return
    yield Finding('together', 'ok', 'torch, mmengine, mmcv and mmdet load together')
    import torch

    for number in range(torch.cuda.device_count()):
        free, total = (round(size / 2**30, 1) for size in torch.cuda.mem_get_info(number))
        yield Finding('GPU', 'ok', f'{torch.cuda.get_device_name(number)}, {free} of {total} GiB free')
    if not torch.cuda.is_available():
        yield Finding('GPU', 'note', f'none; {torch.get_num_threads()} threads of {os.cpu_count()} cores')


def _weights() -> Iterator[Finding]:
    files = sorted(WEIGHTS.glob('*.safetensors'))
    yield Finding(
        'weights', 'ok' if files else 'missing', ', '.join(f'{SCHEME}{file.stem}' for file in files)
    )


def _fonts() -> Iterator[Finding]:
    from PIL import ImageFont, features

    if not features.check('freetype2'):
        yield Finding('fonts', 'note', 'Pillow without FreeType: the words on drawings are small')
        return
    family = ImageFont.load_default(12).getname()[0]
    yield Finding('fonts', 'ok', f"{family}, Pillow's own: Latin letters; others are drawn as boxes")


def _disk() -> Iterator[Finding]:
    here = Path.cwd()
    free = shutil.disk_usage(here).free / 1e9
    about = f'{free:.0f} GB free in {here}'
    if not os.access(here, os.W_OK):
        yield Finding('disk', 'note', f'{about}, which cannot be written to')
    elif free < FREE_GB:
        yield Finding('disk', 'note', f'{about}: a large training keeps about {FREE_GB} GB of checkpoints')
    else:
        yield Finding('disk', 'ok', about)


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _python, _packages, _mmcv, _works_together, _weights, _fonts, _disk,
)  # fmt: skip
