"""Masks learned from all boxes and 5 % of the masks, on RefShapes, in minutes.

    make demo                                             # this package's own method, boxes stay as they are
    make demo ARGS="--network box-frame-frozen"           # masks of dense cells instead of the refiner's
    make demo ARGS="--network box-frame"                  # contours of points; all of it learns from masks
    make demo ARGS="--network partial-res"                # the network of the paper Partial-RES
    make demo ARGS="--seed 1 --folder work_dirs/demo_1"
    make demo ARGS=--from-scratch                         # trains the boxes-only network too

Runs the package's own tools one after another (the log of each is beside what it makes), prints a table and
leaves summary.json and pictures in work_dirs/demo, the first of them within seconds. What is done is not done
again.
"""

import argparse

from mmrefseg.experiments.arguments import demo_parser
from mmrefseg.experiments.demo import DEFAULT, demo_stages, opening_line
from mmrefseg.experiments.experiment_tables import demo_summary, demo_table
from mmrefseg.experiments.few_masks import NETWORKS, SHIPPED_REC, PartialStudy, Variant
from mmrefseg.experiments.stages import run_stages
from mmrefseg.utils import check_output, cli, dump_json, plain_console

FIRST_MASKS = 8
NO_VALIDATION = ('train_cfg.val_interval=1000000',)  # what is scored is the last epoch, whatever val says


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = demo_parser(__doc__, 'work_dirs/demo', pictures=12)
    parser.add_argument(
        '--ratio', type=int, default=5, choices=(1, 5, 10), help='percent of the masks (default: %(default)s)'
    )
    parser.add_argument(
        '--network', default=DEFAULT.name, choices=list(NETWORKS), help='default: %(default)s'
    )
    parser.add_argument(
        '--from-scratch',
        action='store_true',
        help="train the boxes-only network too (default: start from the package's weights)",
    )
    return parser.parse_args(argv)


@cli
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    check_output(args.folder, '--folder', folder=True)
    study = PartialStudy(
        args.folder,
        args.seed,
        args.size,
        args.split,
        (*NO_VALIDATION, *args.cfg_options),
        NETWORKS[args.network],
        None if args.from_scratch else SHIPPED_REC,
    )
    pictures, console = args.folder / 'pictures', plain_console()
    console.print(opening_line(study), soft_wrap=True)
    first = pictures / 'first_masks.png'
    from mmrefseg.experiments.pictures import draw_first_masks, draw_predictions  # brings torch

    if not first.exists():
        draw_first_masks(first, FIRST_MASKS)
    console.print(f"first masks, by the package's own weights: {first}", soft_wrap=True)
    seconds = run_stages(demo_stages(study, args.ratio), study.folder / 'stages')
    summary = demo_summary(study, args.ratio, seconds)
    dump_json(summary, args.folder / 'summary.json', indent=2)
    # of the stage that is better on val with 5 % of the masks (docs/experiment.md, docs/refiner.md)
    stage = 'rpp' if study.network.predicts_quality else 'masks_only'
    readout = study.network.best_readout(stage)
    drawn = draw_predictions(study, Variant(args.ratio, stage), readout, pictures, args.pictures)
    console.print(demo_table(summary, args.ratio))
    console.print(f'summary: {args.folder / "summary.json"}\npictures: {drawn}', soft_wrap=True)


if __name__ == '__main__':
    main()
