"""Thin mmengine shells around :mod:`mmrefseg.evaluation.functional`, registered in mmdet's METRICS."""

from .pseudo_label_dump import PseudoLabelDump
from .rec_metric import RECMetric
from .res_metric import RESMetric

__all__ = ['PseudoLabelDump', 'RECMetric', 'RESMetric']
