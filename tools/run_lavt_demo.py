"""Late LAVT on RefShapes in minutes: train, test by four protocols, study the failures.

    make demo-lavt
    python tools/run_lavt_demo.py --seed 1 --folder work_dirs/demo-lavt_1

Runs the package's own tools one after another (the log of each is beside what it makes), prints a table and
leaves summary.json, pictures and failures/index.html in work_dirs/demo-lavt. What is done is not done again.
Late LAVT is this package's own small network (docs/lavt.md), not the paper's.
"""

import argparse

from mmrefseg.experiments.arguments import demo_parser
from mmrefseg.experiments.late_lavt_demo import PROTOCOLS, LavtDemo, lavt_table
from mmrefseg.experiments.stages import run_stages
from mmrefseg.utils import check_output, cli, dump_json, plain_console


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = demo_parser(__doc__, 'work_dirs/demo-lavt', pictures=12)
    parser.add_argument(
        '--protocols', nargs='+', choices=PROTOCOLS, default=list(PROTOCOLS), help='how it is scored'
    )
    return parser.parse_args(argv)


@cli
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    check_output(args.folder, '--folder', folder=True)
    demo = LavtDemo(
        args.folder, args.seed, args.size, args.split, tuple(args.protocols), tuple(args.cfg_options)
    )
    seconds = run_stages(demo.stages(), args.folder / 'stages')
    summary = demo.summary(seconds)
    dump_json(summary, args.folder / 'summary.json', indent=2)
    pictures = demo.draw(args.pictures)
    console = plain_console()
    console.print(lavt_table(demo, summary))
    page = args.folder / 'failures' / 'index.html'
    console.print(
        f'summary: {args.folder / "summary.json"}\npictures: {pictures}\nfailures: {page}', soft_wrap=True
    )


if __name__ == '__main__':
    main()
