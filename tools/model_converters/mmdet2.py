"""Convert a checkpoint of mmdet 2.x, such as the original latest.pth of Cascade Mask R-CNN + ResNeSt-50.

    python tools/model_converters/mmdet2.py latest.pth work_dirs/cascade_original.pth

The names of weights are the same in mmdet 3.x, and tools/test.py also takes the file as it is. Converted, it
fits the config for certain and carries it, so that it predicts alone; it has its class names where mmdet 3.x
looks for them (DetInferencer), and has lost the optimizer's state.
"""

import argparse
from typing import TYPE_CHECKING

from mmrefseg.checkpoints.converter_options import (
    add_config_option,
    add_conversion_options,
    check_destination,
)
from mmrefseg.runs.options import check_config, check_file
from mmrefseg.runs.tool_errors import one_sentence
from mmrefseg.utils import cli
from mmrefseg.utils.command_line import ToolParser
from mmrefseg.utils.places import shipped

if TYPE_CHECKING:
    from mmengine.config import Config

CONFIG = 'configs/cascade_rcnn/cascade-mask-rcnn_resnest50_fpn_tiny-voc.py'


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_conversion_options(parser, 'latest.pth, epoch_24.pth or published weights of mmdet 2.x')
    add_config_option(parser, CONFIG)
    return parser.parse_args(argv)


def read(path: str) -> tuple['Config', dict[str, tuple[int, ...]]]:
    """A config, and names and shapes of its model."""
    import mmrefseg.registration  # noqa: F401  isort: skip  (before anything imports mmdet)
    from mmrefseg.checkpoints.conversion_report import shapes_of
    from mmrefseg.runs.batch_norm import replace_sync_batch_norm
    from mmrefseg.runs.config import load_config

    config = load_config(path)
    replace_sync_batch_norm(config)
    with one_sentence(path):
        return config, shapes_of(config, path)


@cli
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    config = args.config or str(shipped(CONFIG))
    check_file(args.src, 'weights of mmdet 2.x')
    check_destination(args.dst)
    check_config(config)
    convert(args, config)


def convert(args: argparse.Namespace, path: str) -> None:
    """Convert a file that is there."""
    from mmrefseg.checkpoints.conversion_report import ConversionReport, plain_text, write_checkpoint
    from mmrefseg.checkpoints.from_mmdet2 import read_mmdet2

    checkpoint = read_mmdet2(args.src)
    why = dict.fromkeys(checkpoint.mapped.dropped, 'mmcv keeps the moving average under the plain names')
    config, expected = read(path)
    report = ConversionReport.compare(checkpoint.mapped, expected, dropped=why)
    print(report.table(args.every_key))
    report.require_complete(args.src, args.allow)
    about = dict(cfg=plain_text(config), original='mmdet 2.x')
    write_checkpoint(args.dst, report.state, **about, **checkpoint.meta)
    classes = checkpoint.meta.get('dataset_meta', {}).get('classes')
    about = f'{len(classes)} classes ({classes[0]}, ...)' if classes else 'the class names of the config'
    print(f'{args.dst}: {about}; it carries {path}: mmrefseg predict --weights {args.dst}')


if __name__ == '__main__':
    main()
