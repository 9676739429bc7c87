"""Partial-RES on RefShapes in minutes: masks learned from all boxes and 5 % of the masks.

    make demo
    python tools/run_demo.py --seed 1 --folder work_dirs/demo_1

Runs the package's own tools one after another (the log of each is beside what it makes), prints a table and
leaves summary.json and pictures in work_dirs/demo. What is done is not done again.
"""

import argparse

from rich.console import Console

from mmrefseg.experiments.arguments import demo_parser
from mmrefseg.experiments.pictures import draw_predictions
from mmrefseg.experiments.report import demo_summary, demo_table
from mmrefseg.experiments.stages import run_stages
from mmrefseg.experiments.study import PartialStudy, Variant
from mmrefseg.utils import cli, dump_json


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = demo_parser(__doc__, 'work_dirs/demo', pictures=12)
    parser.add_argument(
        '--ratio', type=int, default=5, choices=(1, 5, 10), help='percent of the masks (default: %(default)s)'
    )
    return parser.parse_args(argv)


@cli
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    study = PartialStudy(args.folder, args.seed, args.size, args.split, tuple(args.cfg_options))
    rpp = Variant(args.ratio, 'rpp')
    stages = [study.data(), study.samples((1, 5, 10)), *study.rec()]
    stages += [*study.variant(Variant(args.ratio)), study.predict(args.ratio), *study.variant(rpp)]
    seconds = run_stages(stages, study.folder / 'stages')
    summary = demo_summary(study, args.ratio, seconds)
    dump_json(summary, args.folder / 'summary.json', indent=2)
    pictures = draw_predictions(study, rpp, args.folder / 'pictures', args.pictures)
    console = Console()
    console.print(demo_table(summary, args.ratio, args.split))
    console.print(f'summary: {args.folder / "summary.json"}\npictures: {pictures}', soft_wrap=True)


if __name__ == '__main__':
    main()
