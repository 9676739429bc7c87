"""Write a checkpoint of a training as a file for others: weights alone, and what they need to run.

    python tools/model_converters/publish.py work_dirs/mine/best.pth mine.safetensors --half

Optimizer, log and epochs stay behind. Config, words and classes are in the file's metadata, so that
`mmrefseg predict --weights mine.safetensors` and `mmrefseg.load('mine.safetensors')` need nothing else. The
file holds numbers and text, no code. A file that is there is left alone; --overwrite replaces it.
"""

import argparse

from mmrefseg.runs.options import check_checkpoint
from mmrefseg.runs.tool_errors import tool
from mmrefseg.utils import check_absent, check_output
from mmrefseg.utils.command_line import ToolParser


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('src', metavar='SRC', help='checkpoint of a training (.pth)')
    parser.add_argument('dst', metavar='DST', help='file to write (.safetensors)')
    parser.add_argument('--half', action='store_true', help='in half precision, where a tensor bears it')
    parser.add_argument('--overwrite', action='store_true', help='replace a file that is there')
    return parser.parse_args(argv)


@tool
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    check_checkpoint(args.src)
    check_output(args.dst, 'DST')
    check_absent([args.dst], f'DST {args.dst}', args.overwrite)
    from mmrefseg.checkpoints.shipped import publish  # brings torch

    before, after = publish(args.src, args.dst, args.half)
    print(f'{args.dst}: {after / 1e6:.1f} MB (SRC: {before / 1e6:.1f} MB)')


if __name__ == '__main__':
    main()
