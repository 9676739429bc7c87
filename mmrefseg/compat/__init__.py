"""The only code of the package that knows other packages' versions.

Importing it makes the host packages (torch, mmengine, mmcv, mmdet) work
together; every package that needs mmdet does so first.
"""

from .versions import IncompatibleVersionError, check_versions

check_versions()  # before the imports below, which would fail in their own words

from .late_transformers import late_transformers  # noqa: E402

with late_transformers():
    import mmengine.optim  # noqa: F401

from .checkpoint import allow_mmengine_state, know_package_weights, load_checkpoint_file  # noqa: E402
from .configs import allow_package_configs, read_yaml_as_data  # noqa: E402
from .formatted_texts import format_texts_once  # noqa: E402
from .ops import MissingOperatorError, compiled_operators_installed, install_operators  # noqa: E402
from .versions import silence_known_warnings  # noqa: E402
from .whole_files import write_files_whole  # noqa: E402

install_operators()
allow_mmengine_state()
know_package_weights()
allow_package_configs()
read_yaml_as_data()
write_files_whole()
format_texts_once()
silence_known_warnings()

__all__ = [
    'IncompatibleVersionError',
    'MissingOperatorError',
    'check_versions',
    'compiled_operators_installed',
    'load_checkpoint_file',
]
