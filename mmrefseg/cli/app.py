"""``mmrefseg app`` and ``mmrefseg label``: pages to click on, in a browser on this machine."""

import importlib.metadata
from pathlib import Path
from typing import Annotated

import typer

from ..runs.options import check_checkpoint
from ..utils import UserInputError, check_output
from ..utils.places import DEFAULT

APP_DOES = 'Open the app: try, label, train and review in a browser on this machine.'
APP_HELP = f"""{APP_DOES}

It answers on 127.0.0.1 alone. Without --data there is the page Try; with a folder of photos, boxes and
sentences also Label, Train and Review.

\b
Examples:
  mmrefseg app
  mmrefseg app --data my_photos/ --weights work_dirs/mine/best.pth
"""
LABEL_DOES = 'Draw masks: open the app at its page Label for a folder of photos.'
LABEL_HELP = f"""{LABEL_DOES}

The object whose mask is most in doubt comes first, with the network's contour to accept, drag or draw anew.
Masks are saved in FOLDER/drawn_masks.json, which mmrefseg train FOLDER reads.

\b
Examples:
  mmrefseg label my_photos/
  mmrefseg label my_photos/ --weights work_dirs/mine/best.pth
"""

GRADIO = '6'
"""The version whose custom pages these are."""
Weights = Annotated[str, typer.Option('--weights', '-w', metavar='FILE', help='A checkpoint of a training.')]
Data = Annotated[str | None, typer.Option('--data', '-d', metavar='FOLDER', help='Photos and annotations.')]
Folder = Annotated[str, typer.Argument(metavar='FOLDER', help='Photos and annotations.')]
Runs = Annotated[
    str | None,
    typer.Option('--runs', metavar='DIR', help='Of trainings (default: work_dirs/<name of the folder>).'),
]
Port = Annotated[
    int | None, typer.Option(metavar='N', help='Of 127.0.0.1 (default: the first free one from 7860 on).')
]
ImageSize = Annotated[
    int | None, typer.Option(metavar='PIXELS', help='Of trainings (default: by the size of the objects).')
]
Device = Annotated[str | None, typer.Option(help='cpu, cuda, cuda:1 (default: a GPU if there is one).')]


def app(
    data: Data = None,
    weights: Weights = DEFAULT,
    runs: Runs = None,
    port: Port = None,
    image_size: ImageSize = None,
    device: Device = None,
) -> None:
    """Open the app."""
    _open('try', data, weights, runs, port, image_size, device)


def label(
    folder: Folder,
    weights: Weights = DEFAULT,
    runs: Runs = None,
    port: Port = None,
    image_size: ImageSize = None,
    device: Device = None,
) -> None:
    """Open the app at its page Label."""
    _open('label', folder, weights, runs, port, image_size, device)


def _check_gradio() -> None:
    try:
        version = importlib.metadata.version('gradio')
    except importlib.metadata.PackageNotFoundError:
        version = ''
    if version.partition('.')[0] != GRADIO:
        found = f'gradio {version}' if version else 'no gradio'
        raise UserInputError.of(
            'mmrefseg app', found, f'gradio {GRADIO}', f"pip install 'gradio>={GRADIO},<{int(GRADIO) + 1}'"
        )


def _open(
    page: str,
    data: str | None,
    weights: str,
    runs: str | None,
    port: int | None,
    image_size: int | None,
    device: str | None,
) -> None:
    """Look at files and arguments, then serve."""
    check_checkpoint(weights)
    if data is not None and not Path(data).is_dir():
        raise UserInputError.of(data, 'no folder', 'a folder of photos and annotations', 'check the path')
    if port is not None and not 0 < port < 65536:
        raise UserInputError.of('--port', str(port), 'a number from 1 to 65535', 'change it')
    if image_size is not None and (image_size < 64 or image_size % 32):
        raise UserInputError.of('--image-size', str(image_size), 'a multiple of 32 from 64 on', 'choose one')
    check_output(runs, '--runs', folder=True)
    if page == 'label':
        from ..datasets.converters.drawn_masks import FILE

        check_output(Path(data, FILE))  # before the first mask is drawn
    _check_gradio()
    if device is not None:
        from ..runs.device import choose_device  # brings torch

        choose_device(device)
    from ..app.project import Project  # brings torch, and models

    project = None if data is None else Project(data, runs, weights)
    from ..app.desk import Desk
    from ..app.server import serve

    options = [] if image_size is None else ['--image-size', str(image_size)]
    try:
        serve(Desk(project, weights, options, device), page, port, typer.echo)
    except OSError as error:
        if 'port' not in str(error).lower():
            raise
        raise UserInputError.of(
            f'--port {port or "7860 to 7959"}', 'a port that is taken', 'a free one', 'name another'
        ) from None
