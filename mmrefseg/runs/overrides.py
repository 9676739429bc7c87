"""``--cfg-options``: settings of a config, and variables that its files compute settings from."""

import difflib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from ..compat.config_variables import like, variables_changed
from ..utils.errors import UserInputError, did_you_mean, short

# Names at the top of a config that mmengine's Runner, mmdet and the tools read; others are variables.
RUNNER_KEYS = {
    *inspect.signature(Runner.__init__).parameters,
    *('find_unused_parameters', 'sync_bn', 'compile', 'activation_checkpointing', 'efficient_conv_bn_eval'),
    *('custom_imports', 'runner_type', 'tta_model', 'tta_pipeline', 'backend_args', 'accelerate'),
    *('auto_scale_lr', 'terminal_log'),
} - {'self', 'cfg'}
LOOSE = ('test_cfg', 'train_cfg', 'env_cfg', 'mp_cfg', 'dist_cfg')
"""Settings that are no class's arguments: nobody refuses a name in them that nobody reads."""


def read_config(path: str, options: Mapping[str, Any], imports: bool = True) -> Config:
    """Read a config file with options; what the file computes from a variable that one changes follows.

    Args:
        path: A config file.
        options: ``{'a.b.c': value}``.
        imports: Import what its ``custom_imports`` name, which takes seconds: models, mmdet.

    Raises:
        UserInputError: If the file cannot be read, or an option fits nothing in it or would change nothing.
    """
    config = _read(path, imports=imports)
    for key in options:
        _refuse_unknown(config, key)
    variables = {key: value for key, value in options.items() if key.split('.')[0] not in RUNNER_KEYS}
    if variables:
        config = _with_variables(path, config, variables, imports)
    for key, value in options.items():
        _merge(config, key, value)
    return config


def _read(path: str, options: Mapping[str, Any] | None = None, imports: bool = True) -> Config:
    try:
        return Config.fromfile(path, import_custom_modules=imports)
    except Exception as error:  # a config is a program of the user's: any error in it is one of the input
        reason = ' '.join(str(error).split()) or 'no reason given'
        said = f'{path}: the config cannot be read ({type(error).__name__}: {reason}); correct it'
        if options:
            given = ' '.join(f'{key}={short(value)}' for key, value in options.items())
            said = (
                f'--cfg-options {given}: {path} cannot be computed with it '
                f'({type(error).__name__}: {reason}); give a value of the kind that stands there'
            )
        raise UserInputError(said) from error


def _refuse_unknown(config: Config, key: str) -> None:
    """A name that is not there and that nothing reads."""
    top = key.split('.')[0]
    if top not in config and top not in RUNNER_KEYS:
        near = did_you_mean(top, [*config, *RUNNER_KEYS])
        raise UserInputError(
            f'--cfg-options {key}: the config has no {top!r}{near}, and nothing would read it; '
            'correct the key'
        )
    *above, last = key.split('.')
    holder = _get(config, above)
    if not above or above[-1] not in LOOSE or not isinstance(holder, Mapping) or 'type' in holder:
        return
    near = difflib.get_close_matches(last, list(holder), 1, cutoff=0.8)
    if near and last not in holder:
        raise UserInputError(
            f'--cfg-options {key}: {".".join(above)} has no {last!r} (did you mean {near[0]}?), and nothing '
            'would read it; correct the key'
        )


def _get(node: Any, keys: list[str]) -> Any:
    """What lies below some keys; None where there is nothing."""
    for key in keys:
        if isinstance(node, list | tuple) and key.isdigit() and int(key) < len(node):
            node = node[int(key)]
        else:
            node = node.get(key) if hasattr(node, 'get') else None
    return node


def _merge(config: Config, key: str, value: Any) -> None:
    try:
        config.merge_from_dict({key: like(_get(config, key.split('.')), value)})
    except Exception as error:  # KeyError, TypeError, IndexError, AssertionError by mmengine
        reason = ' '.join(str(error).split())
        raise UserInputError(
            f'--cfg-options {key}={value}: does not fit the config ({reason}); check the key'
        ) from error


def _with_variables(path: str, plain: Config, options: Mapping[str, Any], imports: bool) -> Config:
    """The config computed anew, and a refusal of a variable that this run is not computed from."""
    changes: dict[str, dict[tuple[str, ...], Any]] = {}
    for key, value in options.items():
        top, *below = key.split('.')
        changes.setdefault(top, {})[tuple(below)] = value
    with variables_changed(changes):
        config = _read(path, options, imports)
    for top in changes:
        given = {key: value for key, value in options.items() if key.split('.')[0] == top}
        news = [like(_get(plain, key.split('.')), value) for key, value in given.items()]
        if news == [_get(plain, key.split('.')) for key in given]:
            continue  # says what stands there
        with variables_changed({top: changes[top]}):
            alone = config if len(changes) == 1 else _read(path, given, imports)
        if _settings(alone) == _settings(plain):
            _refuse_idle(next(iter(given)), plain)
    return config


def _settings(config: Config) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key in RUNNER_KEYS}


def _refuse_idle(key: str, config: Config) -> None:
    """Name settings that may be meant: those of the variable's name, else those with its value."""
    old, name = _get(config, key.split('.')), key.rsplit('.', 1)[-1]
    pairs = list(_leaves(_settings(config)))
    meant = [where for where, _ in pairs if where.rsplit('.', 1)[-1] == name]
    if not meant and isinstance(old, str | tuple):
        meant = [where for where, value in pairs if value == old]
    todo = f'set {" ".join(f"{where}=..." for where in meant[:3])}' if meant else 'set what it shall change'
    raise UserInputError(
        f'--cfg-options {key}: found a variable that no setting of this run is computed from, expected a '
        f'setting; {todo}'
    )


def _leaves(node: Any, above: str = '') -> Iterator[tuple[str, Any]]:
    """Each setting that holds no others, with its key."""
    items = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        where = f'{above}.{key}' if above else str(key)
        if isinstance(value, Mapping | list):
            yield from _leaves(value, where)
        else:
            yield where, value
