"""Make the weights inside the package anew: train boxes, then what masks add to them, score and write them.

    make shipped-weights                       # about 40 minutes on two cores

Stages that are done are not done again; the metadata of each file say what it is and what it scores.
"""

import argparse
from pathlib import Path

from mmrefseg.experiments.stages import run_stages
from mmrefseg.utils import check_output, cli
from mmrefseg.utils.command_line import ToolParser
from mmrefseg.utils.places import WEIGHTS


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--folder',
        type=Path,
        default=Path('work_dirs/shipped-weights'),
        help='of the trainings (default: %(default)s)',
    )
    parser.add_argument('--seed', type=int, default=0, help='of all trainings (default: %(default)s)')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='config options for all trainings'
    )
    return parser.parse_args(argv)


@cli
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    check_output(args.folder, '--folder', folder=True)
    check_output(WEIGHTS, 'weights', folder=True)
    from mmrefseg.experiments.export import shipped_stages  # brings torch

    stages = shipped_stages(args.folder, args.seed, WEIGHTS, tuple(args.cfg_options))
    run_stages(stages, args.folder / 'stages')
    for file in sorted(WEIGHTS.glob('*.safetensors')):
        print(f'{file}: {file.stat().st_size / 2**20:.2f} MiB')


if __name__ == '__main__':
    main()
