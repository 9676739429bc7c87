"""The command line options that all checkpoint converters share."""

import argparse
from pathlib import Path
from typing import Any

from ..utils import UserInputError, check_output
from ..utils.places import shipped_config

REFCOCO_FAMILY = ('refcoco-unc', 'refcocoplus-unc', 'refcocog-umd', 'refcocog-google')
"""What LAVT's weights may have been trained on."""

SEQTR_DATASETS = (*REFCOCO_FAMILY, 'referit', 'flickr30k', 'mixed')
"""What SeqTR's weights may have been trained on."""


def add_conversion_options(parser: argparse.ArgumentParser, source: str) -> None:
    """Add ``SRC DST --allow --every-key``.

    Args:
        parser: The tool's.
        source: What SRC is, for the help text.
    """
    parser.add_argument('src', metavar='SRC', help=source)
    parser.add_argument('dst', metavar='DST', help='converted checkpoint to write (.pth)')
    parser.add_argument(
        '--allow',
        nargs='+',
        default=[],
        metavar='KEY',
        help='keys (theirs or ours, with * and ?) that may be missing, left over or of another shape',
    )
    parser.add_argument('--every-key', action='store_true', help='one line of the table for every key')


def add_config_option(parser: Any, default: str, what: str = 'carries') -> None:
    """Add ``--config``.

    Args:
        parser: The tool's, or a group of its options.
        default: Which config is taken where none is named, for the help text.
        what: What the converted file does with it, for the help text.
    """
    parser.add_argument(
        '--config',
        metavar='CONFIG',
        type=shipped_config,
        help=f'config that the converted file {what}: a file, or the name of one of the package '
        f'(default: {default})',
    )


def check_destination(path: str) -> None:
    """See that the converted checkpoint, and what lies beside it, can be written.

    Raises:
        UserInputError: If it cannot, or its name has another ending than ``.pth``.
    """
    if Path(path).suffix != '.pth':
        raise UserInputError.of(path, 'another ending', '.pth', 'name the converted checkpoint so')
    check_output(path, 'DST')
