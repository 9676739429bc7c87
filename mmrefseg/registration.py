"""Import everything that registers itself into mmdet's registries."""

import importlib
import importlib.util
import warnings

# INTERIM, while the package is being written: a subpackage that is not there yet is passed over.
SUBPACKAGES = ('codecs', 'datasets', 'models', 'evaluation', 'engine', 'visualization')


def register_all_modules() -> None:
    """Import the subpackages whose classes a config can name, so that mmdet's registries know them."""
    for name in SUBPACKAGES:
        module = f'mmrefseg.{name}'
        if importlib.util.find_spec(module) is None:
            continue
        try:
            importlib.import_module(module)
        except Exception as error:
            warnings.warn(f'INTERIM: {module} does not import yet: {error!r}', stacklevel=2)
