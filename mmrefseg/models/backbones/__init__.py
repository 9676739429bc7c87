from .darknet53 import DarkNet53
from .language_swin import LanguageSwin
from .late_language_swin import LateLanguageSwin

__all__ = ['DarkNet53', 'LanguageSwin', 'LateLanguageSwin']
