from .errors import UserInputError, cli
from .files import (
    FileLock,
    atomic_write,
    dump_json,
    file_sha256,
    load_json,
    parse_json,
    read_text,
    text_lines,
)
from .progress import progress_bar, track

__all__ = [
    'FileLock',
    'UserInputError',
    'atomic_write',
    'cli',
    'dump_json',
    'file_sha256',
    'load_json',
    'parse_json',
    'progress_bar',
    'read_text',
    'text_lines',
    'track',
]
