"""Command-line options that the tools share."""

import argparse
import os

from mmengine.config import DictAction

# Names of files: `0856610` is not the number 856610.
TEXT_KEYS = ('jsonfile_prefix', 'outfile_prefix')


class KeyValueAction(DictAction):
    """mmengine's ``key=value`` pairs, with a sentence for what is not one."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        for pair in values:
            key, equals, text = pair.partition('=')
            if not equals or not key.strip():
                parser.error(
                    f'{option_string}: found {pair!r}, expected key=value; write the key, = and the value'
                )
            try:
                super().__call__(parser, namespace, [pair], option_string)
            except (AssertionError, ValueError) as error:
                parser.error(f'{option_string}: {pair!r} cannot be read ({error}); check brackets and quotes')
            if key in TEXT_KEYS:
                getattr(namespace, self.dest)[key] = text


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
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='who started the processes',
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by some launchers')


def parse_args(parser: argparse.ArgumentParser, argv: list[str] | None = None) -> argparse.Namespace:
    """Parse, and hand ``--local-rank`` on to the environment, where mmengine reads it."""
    args = parser.parse_intermixed_args(argv)  # options may stand between CONFIG and CHECKPOINT
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args
