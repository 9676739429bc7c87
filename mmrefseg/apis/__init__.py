"""The inferencers: images and sentences in, masks out."""

from ..compat import quick_mmdet  # noqa: F401  isort: skip  (before anything imports mmdet)
from .inferencer import RefSegInferencer
from .instance_inferencer import InstanceInferencer
from .prediction import Prediction, Predictions
from .predictor import Predictor, load

__all__ = ['InstanceInferencer', 'Prediction', 'Predictions', 'Predictor', 'RefSegInferencer', 'load']
