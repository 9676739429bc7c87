"""Thin mmengine shells around :mod:`mmrefseg.evaluation.functional`, registered in mmdet's METRICS."""

from ... import compat  # noqa: F401  isort: skip  (before anything imports mmdet)
from .instance_metric import InstanceMetric
from .pseudo_label_dump import PseudoLabelDump
from .ref_metrics import RECMetric, RESMetric

__all__ = ['InstanceMetric', 'PseudoLabelDump', 'RECMetric', 'RESMetric']
