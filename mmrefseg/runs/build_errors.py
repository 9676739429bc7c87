"""Errors of classes that a config builds: which of their settings is of the wrong kind."""

import inspect
import types
import typing
from collections.abc import Iterator, Mapping
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


def built_key(error: BaseException, begins: str | None = None) -> str | None:
    """Where in the config of a run the settings stand that a class could not be built with: ``a.b.c``.

    Args:
        error: Caught where the config is a variable of a calling function, or the runner's.
        begins: A message; None is returned if it does not begin with the name of that class.
    """
    found = _built(error.__traceback__)
    if found is None or (begins is not None and not begins.startswith(f'{found[0].__name__}:')):
        return None
    places = dict(_places(_config_of(error.__traceback__), found[0].__name__, found[1]))
    return max(places, key=places.get, default=None)


def _config_of(traceback: TracebackType | None) -> Mapping[str, Any]:
    """The first config that is a variable of the functions that led to an error."""
    while traceback is not None:
        values = traceback.tb_frame.f_locals
        for config in (values.get('config'), getattr(values.get('self'), '__dict__', {}).get('cfg')):
            if type(config).__name__ == 'Config':  # of mmengine, which is not imported for a sentence
                return dict(config.items())
        traceback = traceback.tb_next
    return {}


def _places(node: Any, name: str, settings: Mapping[str, Any], key: str = '') -> Iterator[tuple[str, int]]:
    """The keys of all dicts of a ``type`` of that name and of none but these settings, with their number."""
    if isinstance(node, Mapping):
        own = {each: value for each, value in node.items() if each != 'type'}
        same = all(each in settings and settings[each] == value for each, value in own.items())
        if str(node.get('type')).rpartition('.')[2] == name and same:
            yield key, len(own)
        children = node.items()
    else:
        children = enumerate(node) if isinstance(node, list | tuple) else ()
    for each, value in children:
        yield from _places(value, name, settings, f'{key}.{each}' if key else str(each))


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
