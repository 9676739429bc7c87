from .errors import UserInputError, cli
from .files import (
    FileLock,
    atomic_write,
    csv_cell,
    dump_json,
    file_sha256,
    load_json,
    parse_json,
    read_text,
    text_lines,
)
from .outputs import check_absent, check_apart, check_output, make_folder
from .progress import plain_console, progress_bar, track

__all__ = [
    'FileLock',
    'UserInputError',
    'atomic_write',
    'check_absent',
    'check_apart',
    'check_output',
    'cli',
    'csv_cell',
    'dump_json',
    'file_sha256',
    'load_json',
    'make_folder',
    'parse_json',
    'plain_console',
    'progress_bar',
    'read_text',
    'text_lines',
    'track',
]
