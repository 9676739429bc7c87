"""Let mmengine's configs refer to this package's as ``mmrefseg::partial_res/...``."""

from pathlib import Path

import yaml
from mmengine import utils
from mmengine.config import Config
from mmengine.config import config as config_module
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.fileio.handlers import yaml_handler
from mmengine.hub import hub
from mmengine.utils import package_utils

PACKAGE = 'mmrefseg'
PACKAGE_FOLDER = Path(__file__).resolve().parents[1]

_mmengine_installed_path = package_utils.get_installed_path
_mmengine_cfg_path = Config._get_cfg_path


class DataLoader(getattr(yaml, 'CSafeLoader', yaml.SafeLoader)):
    """Reads yaml as data: text, numbers, lists, mappings, and the tuples that mmengine's own dumps hold."""


DataLoader.add_constructor(
    'tag:yaml.org,2002:python/tuple', lambda loader, node: tuple(loader.construct_sequence(node, deep=True))
)


def read_yaml_as_data() -> None:
    """Let mmengine read yaml without making objects: its loader calls what a ``!!python/...`` tag names.

    A .py config is a program and is run as one; a yaml or json file is data, whoever wrote it.
    """
    yaml_handler.Loader = DataLoader


def allow_package_configs() -> None:
    """Add the package to those that ``_base_ = 'PACKAGE::FOLDER/FILE.py'`` may name, and say where it is.

    mmengine looks for the file under ``.mim/configs`` of the package, which setup.py fills. It takes the
    package's folder to be beside the installed metadata, which is not so for an editable install (PEP 660).
    """
    MODULE2PACKAGE.setdefault(PACKAGE, PACKAGE)
    for module in (utils, package_utils, config_module, hub):
        module.get_installed_path = get_installed_path
    Config._get_cfg_path = staticmethod(get_cfg_path)


def get_cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
    """As mmengine's, but types of our configs keep the scope of the config that inherits from them.

    mmengine marks what comes from a package with the package's own scope. Ours has none: its classes are in
    mmdet's registries.

    Args:
        cfg_path: What ``_base_`` says.
        filename: The config that says it.

    Returns:
        The file, and the scope of its types.
    """
    path, scope = _mmengine_cfg_path(cfg_path, filename)
    return path, None if scope == PACKAGE else scope


def get_installed_path(package: str) -> str:
    """As mmengine's function, and right for an editable install of this package.

    Args:
        package: Name of an installed package.

    Returns:
        The folder of its Python files.
    """
    return str(PACKAGE_FOLDER) if package == PACKAGE else _mmengine_installed_path(package)
