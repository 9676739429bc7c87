"""What a user can get wrong, said in one sentence."""

import difflib
import functools
import re
import reprlib
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

# Control characters, the line ends of Unicode, and halves of surrogate pairs.
_UNPRINTABLE = re.compile('[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')


class Problem(NamedTuple):
    """The three parts of :meth:`UserInputError.of` after its ``where``: what a check has found."""

    found: str
    expected: str
    todo: str


class UserInputError(ValueError):
    """Wrong input that the user can mend.

    The message is one sentence that says where (file, id), what was found,
    what was expected and what to do. A tool prints it without a traceback
    and ends with exit code 2 (see :func:`cli`). What would break its line, in a name from a file for
    instance, is written as an escape.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(_UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], sentence))

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


class _Brief(reprlib.Repr):
    """Looks at the first few entries only: a pickle's containers may hold one another a billion times."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxstring, self.maxother = 3, 3, 60, 60
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 6

    def repr_int(self, value: int, level: int) -> str:
        # Python takes the square of their digits for one, and refuses beyond some thousands.
        return repr(value) if value.bit_length() < 200 else f'a number of {value.bit_length()} bits'


_BRIEF = _Brief()


def short(value: Any) -> str:
    """Any value in at most 60 letters, for a sentence."""
    text = _BRIEF.repr(value)
    return text if len(text) <= 60 else f'{text[:57]}...'


def did_you_mean(wrong: str, choices: Iterable[str], count: int = 3) -> str:
    """`` (did you mean A, B?)`` with the nearest names, or nothing if none is near."""
    by_lower = {choice.lower(): choice for choice in choices}
    near = [by_lower[name] for name in difflib.get_close_matches(wrong.lower(), by_lower, count, cutoff=0.6)]
    return f' (did you mean {", ".join(near)}?)' if near else ''
