from .errors import UserInputError, cli
from .files import FileLock, atomic_write, dump_json, file_sha256, load_json
from .progress import progress_bar, track

__all__ = [
    'FileLock',
    'UserInputError',
    'atomic_write',
    'cli',
    'dump_json',
    'file_sha256',
    'load_json',
    'progress_bar',
    'track',
]
