"""Convert a checkpoint of mmdet 2.x, such as the original latest.pth of Cascade Mask R-CNN + ResNeSt-50.

    python tools/model_converters/mmdet2.py latest.pth work_dirs/cascade_original.pth

The names of weights are the same in mmdet 3.x, and tools/test.py also takes the file as it is. Converted, it
fits the config for certain, has its class names where mmdet 3.x looks for them (DetInferencer), and has lost
the optimizer's state.
"""

import argparse

from mmrefseg.checkpoints.converter_options import add_conversion_options, check_destination
from mmrefseg.runs.options import check_config, check_file
from mmrefseg.utils import UserInputError, cli
from mmrefseg.utils.places import shipped

CONFIG = 'configs/cascade_rcnn/cascade-mask-rcnn_resnest50_fpn_tiny-voc.py'


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_conversion_options(parser, 'latest.pth, epoch_24.pth or published weights of mmdet 2.x')
    parser.add_argument('--config', help=f'config of the same model (default: {CONFIG})')
    return parser.parse_args(argv)


def expected(path: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the model of a config."""
    import mmrefseg.registration  # noqa: F401  isort: skip  (before anything imports mmdet)
    import torch
    from mmdet.registry import MODELS
    from mmengine.registry import init_default_scope

    from mmrefseg.checkpoints.conversion_report import expected_shapes
    from mmrefseg.runs.batch_norm import replace_sync_batch_norm
    from mmrefseg.runs.config import load_config

    config = load_config(path)
    if 'model' not in config:
        raise UserInputError.of(path, 'no model', 'the config of a detector', 'choose another')
    replace_sync_batch_norm(config)
    init_default_scope('mmdet')
    with torch.device('meta'):
        return expected_shapes(MODELS.build(config.model))


@cli
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    config = args.config or str(shipped(CONFIG))
    check_file(args.src, 'weights of mmdet 2.x')
    check_destination(args.dst)
    check_config(config)
    convert(args, config)


def convert(args: argparse.Namespace, config: str) -> None:
    """Convert a file that is there."""
    from mmrefseg.checkpoints.conversion_report import ConversionReport, write_checkpoint
    from mmrefseg.checkpoints.from_mmdet2 import read_mmdet2

    checkpoint = read_mmdet2(args.src)
    why = dict.fromkeys(checkpoint.mapped.dropped, 'mmcv keeps the moving average under the plain names')
    report = ConversionReport.compare(checkpoint.mapped, expected(config), dropped=why)
    print(report.table(args.every_key))
    report.require_complete(args.src, args.allow)
    write_checkpoint(args.dst, report.state, original='mmdet 2.x', **checkpoint.meta)
    classes = checkpoint.meta.get('dataset_meta', {}).get('classes')
    about = f'{len(classes)} classes ({classes[0]}, ...)' if classes else 'no class names'
    print(f'{args.dst}: {about}, for {config}')


if __name__ == '__main__':
    main()
