"""A config as data: the text that mmengine writes into ``meta['cfg']`` of a checkpoint, without running it.

mmengine reads such a text by executing it. A checkpoint may come from anybody, so here the text is parsed:
names get numbers, texts, lists, tuples, dicts and ``dict(...)``, and whatever else it holds is refused. What
a config then builds is looked at too (:func:`untrusted_type`): its types must be names of registered classes.
"""

import ast
import contextlib
import math
from collections.abc import Container, Iterator, Mapping
from typing import Any

from ..utils import UserInputError
from ..utils.errors import short

LONGEST = 5_000_000
"""Letters of a text; a config of ten thousand words has about 200,000."""
NAMES = {'inf': math.inf, 'nan': math.nan, 'True': True, 'False': False, 'None': None}
KINDS = ('MODELS', 'TASK_UTILS', 'TRANSFORMS', 'WEIGHT_INITIALIZERS')
PLAIN = {'nms', 'soft_nms', 'RoIAlign', 'RoIPool'}
"""Types that no registry knows: mmcv and mmdet look up the name among their functions and operators."""
REFUSED = {'CameraMotionCompensation', 'KnowledgeDistillationSingleStageDetector', 'LAD'}
"""Classes of mmdet that evaluate an argument, or run a config file that one names."""


def read_config_text(text: str, where: str) -> dict[str, Any]:
    """The settings of a config as text, without running it.

    Args:
        text: ``name = value`` lines, as ``Config.pretty_text`` writes them.
        where: The file that holds it, for the message.

    Returns:
        Name -> plain value.

    Raises:
        UserInputError: If it is no such text.
    """
    try:
        if not isinstance(text, str) or len(text) > LONGEST:
            raise ValueError(f'a {type(text).__name__} of {len(text)} letters')
        return dict(_assigned(node) for node in ast.parse(text).body)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise UserInputError.of(
            where, f'a config that is more than plain values ({reason})', 'names with plain values',
            'give the config that it was trained with',
        ) from None  # fmt: skip


def _assigned(node: ast.stmt) -> tuple[str, Any]:
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id, _value(node.value)
    raise ValueError(f'line {node.lineno}')


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return value
        case ast.Name(id=name) if name in NAMES:
            return NAMES[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item) for item in items)
        case ast.Set(elts=items):
            return {_value(item) for item in items}
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return {_value(key): _value(value) for key, value in zip(keys, values, strict=True)}
        case ast.Call(func=ast.Name(id='dict'), args=[] | [ast.Dict()] as first, keywords=pairs) if all(
            pair.arg for pair in pairs
        ):
            named = {pair.arg: _value(pair.value) for pair in pairs}
            return {**(_value(first[0]) if first else {}), **named}
        case ast.Call(func=ast.Name(id='float'), args=[ast.Constant(value=str() as text)], keywords=[]):
            return float(text)
        case ast.BinOp(
            left=ast.Constant(value=str() as left), op=ast.Add(), right=ast.Constant(value=str() as right)
        ):
            return left + right
    raise ValueError(f'line {node.lineno}')


def untrusted_type(node: Any, also: Container[str] = ()) -> str | None:
    """The first ``type`` in a config that is no name of a registered class, in at most 60 letters, or None.

    A dotted name would be imported from anywhere. What is registered is looked up when this is called.

    Args:
        node: Plain values, as of :func:`read_config_text`.
        also: Names that a class looks up in a table of its own.
    """
    known = _registered()
    for found in _types(node):
        if isinstance(found, str) and found in also:
            continue
        name = found.rsplit('.', 1)[-1] if isinstance(found, str) else None
        scope = found[: -len(name) - 1] if name else None
        if name is None or scope not in ('', 'mmdet', 'mmengine', 'mmcv') or name not in known:
            return short(found)
    return None


def _types(node: Any) -> Iterator[Any]:
    if isinstance(node, Mapping):
        if 'type' in node:
            yield node['type']
        node = node.values()
    elif not isinstance(node, list | tuple):
        return
    for value in node:
        yield from _types(value)


def _registered() -> set[str]:
    from mmdet import registry

    names = set(PLAIN)
    for kind in KINDS:
        with contextlib.suppress(AttributeError):
            found = getattr(registry, kind)
            while found is not None:
                found.import_from_location()
                names.update(found.module_dict)
                found = found.parent
    return names - REFUSED
