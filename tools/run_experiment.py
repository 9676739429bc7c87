"""The paper's table in small: 1, 5 and 10 % of the masks, with and without pseudo masks, three seeds.

    make experiment                            # hours on two cores; stop and start it as you like

Every stage that is done is kept. After each seed the table so far is written to work_dirs/experiment:
summary.json, table.md and miou.png.
"""

import argparse

from rich.console import Console
from rich.markdown import Markdown

from mmrefseg.experiments.arguments import positive, tool_parser
from mmrefseg.experiments.report import markdown_table, write_experiment_report
from mmrefseg.experiments.stages import run_stages
from mmrefseg.experiments.study import SELECTIONS, PartialStudy, Variant
from mmrefseg.utils import cli


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = tool_parser(__doc__, 'work_dirs/experiment')
    parser.add_argument(
        '--seeds',
        type=int,
        nargs='+',
        default=[0, 1, 2],
        help='the table shows their mean and spread (default: 0 1 2)',
    )
    parser.add_argument(
        '--ratios', type=int, nargs='+', default=[5, 1, 10], choices=(1, 5, 10), help='in the order they run'
    )
    parser.add_argument(
        '--long-epochs',
        type=positive,
        metavar='N',
        help="epochs with all masks or with pseudo masks (default: the configs', as in the demo)",
    )
    return parser.parse_args(argv)


@cli
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    studies = [
        PartialStudy(
            args.folder / f'seed{seed}',
            seed,
            args.size,
            options=tuple(args.cfg_options),
            long_epochs=args.long_epochs,
        )
        for seed in dict.fromkeys(args.seeds)
    ]
    variants = [Variant(ratio, selection) for ratio in sorted(set(args.ratios)) for selection in SELECTIONS]
    variants.append(Variant(100))
    for study in studies:
        run_stages(study.stages(dict.fromkeys(args.ratios)), study.folder / 'stages')
        summary = write_experiment_report(studies, variants, args.folder)
    Console().print(Markdown(markdown_table(summary)))


if __name__ == '__main__':
    main()
