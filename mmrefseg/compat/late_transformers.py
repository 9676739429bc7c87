"""mmengine and mmdet without ``transformers``, until something of theirs wants it.

Both import it for one optimizer and for the language models of GLIP and Grounding DINO, a third of the time
that a tool needs to start. What they import is put off instead: it is loaded where it is used.
"""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

NAME = 'transformers'
# What they import that can be put off: they call it, or its from_pretrained.
LATE = ('Adafactor', 'AutoTokenizer', 'BertConfig', 'BertModel')


@contextmanager
def late_transformers() -> Iterator[None]:
    """Within, ``transformers`` has :data:`LATE` alone, which import the real ones when they are called.

    Nothing is done where it is imported already or not installed.
    """
    spec = None if NAME in sys.modules else importlib.util.find_spec(NAME)
    if spec is None:
        yield
        return
    stand_in = ModuleType(NAME)
    stand_in.__spec__ = spec  # for those who ask only whether it is installed
    for name in LATE:
        setattr(stand_in, name, _late(name))
    sys.modules[NAME] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(NAME) is stand_in:
            del sys.modules[NAME]


def _late(name: str) -> Callable[..., Any]:
    """A function, for mmengine registers no other objects, that does what the class of that name does."""

    def make(*args: Any, **kwargs: Any) -> Any:
        return _real(name)(*args, **kwargs)

    def from_pretrained(*args: Any, **kwargs: Any) -> Any:
        return _real(name).from_pretrained(*args, **kwargs)

    make.__name__ = make.__qualname__ = name
    make.from_pretrained = from_pretrained
    return make


def _real(name: str) -> Any:
    return getattr(importlib.import_module(NAME), name)
