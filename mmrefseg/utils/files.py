"""Writing files so that nothing is lost: a temporary name, then a move; locks; what a file holds."""

import contextlib
import fcntl
import hashlib
import json
import os
import signal
import socket
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from .errors import Problem, UserInputError
from .outputs import make_folder

# So many bytes of a name leave room for what a temporary file's has besides, on most file systems.
LONGEST_NAME = 240
PICKLE = b'\x80'
# Temporary files that this process is writing, for the handler of SIGTERM.
_unfinished: set[Path] = set()


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike, mode: str = 'w') -> Iterator[IO]:
    """Open a temporary file beside ``path`` and move it into place on success.

    A new file gets the permissions that the umask leaves, one that was there keeps its own; of a symbolic
    link, the target is written. The temporary file ``.<name>.<number>.tmp`` goes if the block raises or the
    process is ended by SIGTERM; what a killed process has left goes with the next write to the same file.

    Args:
        path: Where the file shall be. Its folder is made if it is missing.
        mode: ``'w'`` (UTF-8 text) or ``'wb'``.

    Yields:
        The open file. If the block raises, ``path`` keeps what it had.

    Raises:
        OSError: If the file cannot be written; its ``filename`` is ``path``.
    """
    # Half a character (a surrogate in somebody's json) is written as its escape; the rest is not lost for it.
    text = {} if 'b' in mode else {'encoding': 'utf-8', 'errors': 'backslashreplace'}
    if os.path.exists(path) and not os.path.isfile(path):  # /dev/null, a pipe: nothing to replace
        with _errors_name(path), open(path, mode, **text) as file:
            yield file
        return
    given, path = path, Path(os.path.realpath(path))
    with _errors_name(given):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = _open_temporary(path)
    _unfinished.add(temporary)
    # Closed after the move only: closing gives up the lock that says that the temporary file has an owner.
    with _errors_name(given), os.fdopen(handle, mode, **text) as file, _removed_on_sigterm():
        try:
            yield file
            file.flush()
            if path.exists():
                os.fchmod(handle, stat.S_IMODE(path.stat().st_mode))
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        finally:
            _unfinished.discard(temporary)


@contextlib.contextmanager
def _errors_name(path: str | os.PathLike) -> Iterator[None]:
    """Let the disk's errors name a file: a full disk's name none, others the temporary file."""
    try:
        yield
    except OSError as error:
        if error.filename is None or str(error.filename).endswith('.tmp'):
            error.filename, error.filename2 = os.fspath(path), None
        raise
    except RuntimeError as error:  # torch's, which hides the disk's
        hidden = error.__context__
        if not isinstance(hidden, OSError):
            raise
        raise OSError(hidden.errno, hidden.strerror, os.fspath(path)) from error


def _open_temporary(path: Path) -> tuple[int, Path]:
    """Make the first of ``.<name>.0.tmp``, ``.1.tmp``, ... that no living process is writing.

    Whoever writes one holds a lock on it, which ends with the process: one that can be locked is a dead
    process's. Unlike a process's number, this cannot be taken over by another process, and it holds between
    containers and machines.

    Returns:
        The open file, locked where the file system has locks; its path.
    """
    number = 0
    name = os.fsdecode(os.fsencode(path.name)[:LONGEST_NAME])
    while True:
        temporary = path.with_name(f'.{name}.{number}.tmp')
        _remove_if_abandoned(temporary)
        try:
            handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:  # another's, who lives
            number += 1
            continue
        if _lock_unless_removed(handle, temporary):
            return handle, temporary
        os.close(handle)


def _remove_if_abandoned(temporary: Path) -> None:
    with contextlib.suppress(OSError):  # not there; or locked, or not ours to open: it stays
        handle = os.open(temporary, os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(handle, temporary):
                temporary.unlink()
        finally:
            os.close(handle)


def _lock_unless_removed(handle: int, temporary: Path) -> bool:
    """Lock a file just made; False if another process has called it abandoned before that."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: nobody can have removed it
        return True
    return _is_at(handle, temporary)


def _is_at(handle: int, path: Path) -> bool:
    """Whether an open file still has this name."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _removed_on_sigterm() -> Iterator[None]:
    """Remove unfinished files when SIGTERM comes, and end by it; an own handler of the program stays."""
    owner = os.getpid()

    def end(signum: int, _: Any) -> None:
        for temporary in list(_unfinished) if os.getpid() == owner else ():  # not in a forked child
            temporary.unlink(missing_ok=True)
        signal.signal(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)

    # Only the main thread may set one.
    ours = threading.current_thread() is threading.main_thread()
    ours = ours and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


class FileLock:
    """A lock of the operating system on a file; it ends with its process, however that ends.

    A child that was forked does not hold it. The file itself stays and says who held the lock last. On a file
    system without locks, everybody gets it.

    Args:
        path: The file, used for nothing else in this process. Its folder is made if it is missing.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self._file: IO[str] | None = None

    def take(self) -> bool:
        """Take it alone; False if other processes hold it."""
        if not self._lock(fcntl.LOCK_EX):
            return False
        self._file.truncate(0)
        self._file.write(f'process {os.getpid()} on {socket.gethostname()}')
        self._file.flush()
        return True

    def share(self) -> bool:
        """Take it, or keep it, together with others who share it; False if one has it alone."""
        return self._lock(fcntl.LOCK_SH)

    def holder(self) -> str:
        """Who took it alone last: ``process 123 on name``."""
        with open(self.path, encoding='utf-8', errors='replace') as file:
            return file.read().strip() or 'a process'

    def release(self) -> None:
        """Give it up."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _lock(self, kind: int) -> bool:
        if self._file is None:
            make_folder(self.path.parent)
            self._file = open(self.path, 'a+', encoding='utf-8')  # noqa: SIM115 (held until release)
        try:
            # Unlike flock's, these locks are not handed on to the workers that a data loader forks.
            fcntl.lockf(self._file, kind | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            self.release()
            return False
        except OSError:
            return True
        return True


def csv_cell(value: Any) -> Any:
    """A value for a csv file that somebody opens in a spreadsheet: text is no formula there.

    Spreadsheets run what begins with ``=``, ``+``, ``-`` or ``@``; an apostrophe before it says that it is
    text.
    """
    if isinstance(value, str) and value.startswith(('=', '+', '-', '@', '\t', '\r')):
        return f"'{value}"
    return value


def file_sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits (what ``sha256sum`` prints); read in pieces."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def dump_json(data: Any, path: str | os.PathLike, indent: int | None = None) -> None:
    """Write ``data`` as json, atomically, with a final newline."""
    text = json.dumps(data, indent=indent)  # json.dump takes three times as long
    with atomic_write(path) as file:
        file.write(f'{text}\n')


def read_text(path: str | os.PathLike, expected: str = 'a text file') -> str:
    """The text of a UTF-8 file, without the mark that editors and Excel put first; lines end in a line feed.

    Args:
        path: The file.
        expected: What it shall be, for the sentence.

    Raises:
        UserInputError: If it cannot be read or is not UTF-8.
    """
    try:
        with open(path, encoding='utf-8-sig') as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise not_utf8(path, error, expected) from None
    except (OSError, ValueError) as error:
        raise unreadable(path, error, expected) from None


def not_utf8(path: str | os.PathLike, error: UnicodeDecodeError, expected: str) -> UserInputError:
    """The sentence for a text in another encoding: UTF-16 of Windows, Latin-1, or no text at all."""
    return UserInputError.of(str(path), f'text that is not UTF-8 ({error})', expected, 'save it as UTF-8')


def unreadable(path: str | os.PathLike, error: OSError | ValueError, expected: str) -> UserInputError:
    """The sentence for a file that could not be opened.

    Args:
        path: The file.
        error: What ``open`` has raised; a ValueError for a name that no file can have.
        expected: What the file should have been.
    """
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        found = 'no such file'
    elif isinstance(error, IsADirectoryError):
        found = 'a folder'
    elif isinstance(error, OSError):
        found = f'no readable file ({error.strerror or error})'
    else:
        found = f'a name that no file can have ({error})'
    return UserInputError.of(str(path), found, expected, 'check the path')


def load_json(path: str | os.PathLike) -> Any:
    """Read a json file.

    Raises:
        UserInputError: If the file cannot be read or is not json (:func:`parse_json`).
    """
    return parse_json(read_text(path, 'a json file'), str(path))


def parse_json(
    text: str | bytes,
    where: str,
    expected: str = 'a json file',
    todo: str = 'write the file again',
    pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:
    """What a json text holds. Everything in the package that reads json reads it here.

    Args:
        text: The text, or its UTF-8 bytes (with or without a byte order mark).
        where: Where it comes from, for the sentence: the file, and the line where there are several.
        expected: What it shall be.
        todo: What to do if it is not.
        pairs_hook: Makes each object of its pairs, in which a key may be there twice; by default a dict, in
            which the last one counts.

    Raises:
        UserInputError: If it is not json, is nested deeper than Python can follow, or has a whole number of
            thousands of digits.
    """
    try:
        text = text.decode('utf-8-sig') if isinstance(text, bytes) else text
        return json.loads(text, object_pairs_hook=pairs_hook)
    except UnicodeDecodeError as error:
        raise not_utf8(where, error, expected) from None
    except json.JSONDecodeError as error:
        found = f'text that is not json ({error})' if text.strip() else 'nothing but blanks'
    except RecursionError:
        found = 'json that is nested too deep to be read'
    except ValueError:
        # Python refuses them, as converting takes the square of their length.
        found = f'a whole number of more than {sys.get_int_max_str_digits()} digits'
    raise UserInputError.of(where, found, expected, todo)


def text_lines(path: str | os.PathLike, expected: str = 'a JSON-lines file') -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file that are not blank, each with its number, for :func:`parse_json`.

    They end in a line feed, a carriage return or both, and nowhere else: U+2028 and its like are letters of
    json.

    Raises:
        UserInputError: If the file cannot be read or is not UTF-8.
    """
    try:
        with open(path, encoding='utf-8-sig') as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except UnicodeDecodeError as error:
        raise not_utf8(path, error, expected) from None
    except (OSError, ValueError) as error:
        raise unreadable(path, error, expected) from None


def is_zip(path: str | os.PathLike) -> bool:
    """Whether a file ends as a zip file does, which is to say that it was written to its end."""
    import zipfile  # only tools that read weights need it

    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # an end, and a damaged one
        return False


def checkpoint_problem(path: str | os.PathLike) -> Problem | None:
    """What keeps a file from holding weights, as far as its first bytes and its end tell, without torch.

    ``torch.save`` writes a zip file, once a pickle; a ``.safetensors`` file is looked at by who reads it.
    """
    with open(path, 'rb') as file:
        start = file.read(2)
    again = 'download or copy it again'
    if not start:
        return Problem('an empty file', 'a checkpoint', again)
    if str(path).endswith('.safetensors') or start[:1] == PICKLE:
        return None
    if start != b'PK':
        found = f'a file that torch cannot read (it begins with {start!r})'
        return Problem(found, 'a checkpoint written by torch.save', 'check that it is one')
    return None if is_zip(path) else Problem('a truncated checkpoint', 'a complete one', again)
