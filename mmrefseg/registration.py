"""Import everything that registers itself into mmdet's registries."""


def register_all_modules() -> None:
    """Import the subpackages whose classes a config can name, so that mmdet's registries know them.

    ``import mmrefseg`` has done it already; the function is there because every OpenMMLab package has one.
    """
    from . import codecs, datasets, engine, evaluation, models, visualization  # noqa: F401
