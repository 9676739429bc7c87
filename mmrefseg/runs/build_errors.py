"""Errors of classes that a config builds: which of their settings is of the wrong kind."""

import inspect
import types
import typing
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from ..utils.errors import short


def explain_build(error: Exception) -> str | None:
    """One sentence for an error that a class raised while it was built from a config; None for others.

    Settings of another kind than the class says of its arguments are named.
    """
    found = _built(error.__traceback__)
    if found is None:
        return None
    cls, settings = found
    message = ' '.join(str(error).split())
    reason = f'{type(error).__name__}: {message}' if message else type(error).__name__
    wrong = [f'{name}={short(value)}' for name, value in settings.items() if not _fits(cls, name, value)]
    what = f' with {", ".join(wrong)}' if wrong else ''
    return f'{cls.__name__} cannot be built{what} ({reason}); correct the config'


def _built(traceback: TracebackType | None) -> tuple[type, Mapping[str, Any]] | None:
    """The innermost class that was being built, and its settings."""
    found = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_name == 'build_from_cfg':
            values = traceback.tb_frame.f_locals
            if inspect.isclass(values.get('obj_cls')) and isinstance(values.get('args'), Mapping):
                found = values['obj_cls'], dict(values['args'])
        traceback = traceback.tb_next
    return found


def _fits(cls: type, name: str, value: Any) -> bool:
    """Whether a value is of the kind that the class, or one it hands it on to, says; True in doubt."""
    for base in cls.__mro__:
        init = vars(base).get('__init__')
        try:
            hints = typing.get_type_hints(init) if init is not None else {}
        except (NameError, TypeError):  # of names that are only there for a type checker
            hints = {}
        if name in hints:
            return _is(value, hints[name])
    return True


def _is(value: Any, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_is(value, one) for one in typing.get_args(hint))
    kind = origin or hint
    if not inspect.isclass(kind):
        return True
    if kind is float and type(value) is int:
        return True
    return isinstance(value, kind)
