"""mmdet's models and transforms, imported without ``transformers``, see :mod:`.late_transformers`."""

from .late_transformers import late_transformers

with late_transformers():
    import mmdet.datasets.transforms
    import mmdet.models  # noqa: F401
