"""Renaming the keys of another code base's state dict."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class MappedState:
    """A state dict under our names.

    Attributes:
        state: Our key -> value.
        origin: Our key -> the original's key.
        left_over: Original keys that no rule knows.
        dropped: Original keys that have no place in our model, by a rule.
    """

    state: dict
    origin: dict[str, str]
    left_over: list[str]
    dropped: list[str] = field(default_factory=list)


class KeyMap:
    """An ordered table of regular expressions.

    Args:
        rules: (pattern, replacement) pairs; a key is renamed by the first pattern that
            matches it as a whole.
        drop: Patterns of keys that have no place in our model (fixed buffers).
    """

    def __init__(self, rules: Sequence[tuple[str, str]], drop: Sequence[str] = ()) -> None:
        self.rules = [(re.compile(pattern), replacement) for pattern, replacement in rules]
        self.drop = [re.compile(pattern) for pattern in drop]

    def rename(self, key: str) -> str | None:
        """Our name of an original key; ``None`` if no rule knows it."""
        for pattern, replacement in self.rules:
            match = pattern.fullmatch(key)
            if match:
                return match.expand(replacement)
        return None

    def __call__(self, state: Mapping) -> MappedState:
        """Rename a whole state dict (a leading ``module.`` of DDP is dropped)."""
        mapped = MappedState({}, {}, [])
        for original, value in state.items():
            key = original.removeprefix('module.')
            if any(pattern.fullmatch(key) for pattern in self.drop):
                mapped.dropped.append(original)
                continue
            name = self.rename(key)
            if name is None:
                mapped.left_over.append(original)
            else:
                mapped.state[name] = value
                mapped.origin[name] = original
        return mapped
