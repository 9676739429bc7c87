"""What the demos and the experiment are asked on the command line."""

import argparse
from pathlib import Path

from ..datasets.refshapes import PRESETS
from ..utils.command_line import ToolParser


def tool_parser(description: str, folder: str) -> argparse.ArgumentParser:
    """A parser with what the demos and the experiment have in common.

    Args:
        description: The tool's docstring, printed as it is.
        folder: Where results go by default.
    """
    parser = ToolParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--folder', type=named_folder, default=Path(folder), help='where results go (default: %(default)s)'
    )
    parser.add_argument(
        '--size', default='small', choices=list(PRESETS), help='RefShapes size (default: %(default)s)'
    )
    parser.add_argument(
        '--cfg-options',
        type=key_value,
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='config options for every training',
    )
    return parser


def demo_parser(description: str, folder: str, pictures: int) -> argparse.ArgumentParser:
    """A demo's parser: one seed, one split that is scored, some pictures.

    Args:
        description: See :func:`tool_parser`.
        folder: See :func:`tool_parser`.
        pictures: How many are drawn by default.
    """
    parser = tool_parser(description, folder)
    parser.add_argument(
        '--seed', type=seed, default=0, help='of what is sampled and trained (default: %(default)s)'
    )
    parser.add_argument(
        '--split',
        default='testA',
        choices=['val', 'testA', 'testB'],
        help='the split that is scored (default: %(default)s)',
    )
    parser.add_argument(
        '--pictures',
        type=positive,
        default=pictures,
        metavar='N',
        help='how many are drawn (default: %(default)s)',
    )
    return parser


def named_folder(text: str) -> Path:
    """A folder that has a name, as a type of argparse: an empty one would be the current folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError('found an empty name, expected a folder for results')
    return Path(text)


def key_value(text: str) -> str:
    """A config option, as a type of argparse; its value is read by the tool that takes it."""
    key, equals, _ = text.partition('=')
    if not equals or not key.strip():
        raise argparse.ArgumentTypeError(
            f'found {text!r}, expected key=value; write the key, = and the value'
        )
    return text


def seed(text: str) -> int:
    """A seed that numpy takes, as a type of argparse."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number < 2**32:
        raise argparse.ArgumentTypeError(f'found {text!r}, expected a whole number from 0 to 2**32 - 1')
    return number


def positive(text: str) -> int:
    """A whole number of at least 1, as a type of argparse."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f'found {text!r}, expected a whole number of at least 1')
    return number
