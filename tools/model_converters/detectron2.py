"""Convert detectron2's weights: Mask R-CNN of its model zoo, or an ImageNet backbone.

    python tools/model_converters/detectron2.py model_final_f10217.pkl work_dirs/mask-rcnn_r50_3x.pth
    python tools/model_converters/detectron2.py R-50.pkl data/weights/R-50.pth

The pickles are read without running them. Also takes the .pth files that detectron2 writes in training. The
converted detector carries the config of configs/mask_rcnn that fits, or --config, so that it predicts alone;
the backbones are what these configs start training from.
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
from mmrefseg.utils import UserInputError, cli
from mmrefseg.utils.command_line import ToolParser
from mmrefseg.utils.places import shipped

if TYPE_CHECKING:
    from mmengine.config import Config

    from mmrefseg.checkpoints.from_detectron2 import Detectron2Checkpoint

CONFIG = 'configs/mask_rcnn/mask-rcnn_r{depth}-caffe_fpn_3x_coco.py'


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_conversion_options(parser, 'model_final_xxx.pkl, R-50.pkl, R-101.pkl or model_final.pth')
    add_config_option(parser, 'that of configs/mask_rcnn with its depth and classes')
    return parser.parse_args(argv)


def read_config(checkpoint: 'Detectron2Checkpoint', path: str | None) -> 'Config':
    """The config that a checkpoint is for: that of a file as it is, or the shipped one with its classes."""
    from mmrefseg.runs.batch_norm import replace_sync_batch_norm
    from mmrefseg.runs.config import load_config

    if path is not None:
        config = load_config(path)
        replace_sync_batch_norm(config)
        return config
    config = load_config(str(shipped(CONFIG.format(depth=checkpoint.depth))))
    if not checkpoint.backbone_only:
        for head in (config.model.roi_head.bbox_head, config.model.roi_head.mask_head):
            head.num_classes = checkpoint.num_classes
    return config


def expected(checkpoint: 'Detectron2Checkpoint', config: 'Config', where: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the model that the checkpoint is for."""
    from mmrefseg.checkpoints.conversion_report import shapes_of

    with one_sentence(where):
        shapes = shapes_of(config, where)
    return {
        key: shape
        for key, shape in shapes.items()
        if not checkpoint.backbone_only or key.startswith('backbone.')
    }


@cli
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    check_file(args.src, "detectron2's weights")
    check_destination(args.dst)
    if args.config is not None:
        check_config(args.config)
    convert(args)


def convert(args: argparse.Namespace) -> None:
    """Convert a file that is there."""
    import mmrefseg.registration  # noqa: F401  (registers the models)
    from mmrefseg.checkpoints.conversion_report import ConversionReport, plain_text, write_checkpoint
    from mmrefseg.checkpoints.from_detectron2 import read_detectron2

    checkpoint = read_detectron2(args.src)
    if checkpoint.backbone_only and args.config:
        raise UserInputError.of(
            '--config', 'a backbone alone', 'a whole detector, which carries it', 'leave the option out'
        )
    where = args.config or CONFIG.format(depth=checkpoint.depth)
    config = read_config(checkpoint, args.config)
    report = ConversionReport.compare(
        checkpoint.mapped, expected(checkpoint, config, where), checkpoint.notes
    )
    print(report.table(args.every_key))
    report.require_complete(args.src, args.allow)
    state, about = report.state, dict(original='detectron2', depth=checkpoint.depth)
    if checkpoint.backbone_only:  # as mmdet's init_cfg=dict(type='Pretrained') wants it
        state = {key.removeprefix('backbone.'): value for key, value in state.items()}
        what = f'backbone, for {where.replace("3x", "*")}'
    else:
        names = class_names(config, checkpoint.num_classes)
        about |= dict(cfg=plain_text(config), dataset_meta={'classes': names})
        what = f'detector of {checkpoint.num_classes} classes ({names[0]}, ...); it carries {where}'
        what += f': mmrefseg predict --weights {args.dst}'
    write_checkpoint(args.dst, state, **about)
    print(f'{args.dst}: {what}')


def class_names(config: 'Config', number: int) -> list[str]:
    """Names of the classes, which detectron2's files do not hold: the config's, if these are as many."""
    from mmrefseg.apis.instance_inferencer import class_names

    names = class_names(config, {})
    return names if len(names) == number else [f'class {index}' for index in range(number)]


if __name__ == '__main__':
    main()
