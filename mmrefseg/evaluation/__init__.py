"""What a number means: pure functions on pairs of masks, and metrics that mmengine can run."""

from . import functional
from .metrics import InstanceMetric, PseudoLabelDump, RECMetric, RESMetric

__all__ = ['InstanceMetric', 'PseudoLabelDump', 'RECMetric', 'RESMetric', 'functional']
