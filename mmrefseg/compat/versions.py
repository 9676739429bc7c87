"""Which versions of the host packages work together, and which of their warnings say nothing."""

import importlib.metadata
import importlib.util
import warnings
from typing import NamedTuple

from packaging.specifiers import SpecifierSet
from packaging.version import Version


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


HOSTS = {
    'torch': ('torch', '>=2.6', 'torch==2.13.0'),
    'mmengine': ('mmengine', '>=0.10.4,<1.0', 'mmengine==0.10.7'),
    'mmcv': ('mmcv|mmcv-lite', '>=2.0.0,<2.2.0', 'mmcv-lite==2.1.0'),
    'mmdet': ('mmdet', '>=3.3.0,<4.0', 'mmdet==3.3.0'),
}
"""Module -> (distributions that hold it, versions that work, what to install)."""


class IncompatibleVersionError(ImportError):
    """A host package is missing or of a version that this package does not work with."""


def check_versions() -> None:
    """Compare the installed host packages with those that work.

    Raises:
        IncompatibleVersionError: One sentence with what was found, what was expected and the command.
    """
    for module, (distributions, expected, requirement) in HOSTS.items():
        found = _installed_version(distributions.split('|'))
        if found is None or not SpecifierSet(expected).contains(
            Version(found).base_version, prereleases=True
        ):
            raise IncompatibleVersionError(
                f'mmrefseg: found {module} {found or "not installed"}, expected {module} {expected}; '
                f'run `pip install {requirement}` (or `make install`, which pins everything)'
            )
    if importlib.util.find_spec('pkg_resources') is None:
        raise IncompatibleVersionError(
            'mmrefseg: found no pkg_resources, which mmengine imports, expected setuptools <81; '
            "run `pip install 'setuptools<81'`"
        )


def _installed_version(distributions: list[str]) -> str | None:
    for distribution in distributions:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
