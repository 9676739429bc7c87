"""What a user can get wrong, said in one sentence."""

import contextlib
import difflib
import errno
import functools
import gc
import os
import re
import reprlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, NoReturn

# Control characters, those that turn the direction of writing, the line ends of Unicode, and halves of
# surrogate pairs.
_UNPRINTABLE = re.compile('[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]')


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
        """The house form: ``where: found ..., expected ...; todo``.

        What would break its line, in a name from a file for instance, is written as an escape.
        """
        sentence = f'{where}: found {found}, expected {expected}; {todo}'
        return cls(printable(sentence))


_PERMISSION = Problem('no permission', 'a file and a folder that you may use', 'change it, or name another')
_SPACE = Problem('a full disk', 'room', 'make room, or name another place')
DISK_PROBLEMS = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE._replace(found='a quota that is used up'),
    errno.EFBIG: _SPACE._replace(
        found='a file beyond the largest size', expected='a smaller one (ulimit -f)'
    ),
    errno.EROFS: Problem('a read-only disk', 'one that can be written', 'name another place'),
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.ENOENT: Problem('no such file or folder', 'one that is there', 'check the path'),
    errno.EISDIR: Problem('a folder', 'a file', 'name a file'),
    errno.ENOTDIR: Problem('a file within the path', 'folders', 'name another place'),
    errno.EEXIST: Problem('a file', 'a folder', 'name another place'),
    errno.ENAMETOOLONG: Problem('a name that is too long', 'at most 255 bytes', 'choose a shorter name'),
    errno.ELOOP: Problem('symbolic links that lead in a circle', 'a file', 'mend the links'),
}
"""What a disk or a path refuses, by the number of the error."""


def explain_os_error(error: OSError) -> str | None:
    """One sentence for what a disk or a path has refused; None for another error of the system."""
    problem = DISK_PROBLEMS.get(error.errno)
    if problem is None:
        return None
    named = isinstance(error.filename, str | bytes | os.PathLike)
    where = os.fsdecode(error.filename) if named else 'a file'
    return str(UserInputError.of(shortened(where), *problem))


def printable(text: str) -> str:
    """A text with escapes for what would break its line or command the terminal, in a name from a file."""
    return _UNPRINTABLE.sub(lambda letter: ascii(letter[0])[1:-1], text)


def shortened(text: str, length: int = 200) -> str:
    """A text of at most ``length`` letters: a longer one loses its middle."""
    half = (length - 5) // 2
    return text if len(text) <= length else f'{text[:half]} ... {text[-half:]}'


def cli(main: Callable[..., int | None]) -> Callable[..., None]:
    """Decorate a tool's ``main``: a :class:`UserInputError` becomes one line on stderr and exit code 2.

    So does what a disk or a path has refused (:data:`DISK_PROBLEMS`), standard output included. As in a
    shell, Ctrl-C becomes a word and exit code 130, and a reader of the output that goes before its end
    (``| head``) silence and 141.
    """

    @functools.wraps(main)
    def run(*args, **kwargs) -> None:
        _set_up_process()
        try:
            code = main(*args, **kwargs)
            with names_output():
                sys.stdout.flush()  # what was printed, while its errors can still be told
        except UserInputError as error:
            _end(f'error: {error}', 2)
        except OSError as error:
            if isinstance(error, BrokenPipeError) and _reader_has_gone():
                _end(None, 141)
            sentence = explain_os_error(error)
            if sentence is None:
                raise
            _end(f'error: {sentence}', 2)
        except KeyboardInterrupt:
            _end('interrupted', 130)
        sys.exit(code or 0)

    return run


def _set_up_process() -> None:
    """Settings of the whole process, before anything large is loaded."""
    # How long threads of torch, which is loaded later, wait for one another before they sleep. By the
    # default they take twice as long where others want the cores, too; on idle ones both are as fast.
    if 'OMP_WAIT_POLICY' not in os.environ:
        os.environ.setdefault('GOMP_SPINCOUNT', '10000')
    # What is imported is no garbage: looking for it less often saves a tenth of the start.
    gc.set_threshold(50_000)
    if hasattr(sys.stdout, 'reconfigure'):
        # A name of a file or category that the terminal has no letters for must not end the tool.
        sys.stdout.reconfigure(errors='backslashreplace')


@contextlib.contextmanager
def names_output() -> Iterator[None]:
    """Give an error of writing to standard output its name, which the system leaves out."""
    try:
        yield
    except OSError as error:
        error.filename = 'standard output'
        raise


def _reader_has_gone() -> bool:
    """Whether it was standard output that broke, and not a pipe to another process."""
    import select

    poll = select.poll()
    with contextlib.suppress(OSError, ValueError):
        poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _end(sentence: str | None, code: int) -> NoReturn:
    """Say a sentence and end; an output that refuses what it still holds would add words of Python's own."""
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if sentence is not None:
        print(sentence, file=sys.stderr)
    sys.exit(code)


class _Brief(reprlib.Repr):
    """Looks at the first few entries only: a pickle's containers may hold one another a billion times."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxstring, self.maxother = 3, 3, 60, 60
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 6

    def repr_int(self, value: int, level: int) -> str:
        # Beyond some thousands of digits Python refuses to write them: it takes the square of their number.
        bits = value.bit_length()
        return super().repr_int(value, level) if bits < 10_000 else f'a number of {bits} bits'


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
