from .errors import UserInputError, cli
from .files import atomic_write, dump_json, load_json
from .progress import progress_bar, track

__all__ = ['UserInputError', 'atomic_write', 'cli', 'dump_json', 'load_json', 'progress_bar', 'track']
