"""What the tools' command lines share, and what can be told of them before anything heavy is imported."""

import argparse
import contextlib
import os
from pathlib import Path

from ..utils.errors import UserInputError, did_you_mean
from ..utils.files import checkpoint_problem
from ..utils.outputs import check_output
from ..utils.places import is_shipped, shipped_weights
from .foreign_flags import refuse_foreign

# Names of files: `0856610` is not the number 856610.
TEXT_KEYS = ('jsonfile_prefix', 'outfile_prefix')
CONFIG_SUFFIXES = ('.py', '.json', '.yaml', '.yml')
LONGEST_SUFFIX = '.rank0.jsonl'


class KeyValueAction(argparse.Action):
    """mmengine's ``key=value`` pairs (its ``DictAction``), with a sentence for what is not one."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        given = dict(getattr(namespace, self.dest) or {})
        for pair in values:
            key, equals, text = pair.partition('=')
            if not equals or not key.strip():
                parser.error(
                    f'{option_string}: found {pair!r}, expected key=value; write the key, = and the value'
                )
            try:
                given[key] = option_value(key, text)
            except ValueError as error:
                parser.error(f'{option_string}: {pair!r} cannot be read ({error}); check brackets and quotes')
        setattr(namespace, self.dest, given)


def option_value(key: str, text: str) -> object:
    """The value of an option: :func:`parse_value`, but a name of a file stays a text."""
    return text if key in TEXT_KEYS else parse_value(text)


def parse_value(text: str) -> object:
    """A value as mmengine's ``DictAction`` reads it: a number, boolean, None, list or tuple, else a text.

    A text may have white space inside, which mmengine takes away.

    Raises:
        ValueError: If brackets do not match.
    """
    text = text.strip('\'"').strip()
    enclosed = text[:1] + text[-1:] in ('()', '[]')
    parts = _split(text) if enclosed or ',' in text else [text]
    for kind, brackets in ((tuple, '()'), (list, '[]')):
        if len(parts) == 1 and text[:1] == brackets[0] and text[-1:] == brackets[1]:
            return kind(parse_value(part) for part in _split(text[1:-1].strip()) if text[1:-1].strip())
    if len(parts) > 1 or text.endswith(','):
        return [parse_value(part) for part in parts]
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(text)
    return {'true': True, 'false': False}.get(text.lower(), None if text == 'None' else text)


def _split(text: str) -> list[str]:
    """The parts between commas that are in no bracket; a comma at the end ends the last."""
    parts, depth = [''], []
    for letter in text:
        if letter in '([':
            depth.append(letter)
        elif letter in ')]' and (not depth or depth.pop() + letter not in ('()', '[]')):
            raise ValueError(f'Imbalanced brackets exist in {text}')
        if letter == ',' and not depth:
            parts.append('')
        else:
            parts[-1] += letter
    if depth:
        raise ValueError(f'Imbalanced brackets exist in {text}')
    return parts[:-1] if len(parts) > 1 and not parts[-1] else parts


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add what training and testing have in common in mmdet 3.x: folder, config overrides, launcher."""
    parser.add_argument(
        '--work-dir',
        help='folder for logs, checkpoints and metrics (default: work_dirs/<name of the config>)',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=KeyValueAction,
        default={},
        metavar='KEY=VALUE',
        help='replace settings of the config, e.g. train_cfg.max_epochs=3 model.head.num_points=12; '
        'lists are written key="[a,b]" or key=a,b, without white space',
    )
    parser.add_argument(
        '--full-log',
        action='store_true',
        help='print all of the log, which its file has anyway (default: a line an interval)',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='who started the processes',
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by some launchers')


def parse_args(parser: argparse.ArgumentParser, argv: list[str] | None = None) -> argparse.Namespace:
    """Parse, and hand ``--local-rank`` on to the environment, where mmengine reads it."""
    refuse_foreign(parser, argv)
    args = parser.parse_intermixed_args(argv)  # options may stand between CONFIG and CHECKPOINT
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def check_config(path: str) -> None:
    """See that a config file is there.

    Raises:
        UserInputError: If it is not, with the names that are nearest, or if it is a file of another kind.
    """
    if not Path(path).is_file():
        near = did_you_mean(Path(path).stem, {file.stem: file for file in _config_files(path)})
        found = 'a folder' if Path(path).is_dir() else 'no such file'
        raise UserInputError(f'{path}: found {found}{near}, expected a config file; check the path')
    if Path(path).suffix not in CONFIG_SUFFIXES:
        raise UserInputError.of(
            path, 'a file of another kind', f'a config file ({", ".join(CONFIG_SUFFIXES)})', 'name one'
        )


def check_file(path: str | os.PathLike, kind: str) -> None:
    """See that a file that a tool reads is there, or weights inside the package (``mmrefseg://...``).

    Another address (``https://...``) is left to who opens it.

    Args:
        path: The file.
        kind: What it should be, for the message: ``'a checkpoint'``.

    Raises:
        UserInputError: If there is no such file.
    """
    if is_shipped(path):
        shipped_weights(path)
    elif '://' not in str(path) and not Path(path).expanduser().is_file():
        found = 'a folder' if Path(path).expanduser().is_dir() else 'no such file'
        raise UserInputError.of(str(path), found, kind, 'check the path')


def check_checkpoint(path: str | os.PathLike) -> None:
    """See that a checkpoint is there and whole, as far as that can be told without reading it.

    Raises:
        UserInputError: If it is not.
    """
    check_file(path, 'a checkpoint')
    if '://' not in str(path):
        problem = checkpoint_problem(Path(path).expanduser())
        if problem:
            raise UserInputError.of(str(path), *problem)


def check_prefix(prefix: str, option: str) -> None:
    """See that a prediction file can be written, whatever ending its metric gives it.

    Args:
        prefix: Its path without ending.
        option: What named it, for the message.

    Raises:
        UserInputError: If it cannot, or the prefix is empty.
    """
    check_output(prefix and f'{prefix}{LONGEST_SUFFIX}', option)


def _config_files(path: str) -> list[Path]:
    """Where a missing config may have been meant to be: its folder, and ``configs/`` near by."""
    folders = [Path(path).parent, Path('configs'), Path(__file__).parents[2] / 'configs']
    return [
        file
        for folder in folders
        if folder.is_dir()
        for file in folder.rglob('*.py')
        if '.venv' not in file.parts
    ]
