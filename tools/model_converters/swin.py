"""Convert ImageNet weights of Swin for the backbone LanguageSwin.

    python tools/model_converters/swin.py swin_base_patch4_window12_384_22k.pth data/weights/swin_base_w12.pth
    python tools/model_converters/swin.py swin_tiny_patch4_window7_224.pth swin_tiny_w12.pth --window-size 12

The relative-position tables are resized bicubically for another window, as both originals of LAVT do. The
result goes with model.backbone.init_cfg=dict(type='Pretrained', checkpoint=DST).
"""

import argparse
from pathlib import Path

from mmrefseg.checkpoints.converter_options import add_conversion_options, check_destination
from mmrefseg.runs.options import check_file
from mmrefseg.utils import cli
from mmrefseg.utils.command_line import ToolParser


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_conversion_options(parser, 'swin_*_patch4_window*.pth of the authors of Swin')
    parser.add_argument('--window-size', type=int, help="of the backbone (default: the file's)")
    return parser.parse_args(argv)


@cli
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    check_file(args.src, 'weights of Swin')
    check_destination(args.dst)
    import mmrefseg.registration  # noqa: F401  (brings torch, registers the models)
    from mmrefseg.checkpoints.conversion_report import write_checkpoint
    from mmrefseg.checkpoints.from_swin import convert_swin, read_swin

    sizes, report = convert_swin(read_swin(args.src), args.window_size)
    print(report.table(args.every_key))
    report.require_complete(args.src, args.allow)
    write_checkpoint(args.dst, report.state, original='Swin', source=Path(args.src).name, **sizes)
    print(f'{args.dst}: for LanguageSwin({", ".join(f"{name}={value}" for name, value in sizes.items())})')


if __name__ == '__main__':
    main()
