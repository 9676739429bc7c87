from .inferencer import RefSegInferencer
from .instance_inferencer import InstanceInferencer

__all__ = ['InstanceInferencer', 'RefSegInferencer']
