"""Docstrings of the package as Markdown: roles of Sphinx become code, doctests become code blocks."""

import re
from typing import Any

import griffe

ROLE = re.compile(r':(?:attr|class|data|func|meth|mod):`~?\.?([^`]+)`')
DOCTEST = re.compile(r'(^>>> .*(?:\n(?!\n).+)*)', re.MULTILINE)


def as_markdown(text: str) -> str:
    """A docstring as mkdocstrings' Markdown reads it.

    >>> as_markdown('See :func:`a.b`.')
    'See `a.b`.'
    """
    return DOCTEST.sub(r'```pycon\n\1\n```', ROLE.sub(r'`\1`', text))


class Docstrings(griffe.Extension):
    """Rewrites each docstring as it is read."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Change the docstring of a module, class, function or attribute."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)
