"""``mmrefseg predict``: what to look for, looked at before anything heavy is loaded."""

import argparse
import sys
from typing import Annotated

import typer

from ..datasets.photo_sentences import STDIN, SUFFIXES, Wanted, find_photos, read_rows, unread_pictures
from ..datasets.validation import expressions_problem
from ..runs.options import check_checkpoint, check_config, check_file
from ..utils import UserInputError, check_output
from ..utils.places import DEFAULT
from .photo_files import PhotoFiles

DEFAULT_OUT = 'predictions'
DOES = 'Find what sentences refer to in photos: masks, overlays, one COCO json.'
HELP = f"""{DOES}

The folder of the output has masks/*.png (255 where the object is), overlays/*.jpg at the photos' own size,
and predictions.json in COCO's format. Weights of a detector take no sentences. Without --weights: the small
network inside the package, for pictures of RefShapes.

\b
Examples:
  mmrefseg predict photos/ --text "left guy" --weights work_dirs/mine/best.pth
  cat rows.jsonl | mmrefseg predict --sentences - --json --threshold 0.5 > masks.jsonl
"""


Photos = Annotated[
    list[str] | None, typer.Argument(metavar='PHOTOS', help='Photos, patterns, folders; - is stdin.')
]
Text = Annotated[
    list[str] | None, typer.Option('--text', '-t', help='A sentence, for all photos; may be repeated.')
]
Sentences = Annotated[
    str | None,
    typer.Option('--sentences', '-s', metavar='FILE', help='csv or jsonl of photo, sentence; - is stdin.'),
]
Weights = Annotated[str, typer.Option('--weights', '-w', metavar='FILE', help='A checkpoint of a training.')]
ConfigFile = Annotated[str | None, typer.Option(metavar='FILE', help='For a checkpoint that carries none.')]
Out = Annotated[
    str | None,
    typer.Option(
        '--out', '-o', metavar='DIR',
        help=f'Folder of the files (default: {DEFAULT_OUT}; with --json none); - is one mask on stdout.',
    ),
]  # fmt: skip
AsJson = Annotated[bool, typer.Option('--json', help='One json line a sentence on standard output.')]
Threshold = Annotated[
    float | None,
    typer.Option(metavar='P', help='Least score of what counts as found (default: 0; of a detector 0.5).'),
]
Calibration = Annotated[
    str | None, typer.Option(metavar='FILE', help='Of calibrate_scores.py: scores become the IoUs to expect.')
]
Overlays = Annotated[bool, typer.Option('--overlays/--no-overlays', help='Draw the masks.')]
Device = Annotated[str | None, typer.Option(help='cpu, cuda, cuda:1 (default: a GPU if there is one).')]
BatchSize = Annotated[int, typer.Option(help='Photos that go through the network together.')]


def predict(
    photos: Photos = None,
    text: Text = None,
    sentences: Sentences = None,
    weights: Weights = DEFAULT,
    config: ConfigFile = None,
    out: Out = None,
    json: AsJson = False,
    threshold: Threshold = None,
    calibration: Calibration = None,
    overlays: Overlays = True,
    device: Device = None,
    batch_size: BatchSize = 8,
) -> None:
    """Look at files and arguments, then predict."""
    check_checkpoint(weights)
    if config is not None:
        check_config(config)
    if calibration is not None:
        check_file(calibration, 'a calibration')
    _check_number('--threshold', threshold, threshold is None or 0 <= threshold <= 1, 'a number from 0 to 1')
    _check_number('--batch-size', batch_size, batch_size >= 1, 'a whole number of at least 1')
    wanted = what_to_find(photos or [], text or [], sentences)
    if weights == DEFAULT and not all(each.sentences for each in wanted):
        raise UserInputError.of('--text', 'no sentence', 'what to look for', "add --text 'left guy'")
    out = out if out is not None or json else DEFAULT_OUT
    _check_out(out, wanted, json)
    args = dict(weights=weights, config=config, out=out, json=json, threshold=threshold, device=device)
    args |= dict(calibration=calibration, overlays=overlays, batch_size=batch_size)
    files = None if out in (None, STDIN) else PhotoFiles(out)
    raise typer.Exit(_run(argparse.Namespace(**args), files, wanted))


def _run(args: argparse.Namespace, files: PhotoFiles | None, wanted: list[Wanted]) -> int:
    """Predict; returns the exit code. Ctrl-C ends it with what is done, and says so."""
    run = None
    try:
        if args.device is not None:
            from ..runs.device import choose_device  # brings torch

            choose_device(args.device)
        from .photo_run import PhotoRun  # brings torch, and models

        run = PhotoRun(args, files)
        return run(wanted)
    except KeyboardInterrupt:
        done = run.done if run else 0
        print(f'stopped: {done} of {len(wanted)} photos are done and kept', file=sys.stderr)
        return 130


def what_to_find(photos: list[str], text: list[str], sentences: str | None) -> list[Wanted]:
    """The photos, each with its sentences.

    Args:
        photos: Paths, patterns, folders; with ``sentences`` the folders in which the photos of the rows lie.
        text: Sentences for all photos.
        sentences: A table, see :func:`read_rows`.

    Raises:
        UserInputError: If there is nothing to look at, or both kinds of sentences.
    """
    if sentences is not None and text:
        raise UserInputError.of(
            '--sentences', '--text beside it', 'one of them', 'write the sentences into the table'
        )
    if sentences is not None:
        if sentences != STDIN:
            check_file(sentences, 'a table of photos and sentences')
        return read_rows(sentences, photos)
    if not photos:
        raise UserInputError.of(
            'mmrefseg predict', 'no photo', 'photos or --sentences', 'name a photo or folder'
        )
    problem = expressions_problem(text) if text else None
    if problem:
        raise UserInputError.of('--text', *problem)
    wanted = [Wanted(photo, tuple(dict.fromkeys(text))) for photo in find_photos(photos)]
    _tell_unread(photos)
    return wanted


def _tell_unread(photos: list[str]) -> None:
    """Say which pictures of folders are passed over."""
    unread = unread_pictures(photos)
    if unread:
        kinds = ', '.join(sorted(SUFFIXES))
        print(f'passed over: {unread} (photos that are read in a folder: {kinds})', file=sys.stderr)


def _check_number(option: str, value: float | None, fits: bool, expected: str) -> None:
    if not fits:
        raise UserInputError.of(option, str(value), expected, 'change it')


def _check_out(out: str | None, wanted: list[Wanted], json: bool) -> None:
    if out == STDIN:
        if len(wanted) != 1 or len(wanted[0].sentences) != 1 or json:
            raise UserInputError.of(
                '--out -', 'more than one mask', 'one photo and one sentence, without --json', 'name a folder'
            )
        if sys.stdout.isatty():
            raise UserInputError.of('--out -', 'a terminal', 'a file or a pipe', 'write: --out - > mask.png')
    elif out is not None:
        check_output(out, '--out', folder=True)
