"""Hooks, optimizers and schedulers that mmengine lacks."""

from .. import compat  # noqa: F401  isort: skip  (before anything imports mmdet)
from .hooks import *  # noqa: F403
from .optim import *  # noqa: F403
