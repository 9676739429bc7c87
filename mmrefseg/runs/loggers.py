"""Other programs that a run may be watched with: TensorBoard, Weights & Biases, MLflow and more."""

import importlib.util
from collections.abc import Iterable, Mapping
from typing import Any

from ..utils.errors import UserInputError, did_you_mean

PACKAGES = {
    'TensorboardVisBackend': 'tensorboard',
    'WandbVisBackend': 'wandb',
    'RefWandbVisBackend': 'wandb',
    'MLflowVisBackend': 'mlflow',
    'RefMLflowVisBackend': 'mlflow',
    'ClearMLVisBackend': 'clearml',
    'NeptuneVisBackend': 'neptune',
    'DVCLiveVisBackend': 'dvclive',
    'AimVisBackend': 'aim',
}
"""A class of mmengine or of this package -> the package that it needs."""
LOGGERS = {
    'tensorboard': 'TensorboardVisBackend',
    'wandb': 'RefWandbVisBackend',
    'mlflow': 'RefMLflowVisBackend',
}
"""Words of ``--log-to``."""


def logger_names(text: str | None) -> list[str]:
    """The words of ``--log-to A,B``, whose packages are there. Nothing heavy is imported.

    Raises:
        UserInputError: For another word, or a package that is not installed.
    """
    names = [name for name in (text or '').split(',') if name]
    if text is not None and not names:
        raise UserInputError.of('--log-to', 'no name', f'some of {", ".join(LOGGERS)}', 'write one')
    for name in names:
        if name not in LOGGERS:
            near = did_you_mean(name, LOGGERS)
            expected = f'some of {", ".join(LOGGERS)}'
            raise UserInputError.of('--log-to', f'{name!r}{near}', expected, 'correct the name')
    check_packages((LOGGERS[name] for name in names), '--log-to')
    return names


def check_packages(types: Iterable[str], where: str) -> None:
    """See that what backends of mmengine import is installed.

    Args:
        types: Names of classes.
        where: What named them, for the message.

    Raises:
        UserInputError: For the first that is not.
    """
    for name in types:
        package = PACKAGES.get(str(name).rsplit('.', 1)[-1])
        spec = importlib.util.find_spec(package) if package else None
        if package and (spec is None or spec.origin is None):  # a folder of that name is no package
            raise UserInputError.of(
                where, f'no {package} installed, which {name} writes with', f'the package {package}',
                f'pip install {package}, or leave it out',
            )  # fmt: skip


def add_loggers(config: Mapping[str, Any], names: Iterable[str], run: str) -> None:
    """Let a run also write to other programs.

    Args:
        config: Changed: ``visualizer.vis_backends``.
        names: Of :data:`LOGGERS`.
        run: The run's name, where the program shows one.
    """
    names = list(names)
    visualizer = config.get('visualizer') or {'type': 'RefVisualizer', 'name': 'visualizer'}
    backends = list(visualizer.get('vis_backends') or [{'type': 'LocalVisBackend'}])
    there = {PACKAGES.get(backend.get('type')) for backend in backends}
    for name in names:
        if PACKAGES[LOGGERS[name]] not in there:
            backends.append({'type': LOGGERS[name], **_settings(name, run)})
    visualizer['vis_backends'] = backends
    config['visualizer'] = visualizer


def _settings(name: str, run: str) -> dict[str, Any]:
    """A project and a name for the run, where there is a choice."""
    if name == 'wandb':
        return {'init_kwargs': {'project': 'mmrefseg', 'name': run}}
    return {'exp_name': 'mmrefseg', 'run_name': run} if name == 'mlflow' else {}
