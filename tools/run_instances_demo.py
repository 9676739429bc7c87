"""Mask R-CNN on RefShapes in minutes: train from scratch, score as COCO does, draw.

    make demo-instances
    python tools/run_instances_demo.py --seed 1 --folder work_dirs/demo-instances_1
    python tools/run_instances_demo.py --few-masks 0 1 2        # the seeds; three trainings each

Runs the package's own tools one after another (the log of each is beside what it makes), prints the table of
the model zoos and leaves summary.json and pictures in work_dirs/demo-instances. What is done stays done.
--few-masks compares 5 % of the masks with the boxes of all objects, the same masks with the other objects
left out, and all masks; the table so far is written after each training.
"""

import argparse

from rich.markdown import Markdown

from mmrefseg.evaluation.tables import precision_tables
from mmrefseg.experiments.arguments import demo_parser
from mmrefseg.experiments.instances_demo import FewMasksComparison, InstancesDemo
from mmrefseg.experiments.stages import run_stages
from mmrefseg.utils import check_output, cli, dump_json, load_json, plain_console


@cli
def main(argv: list[str] | None = None) -> None:
    parser = demo_parser(__doc__, 'work_dirs/demo-instances', pictures=8)
    parser.add_argument(
        '--few-masks',
        type=int,
        nargs='+',
        metavar='SEED',
        help='what boxes add to 5 %% of the masks, instead',
    )
    args = parser.parse_args(argv)
    check_output(args.folder, '--folder', folder=True)
    if args.few_masks:
        compare(args)
    else:
        show(args)


def compare(args: argparse.Namespace) -> None:
    """Few masks with boxes and without, and all masks."""
    options = tuple(args.cfg_options)
    comparison = FewMasksComparison(args.folder / 'few_masks', args.few_masks, args.size, args.split, options)
    for folder, stages in comparison.jobs():
        run_stages(stages, folder)
        table = comparison.write_report()
    plain_console().print(Markdown(table))


def show(args: argparse.Namespace) -> None:
    """One training with all masks, its scores and pictures."""
    demo = InstancesDemo(
        args.folder, args.seed, args.size, args.split, args.pictures, tuple(args.cfg_options)
    )
    summary = demo.summary(run_stages(demo.stages(), demo.folder / 'stages'))
    dump_json(summary, demo.folder / 'summary.json', indent=2)
    console = plain_console()
    console.print(f'Mask R-CNN on RefShapes {demo.size} {demo.split}, seed {demo.seed}:')
    for table in precision_tables(load_json(demo.scores)):
        console.print(table)
    minutes = summary['train_seconds'] / 60, summary['seconds'] / 60
    console.print(f'training {minutes[0]:.1f} of {minutes[1]:.1f} minutes')
    console.print(f'summary: {demo.folder / "summary.json"}\npictures: {demo.drawings}', soft_wrap=True)


if __name__ == '__main__':
    main()
