"""Let mmengine's configs refer to this package's as ``mmrefseg::partial_res/...``."""

from mmengine.config.utils import MODULE2PACKAGE

PACKAGE = 'mmrefseg'


def allow_package_configs() -> None:
    """Add the package to the list of those that ``_base_ = 'PACKAGE::FOLDER/FILE.py'`` may name.

    mmengine then looks for the file under ``mmrefseg/.mim/configs``, which setup.py fills.
    """
    MODULE2PACKAGE.setdefault(PACKAGE, PACKAGE)
