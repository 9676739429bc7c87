from .darknet53 import DarkNet53
from .language_swin import LanguageSwin

__all__ = ['DarkNet53', 'LanguageSwin']
