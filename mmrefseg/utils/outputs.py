"""What a tool will write, checked before it begins: a place that takes no file is told at once."""

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from .errors import UserInputError, explain_os_error

BLOCK = 4096


def check_output(path: str | os.PathLike | None, option: str = '', folder: bool = False) -> None:
    """See that a file, or a folder with its files, can be written. Nothing is left behind.

    Args:
        path: The place; ``~`` is not expanded. None is passed over.
        option: What named it, such as ``--out``, for the message.
        folder: Whether it is a folder. Else it is a file, or what is none and can be written (``/dev/null``).

    Raises:
        UserInputError: If the path is empty, too long, a folder where a file is wanted or a file where a
            folder is wanted, or if no permission, a read-only or a full disk is in the way.
    """
    if path is None:
        return
    if not os.fspath(path) or '\0' in os.fspath(path):
        found = 'a name with a zero byte' if os.fspath(path) else 'an empty name'
        expected = f'a {"folder" if folder else "file"} to write'
        raise UserInputError.of(option or 'output', found, expected, 'name one')
    try:
        _try_output(os.fspath(path), folder)
    except OSError as error:
        error.filename = path
        sentence = explain_os_error(error)
        raise UserInputError(f'{option} {sentence}'.strip()) from error


def check_absent(files: Iterable[str | os.PathLike], option: str, overwrite: bool = False) -> None:
    """See that no file is there that would be written: it may be somebody's work.

    Args:
        files: What would be written; folders, devices and pipes are passed over.
        option: What named them and how, such as ``--out mine.json``, for the message; an option first.
        overwrite: Whether ``--overwrite`` was given, which replaces them.

    Raises:
        UserInputError: If one is there, and they are not to be replaced.
    """
    there = [path for path in dict.fromkeys(files) if os.path.isfile(path)]
    if there and not overwrite:
        count = f'{len(there)} files that are there, the first' if there[1:] else 'a file that is there,'
        raise UserInputError.of(
            option, f'{count} {there[0]}', 'none', f'name another {option.split()[0]}, or add --overwrite'
        )


def check_apart(
    written: Iterable[tuple[str, str | os.PathLike | None]],
    read: Iterable[tuple[str, str | os.PathLike | None]],
) -> None:
    """See that no file is written that the same run reads, and none twice.

    Args:
        written: Options, such as ``--out``, and what they name; None is passed over. One option may name a
            file twice.
        read: The same of what is read; an option as a message calls it, such as ``the annotations``.

    Raises:
        UserInputError: If two options name one file; devices and pipes, such as ``/dev/null``, are none.
    """
    taken = {os.path.realpath(path): option for option, path in read if path is not None}
    for option, path in written:
        if path is None:
            continue
        real = os.path.realpath(path)
        owner = taken.setdefault(real, option)
        if owner != option and (os.path.isfile(real) or not os.path.exists(real)):
            raise UserInputError.of(f'{option} {path}', f'the file of {owner}', 'another file', 'rename it')


def make_folder(path: str | os.PathLike) -> Path:
    """Make a folder with its parents, if it is not there; of a symbolic link, the folder that it names.

    Python's own ``mkdir`` takes a link to a folder that is yet to be made for a file in the way.

    Returns:
        The path that was given.
    """
    os.makedirs(os.path.realpath(path), exist_ok=True)
    return Path(path)


def _try_output(path: str, folder: bool) -> None:
    """Raise what writing would raise."""
    real = os.path.realpath(path)
    if os.path.islink(real):
        os.stat(path)  # a circle of links, which has no real path
    if not os.path.exists(real):
        if not folder and path.endswith(os.sep):
            raise _os_error(errno.EISDIR, path)
        place = _nearest_folder(real)
    elif folder != os.path.isdir(real):
        raise _os_error(errno.EEXIST if folder else errno.EISDIR, path)
    elif folder or os.path.isfile(real):  # a file is replaced by a new one of its name
        place = real if folder else os.path.dirname(real)
    elif os.access(real, os.W_OK):  # a device, a pipe
        return
    else:
        raise _os_error(errno.EACCES, path)
    _write_a_block(place, path)


def _nearest_folder(path: str) -> str:
    """The nearest folder above a path that is not there, in which the others would be made."""
    parent = os.path.dirname(path)
    while True:
        try:
            if not stat.S_ISDIR(os.stat(parent).st_mode):
                raise _os_error(errno.ENOTDIR, path)
            break
        except FileNotFoundError:
            parent = os.path.dirname(parent)
    limit = os.pathconf(parent, 'PC_NAME_MAX')
    if any(len(os.fsencode(name)) > limit for name in os.path.relpath(path, parent).split(os.sep)):
        raise _os_error(errno.ENAMETOOLONG, path)
    return parent


def _write_a_block(folder: str, path: str) -> None:
    """Write to a file without a name: neither a full disk, nor what root may do, can be told without."""
    import tempfile  # costs more than the tools that write nothing should pay

    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(BLOCK))
    except OSError as error:
        error.filename = path
        raise


def _os_error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
