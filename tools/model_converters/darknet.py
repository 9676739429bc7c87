"""Convert DarkNet's binary weights (SeqTR's darknet.weights, or yolov3.weights) for the backbone DarkNet53.

python tools/model_converters/darknet.py darknet.weights data/weights/darknet53.pth
"""

import argparse
from pathlib import Path

from mmrefseg.checkpoints.converter_options import add_conversion_options, check_destination
from mmrefseg.runs.options import check_file
from mmrefseg.utils import cli
from mmrefseg.utils.command_line import ToolParser


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__.splitlines()[0])
    add_conversion_options(parser, 'darknet.weights or yolov3.weights')
    return parser.parse_args()


@cli
def main() -> None:
    args = parse_args()
    check_file(args.src, "DarkNet's weights")
    check_destination(args.dst)
    from mmrefseg.checkpoints.conversion_report import write_checkpoint
    from mmrefseg.checkpoints.from_darknet import convert_darknet  # brings torch

    report = convert_darknet(args.src)
    print(report.table(args.every_key))
    report.require_complete(args.src, args.allow)
    write_checkpoint(args.dst, report.state, original='DarkNet', source=Path(args.src).name)
    print(f'DarkNet53 -> {args.dst}')


if __name__ == '__main__':
    main()
