from .errors import UserInputError, cli
from .files import FileLock, atomic_write, dump_json, file_sha256, load_json
from .outputs import check_output, make_folder
from .progress import progress_bar, track

__all__ = [
    'FileLock',
    'UserInputError',
    'atomic_write',
    'check_output',
    'cli',
    'dump_json',
    'file_sha256',
    'load_json',
    'make_folder',
    'progress_bar',
    'track',
]
