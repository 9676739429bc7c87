"""Where the configs and tools lie that come with the package."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def shipped(path: str | os.PathLike) -> Path:
    """A config or tool of this package: in the installed package, else in the checkout.

    Args:
        path: Relative to the root of the checkout, as ``tools/train.py``; an absolute one stays what it is.

    Returns:
        The path, relative to the current folder if it is below it. It may not exist: ``demo/``, for one,
        is not installed.
    """
    places = (PACKAGE / '.mim' / path, PACKAGE.parent / path)
    place = next((place for place in places if place.exists()), places[-1]).resolve()
    return place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place
