"""Write trained weights as a file of the package: half precision, with what they are and what they score.

    python tools/model_converters/export_weights.py configs/extended/box-frame_tiny_rec_refshapes.py \\
        work_dirs/rec/best.pth mmrefseg/weights/rec_tiny_refshapes.safetensors --network BoxFrame

The weights are scored as they are in the file, after rounding. `make shipped-weights` trains and writes them
all.
"""

import argparse

from mmrefseg.runs.options import KeyValueAction, check_checkpoint, check_config
from mmrefseg.runs.tool_errors import tool
from mmrefseg.utils import check_output
from mmrefseg.utils.command_line import ToolParser


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', metavar='CONFIG', help='the shipped config that the weights run with')
    parser.add_argument('src', metavar='SRC', help='checkpoint of the training (.pth)')
    parser.add_argument('dst', metavar='DST', help='file to write (.safetensors)')
    parser.add_argument('--network', required=True, help='name of the network, for the metadata')
    parser.add_argument('--split', default='testA', help='what is scored (default: %(default)s)')
    parser.add_argument(
        '--extends', default='', metavar='ADDRESS', help='shipped weights that these come on top of'
    )
    parser.add_argument(
        '--extends-as',
        default='',
        metavar='MODULE',
        help='which part of the model those are (default: all of it)',
    )
    parser.add_argument(
        '--keys',
        nargs='+',
        default=[],
        metavar='MODULE',
        help='write only what is below these (default: all)',
    )
    parser.add_argument('--commit', help="of the code that trained them (default: the checkout's)")
    parser.add_argument('--command', help='what trained them (default: train.py with config and seed)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=KeyValueAction,
        default={},
        metavar='KEY=VALUE',
        help='config options for the scoring',
    )
    return parser.parse_args(argv)


@tool
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    check_config(args.config)
    check_output(args.dst, 'DST')
    check_checkpoint(args.src)
    from mmrefseg.experiments.export import export_weights  # brings torch

    provenance = export_weights(args)
    figures = ', '.join(f'{name} {value:.2f}' for name, value in provenance.metrics.items())
    print(f'{args.dst}: {figures} on {provenance.split}, contours from {provenance.readout}')


if __name__ == '__main__':
    main()
