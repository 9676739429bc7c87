"""Where the configs, tools and weights lie that come with the package."""

import os
from pathlib import Path

from .errors import UserInputError

PACKAGE = Path(__file__).resolve().parents[1]
WEIGHTS = PACKAGE / 'weights'
SCHEME = 'mmrefseg://'
DEFAULT = f'{SCHEME}box-refiner_tiny_m05_refshapes'
"""The weights that predict where nobody names any."""

VAL_FOLDER = 'val_images'
"""Where a training keeps small pictures of its validations, in the folder of its log."""


def shipped(path: str | os.PathLike) -> Path:
    """A config, tool or demo of this package: in the installed package, else in the checkout.

    Args:
        path: Relative to the root of the checkout, as ``tools/train.py``; an absolute one stays what it is.

    Returns:
        The path, relative to the current folder if it is below it. It may not exist.
    """
    places = (PACKAGE / '.mim' / path, PACKAGE.parent / path)
    place = next((place for place in places if place.exists()), places[-1]).resolve()
    return place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place


def shipped_config(word: str) -> str:
    """A word that names a config of the package, by its path or by its name alone, as the file it means.

    Any other word, and one that is a file or folder here, stays what it is.
    """
    if Path(word).exists():
        return word
    if word.startswith('configs/') and shipped(word).is_file():
        return str(shipped(word))
    named = {file.stem: file for file in shipped('configs').rglob('*.py') if '_base_' not in file.parts}
    return str(named.get(word, word))


def is_shipped(address: str | os.PathLike) -> bool:
    """Whether this names weights inside the package, as ``mmrefseg://rec_tiny_refshapes`` does."""
    return str(address).startswith(SCHEME)


def shipped_weights(address: str) -> Path:
    """The file of weights inside the package.

    Args:
        address: ``mmrefseg://NAME``.

    Raises:
        UserInputError: If there is no such file; the sentence lists the names that there are.
    """
    known = {file.stem: file for file in sorted(WEIGHTS.glob('*.safetensors'))}
    name = address.removeprefix(SCHEME)
    if name not in known:
        *others, last = (f'{SCHEME}{each}' for each in known)
        names = f'{", ".join(others)} or {last}' if others else last
        raise UserInputError.of(address, 'no weights of that name in the package', names, 'correct the name')
    return known[name]
