"""What a target of fuzzing is, how one example is tried, and what counts as a finding."""

import contextlib
import json
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fuzz_strategies import COCO, HEIGHT, RECORD, WIDTH
from hypothesis import strategies as st
from PIL import Image

import mmrefseg.registration
from mmrefseg.datasets.annotations import load_split
from mmrefseg.datasets.converters import Conversion
from mmrefseg.structures.masks import mask_problem, to_bitmap
from mmrefseg.utils import UserInputError, dump_json

# An example takes milliseconds; one that takes so many seconds would stop a user's run.
PATIENCE = 20
PACKAGE = Path(mmrefseg.__file__).parent


class Target(NamedTuple):
    """A reader.

    Attributes:
        strategy: Draws what a file holds.
        call: Reads an example in a folder (:func:`lay_out`), and uses what was accepted.
        share: How many examples it gets, relative to others; the slow ones get fewer.
    """

    strategy: st.SearchStrategy
    call: Callable[[Path, Any], None]
    share: float = 1.0


class Finding(NamedTuple):
    """A fault of ours.

    Attributes:
        kind: The exception's type, or what else happened.
        place: The innermost line of the package, ``room/file.py:line``.
        message: What the exception says.
    """

    kind: str
    place: str
    message: str


class Unusable(Exception):
    """What a reader had accepted could not be used."""


class TooLong(Exception):
    """An example took longer than :data:`PATIENCE`."""


def attempt(target: Target, folder: Path, example: Any) -> tuple[str, Finding | None]:
    """Read an example: ``'accepted'``, ``'refused'`` or ``'finding'``, and the finding."""
    try:
        with _patience():
            target.call(folder, example)
    except UserInputError as error:
        if '\n' not in str(error):
            return 'refused', None
        return 'finding', Finding('a sentence of several lines', _place(error), str(error))
    except Exception as error:  # whatever it is, it is what this looks for
        return 'finding', Finding(type(error).__name__, _place(error), str(error)[:200])
    return 'accepted', None


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    def give_up(*_: Any) -> None:
        raise TooLong(f'more than {PATIENCE} s')

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _place(error: Exception) -> str:
    frames = list(traceback.extract_tb(error.__traceback__))
    inside = [frame for frame in frames if Path(frame.filename).is_relative_to(PACKAGE)] or frames
    path = Path(inside[-1].filename)
    return f'{path.parent.name}/{path.name}:{inside[-1].lineno}'


def lay_out(folder: Path) -> Path:
    """The images and annotations that the targets refer to, in a new folder."""
    (folder / 'img').mkdir(parents=True)
    for name in ('a.png', '1.png'):
        Image.new('RGB', (WIDTH, HEIGHT)).save(folder / 'img' / name)
    Image.new('L', (WIDTH, HEIGHT), 255).save(folder / 'm.png')
    dump_json({'train': [RECORD]}, folder / 'masks.json')
    dump_json({'train': [{key: RECORD[key] for key in RECORD if key != 'mask'}]}, folder / 'boxes.json')
    dump_json(COCO, folder / 'coco.json')
    return folder


def write(folder: Path, name: str, content: Any) -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return str(path)


def use(conversion: Conversion, folder: Path) -> None:
    """Write what was converted and read it again; what was accepted must be sound."""
    path = folder / 'converted.json'
    dump_json(conversion.splits, path)
    try:
        for split in conversion.splits:
            for record in load_split(path, split):
                if record.get('mask') is not None:
                    to_bitmap(record['mask'], record['height'], record['width'], check=mask_problem)
    except UserInputError as error:
        raise Unusable(f'{error}') from error
