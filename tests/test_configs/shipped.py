"""The shipped configs, read once."""

import ast
import functools
from pathlib import Path

from mmengine.config import Config

ROOT = Path(__file__).parents[2] / 'configs'
# What a user names on a command line; the parts in _base_ are read through them.
PATHS = {path.stem: path for path in sorted(ROOT.rglob('*.py')) if '_base_' not in path.parts}
# Full-size Partial-RES: the stages of three data sets.
DATASETS = ('refcoco-unc', 'refcocoplus-unc', 'refcocog-umd')
STAGES = ('rec', 'm100', *(f'm{r}{s}' for r in ('01', '05', '10') for s in ('', '-pseudo', '-retrain')))


@functools.cache
def load(name: str) -> Config:
    """A config by the name of its file."""
    return Config.fromfile(str(PATHS[name]))


def stage(name: str, dataset: str = 'refcoco-unc') -> str:
    """Name of a full-size Partial-RES config."""
    return f'partial-res_darknet53_{name}_{dataset}'


def bases(path: Path) -> list[Path]:
    """The files that a config names in ``_base_``; those of other packages (``mmdet::``) are left out."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == '_base_':
            named = ast.literal_eval(node.value)
            named = [named] if isinstance(named, str) else named
            return [(path.parent / name).resolve() for name in named if '::' not in name]
    return []


def depth(path: Path) -> int:
    """How many of our own files a config passes through, itself included."""
    return 1 + max((depth(base) for base in bases(path)), default=0)
