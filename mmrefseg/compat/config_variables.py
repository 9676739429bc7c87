"""Other values for the variables of a config file, put in before its next lines read them.

mmengine merges options into the finished config: by then ``image_size`` has gone into the pipelines.
"""

import ast
import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import config as config_module

HERE = '__import__("importlib").import_module("mmrefseg.compat.config_variables").changed'
_changes: dict[str, Mapping[tuple[str, ...], Any]] = {}
_Remover = config_module.RemoveAssignFromAST


@contextlib.contextmanager
def variables_changed(changes: Mapping[str, Mapping[tuple[str, ...], Any]]) -> Iterator[None]:
    """While this lasts, ``Config.fromfile`` gives variables of ``.py`` files other values.

    Args:
        changes: Name of a variable -> {keys below it, () for itself: value}. In every file of the chain that
            assigns the name, the next line finds the change. Files with ``read_base()`` stay as they are.
    """
    _changes.update(changes)
    config_module.RemoveAssignFromAST = _Changer
    try:
        yield
    finally:
        config_module.RemoveAssignFromAST = _Remover
        _changes.clear()


def changed(name: str, value: Any) -> Any:
    """What a variable is after an assignment: the value that the file has given it, with the changes."""
    for keys, new in _changes.get(name, {}).items():
        value = _with(value, keys, new)
    return value


def like(old: Any, new: Any) -> Any:
    """An option as its setting is written: ``a,b`` for a tuple is a tuple, one number for a square pair two.

    Args:
        old: What stands in the config, or None.
        new: What the option says.
    """
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        inner = [like(old[min(i, len(old) - 1)], item) if old else item for i, item in enumerate(new)]
        return tuple(inner) if isinstance(old, tuple) else inner
    if _is_square(old) and isinstance(new, int | float) and not isinstance(new, bool):
        return type(old)([new, new])
    return new


def _is_square(value: Any) -> bool:
    numbers = isinstance(value, tuple) and len(value) == 2 and all(type(one) in (int, float) for one in value)
    return numbers and value[0] == value[1]


def _with(value: Any, keys: tuple[str, ...], new: Any) -> Any:
    """A copy of nested dicts and lists with one setting changed."""
    if not keys:
        return like(value, new)
    key, below = keys[0], keys[1:]
    if isinstance(value, list | tuple) and key.lstrip('-').isdigit() and int(key) < len(value):
        copy = list(value)
        copy[int(key)] = _with(copy[int(key)], below, new)
        return type(value)(copy)
    if isinstance(value, Mapping):
        copy = value.copy()
        copy[key] = _with(value.get(key, {} if below else None), below, new)
        return copy
    return value  # a text that stands for a base's variable, which has the change


class _Changer(_Remover):
    """Adds a line behind each assignment of a variable that changes, but not in functions."""

    def visit_Assign(self, node: ast.Assign) -> Any:
        return self._with_changes(super().visit_Assign(node), node.targets)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        return self._with_changes(node, [node.target] if node.value else [])

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        return self._with_changes(node, [node.target])

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        return node

    def _with_changes(self, node: ast.stmt | None, targets: list[ast.expr]) -> Any:
        names = [
            part.id for target in targets for part in ast.walk(target)
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store) and part.id in _changes
        ]  # fmt: skip
        if node is None or not names:
            return node
        lines = [ast.parse(f'{name} = {HERE}({name!r}, {name})').body[0] for name in names]
        return [node, *(ast.copy_location(line, node) for line in lines)]
