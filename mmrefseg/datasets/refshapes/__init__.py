"""RefShapes: images of shapes with sentences, made from a seed, to train and test without a download.

``shapes`` says what there is, ``scene`` puts it together, ``render`` draws it,
``meaning`` defines what a sentence can mean and when that is true,
``expressions`` chooses what to say and how, ``writers`` and ``generate`` put it
on disk.
"""

from .generate import RefShapes, generate, make_image, make_scene
from .presets import PRESETS, Preset, SplitRules

__all__ = ['PRESETS', 'Preset', 'RefShapes', 'SplitRules', 'generate', 'make_image', 'make_scene']
