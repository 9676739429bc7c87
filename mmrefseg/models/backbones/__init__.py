from .darknet53 import DarkNet53

__all__ = ['DarkNet53']
