"""Warnings of the host packages that a user of this package can do nothing about, and that mean no harm.

Every entry says where it comes from and why it may be silenced; nothing else is.
"""

import warnings

HARMLESS = {
    # mmengine.utils.package_utils imports pkg_resources whenever a config names another package;
    # setuptools<81, which has it, is pinned and its presence is checked at import
    'pkg_resources is deprecated as an API': UserWarning,
}
"""Beginning of the message -> its category."""


def silence_known_warnings() -> None:
    """Filter out the warnings in :data:`HARMLESS`."""
    for message, category in HARMLESS.items():
        warnings.filterwarnings('ignore', message=message, category=category)
