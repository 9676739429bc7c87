"""mmengine's writers to Weights & Biases and MLflow, mended for their versions and what users expect."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from mmdet.registry import VISBACKENDS
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.visualization import MLflowVisBackend, WandbVisBackend
from mmengine.visualization.vis_backend import force_init_env

from ..utils import UserInputError


@VISBACKENDS.register_module()
class RefWandbVisBackend(WandbVisBackend):
    """mmengine's, which keeps to the run: no copies of a folder's programs.

    A start that fails, as without a key, is one sentence.
    """

    def _init_env(self) -> None:
        with _sentence('wandb', 'wandb login, or WANDB_MODE=offline'):
            super()._init_env()

    @force_init_env
    def add_config(self, config: Config, **kwargs) -> None:
        """Record the config.

        mmengine's also logs each Python file below the current folder: of a checkout with a .venv, tens of
        thousands, and a user has not asked for any of them to leave the machine.

        Args:
            config: Of the run.

        Raises:
            UserInputError: If Weights & Biases cannot start.
        """
        self._wandb.config.update(config.to_dict(), allow_val_change=True)


@VISBACKENDS.register_module()
class RefMLflowVisBackend(MLflowVisBackend):
    """mmengine's, whose plain files MLflow refuses by now: a database in the work directory.

    ``MLFLOW_TRACKING_URI`` in the environment, or ``tracking_uri``, names another, or a server. A server also
    gets the logs at the end; in the work directory they lie already.
    """

    def _init_env(self) -> None:
        os.environ.setdefault('MLFLOW_DISABLE_TELEMETRY', 'true')  # a training calls nobody unasked
        logger = MMLogger.get_current_instance()
        level = logger.level
        logger.setLevel(logging.ERROR)  # mmengine warns that a server must run, where there is none
        try:
            with _sentence('mlflow', 'check MLFLOW_TRACKING_URI and pip install mlflow (not -skinny)'):
                super()._init_env()
        finally:
            logger.setLevel(level)

    def add_config(self, config: Config, **kwargs) -> None:
        """Choose where to write, and record the config.

        Args:
            config: Of the run, with its ``work_dir``.

        Raises:
            UserInputError: If MLflow cannot start.
        """
        self._tracking_uri = self._tracking_uri or os.environ.get('MLFLOW_TRACKING_URI')
        if self._tracking_uri is None:
            folder = Path(config.work_dir).resolve()
            self._tracking_uri = f'sqlite:///{folder / "mlflow.db"}'
            self._artifact_location = (folder / 'mlflow_artifacts').as_uri()
            self._artifact_suffix = ()
        super().add_config(config, **kwargs)

    @force_init_env
    def add_image(self, name: str, image: np.ndarray, step: int = 0, **kwargs) -> None:
        """Record an image as a file of its step: MLflow knows a format by a file's name alone.

        Args:
            name: Its folder.
            image: RGB.
            step: Of the run.
        """
        self._mlflow.log_image(image, f'{name}/{step:08d}.png')


@contextmanager
def _sentence(package: str, advice: str) -> Iterator[None]:
    """Turn whatever keeps a package from starting into one sentence.

    Raises:
        UserInputError: Instead of any error.
    """
    try:
        yield
    except Exception as error:  # each package has errors of its own, and the run has not begun
        said = ' '.join(str(error).split()) or type(error).__name__
        raise UserInputError.of(
            f'--log-to {package}', f'that it cannot start ({said})', 'a start', advice
        ) from error
