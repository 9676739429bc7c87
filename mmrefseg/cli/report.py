"""``mmrefseg report``: a page of a training that runs, has ended or was stopped."""

from pathlib import Path
from typing import Annotated

import typer

from ..utils import atomic_write, check_absent, check_output
from ..utils.errors import printable
from ..utils.sizes import size_text

DOES = 'Make one HTML page of a training: curves, metrics, images, config, disk.'
HELP = f"""{DOES}

RUN is the work directory, of a training that runs, has ended, was stopped or was resumed. The page needs no
other file and no network. An earlier page of the same run is replaced; another file stays.

\b
Examples:
  mmrefseg report work_dirs/mine
  mmrefseg report work_dirs/mine --out mine.html
"""
Folder = Annotated[str, typer.Argument(metavar='RUN', help='The work directory of a training.')]
Out = Annotated[
    str | None, typer.Option('--out', '-o', metavar='FILE', help='The page (default: RUN/report.html).')
]
Overwrite = Annotated[bool, typer.Option('--overwrite', help='Replace another file that is there.')]
HEAD = 4096
"""Bytes of a page, from its beginning, that have the mark of its run."""


def report(run: Folder, out: Out = None, overwrite: Overwrite = False) -> None:
    """Read what is there, write the page, say in a line how the run is doing."""
    from ..analysis.run_log import describe_state, page_mark, progress, read_run

    found = read_run(run)
    path = Path(run) / 'report.html' if out is None else Path(out)
    check_output(path, '--out')
    check_absent([path], f'--out {path}', overwrite or _begins_with(path, page_mark(found)))
    from ..analysis.run_page import render_run  # brings matplotlib

    page = render_run(found)
    with atomic_write(path) as file:
        file.write(page)
    typer.echo(printable(f'{progress(found)}; {describe_state(found)[1]}'))
    typer.echo(f'{path} ({size_text(len(page))})')


def _begins_with(path: Path, mark: str) -> bool:
    """Whether a file has a text in its first bytes."""
    if not path.is_file():
        return False
    with open(path, 'rb') as file:
        return mark.encode() in file.read(HEAD)
