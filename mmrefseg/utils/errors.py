"""What a user can get wrong, said in one sentence."""

import difflib
import functools
import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple


class Problem(NamedTuple):
    """The three parts of :meth:`UserInputError.of` after its ``where``: what a check has found."""

    found: str
    expected: str
    todo: str


class UserInputError(ValueError):
    """Wrong input that the user can mend.

    The message is one sentence that says where (file, id), what was found,
    what was expected and what to do. A tool prints it without a traceback
    and ends with exit code 2 (see :func:`cli`).
    """

    @classmethod
    def of(cls, where: str, found: str, expected: str, todo: str) -> 'UserInputError':
        """The house form: ``where: found ..., expected ...; todo``."""
        return cls(f'{where}: found {found}, expected {expected}; {todo}')


def cli(main: Callable[..., int | None]) -> Callable[..., None]:
    """Decorate a tool's ``main``: a :class:`UserInputError` becomes one line on stderr and exit code 2.

    Ctrl-C becomes a word and exit code 130, as in a shell.
    """

    @functools.wraps(main)
    def run(*args, **kwargs) -> None:
        if hasattr(sys.stdout, 'reconfigure'):
            # A name of a file or category that the terminal has no letters for must not end the tool.
            sys.stdout.reconfigure(errors='backslashreplace')
        try:
            code = main(*args, **kwargs)
        except UserInputError as error:
            print(f'error: {error}', file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt:
            print('interrupted', file=sys.stderr)
            sys.exit(130)
        sys.exit(code or 0)

    return run


def did_you_mean(wrong: str, choices: Iterable[str], count: int = 3) -> str:
    """`` (did you mean A, B?)`` with the nearest names, or nothing if none is near."""
    by_lower = {choice.lower(): choice for choice in choices}
    near = [by_lower[name] for name in difflib.get_close_matches(wrong.lower(), by_lower, count, cutoff=0.6)]
    return f' (did you mean {", ".join(near)}?)' if near else ''
