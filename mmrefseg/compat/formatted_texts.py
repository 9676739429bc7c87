"""mmengine's text of a config, formatted once for all that keep it.

A run asks for the text of its config when it starts, for the log, its folder and its curves, and again for
each checkpoint. It is the same text, and formatting it takes a tenth of a second or several.
"""

import functools
from typing import Any

from mmengine.config import config as config_module

_format = config_module.FormatCode


def format_texts_once() -> None:
    """Let mmengine remember what the formatter made of the last texts."""
    config_module.FormatCode = format_code


def format_code(text: str, style_config: dict[str, Any], **options: Any) -> tuple[str, bool]:
    """As yapf's: the formatted text, and whether it is another."""
    return _formatted(text, tuple(sorted(style_config.items())), tuple(sorted(options.items())))


@functools.lru_cache(maxsize=4)
def _formatted(text: str, style: tuple, options: tuple) -> tuple[str, bool]:
    return _format(text, style_config=dict(style), **dict(options))
