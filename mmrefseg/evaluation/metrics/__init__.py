"""Thin mmengine shells around :mod:`mmrefseg.evaluation.functional`, registered in mmdet's METRICS."""

from .rec_metric import RECMetric
from .res_metric import RESMetric

__all__ = ['RECMetric', 'RESMetric']
