"""Warnings of the host packages that a user of this package can do nothing about, and that mean no harm.

Every entry says where it comes from and why it may be silenced; nothing else is.
"""

import warnings
from typing import NamedTuple


class Harmless(NamedTuple):
    """One warning; the fields are those of ``warnings.filterwarnings``."""

    message: str
    category: type[Warning]
    module: str


HARMLESS = [
    # mmengine imports pkg_resources whenever a config names another package; setuptools<81, which has it, is
    # pinned, and its presence is checked at import
    Harmless('pkg_resources is deprecated as an API', UserWarning, r'mmengine\.utils|importlib'),
    # mmdet copies pasted masks with `new_tensor`, which torch would have written as `clone`: the same values
    Harmless('To copy construct from a tensor', UserWarning, r'mmdet\.models\.roi_heads\.mask_heads'),
]


def silence_known_warnings() -> None:
    """Filter out the warnings in :data:`HARMLESS`."""
    for harmless in HARMLESS:
        warnings.filterwarnings('ignore', **harmless._asdict())
