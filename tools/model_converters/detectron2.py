"""Convert detectron2's weights: Mask R-CNN of its model zoo, or an ImageNet backbone.

    python tools/model_converters/detectron2.py model_final_f10217.pkl work_dirs/mask-rcnn_r50_3x.pth
    python tools/model_converters/detectron2.py R-50.pkl data/weights/R-50.pth

The pickles are read without running them. Also takes the .pth files that detectron2 writes in training. The
converted detector goes with configs/mask_rcnn/*.py; the backbones are what these configs start training from.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mmrefseg.checkpoints.converter_options import add_conversion_options, check_destination
from mmrefseg.runs.options import check_file
from mmrefseg.utils import cli

if TYPE_CHECKING:
    from mmrefseg.checkpoints.from_detectron2 import Detectron2Checkpoint

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/mask_rcnn'


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_conversion_options(parser, 'model_final_xxx.pkl, R-50.pkl, R-101.pkl or model_final.pth')
    return parser.parse_args(argv)


def expected(checkpoint: 'Detectron2Checkpoint') -> dict[str, tuple[int, ...]]:
    """Names and shapes of the model that the checkpoint is for."""
    import mmrefseg.registration  # noqa: F401  isort: skip  (before anything imports mmdet)
    import torch
    from mmdet.registry import MODELS
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    from mmrefseg.checkpoints.conversion_report import expected_shapes

    config = Config.fromfile(CONFIGS / f'mask-rcnn_r{checkpoint.depth}-caffe_fpn_3x_coco.py').model
    if not checkpoint.backbone_only:
        for head in (config.roi_head.bbox_head, config.roi_head.mask_head):
            head.num_classes = checkpoint.num_classes
    init_default_scope('mmdet')
    with torch.device('meta'):
        shapes = expected_shapes(MODELS.build(config))
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
    convert(args)


def convert(args: argparse.Namespace) -> None:
    """Convert a file that is there."""
    import mmrefseg.registration  # noqa: F401  (registers the models)
    from mmrefseg.checkpoints.conversion_report import ConversionReport, write_checkpoint
    from mmrefseg.checkpoints.from_detectron2 import read_detectron2

    checkpoint = read_detectron2(args.src)
    report = ConversionReport.compare(checkpoint.mapped, expected(checkpoint), checkpoint.notes)
    print(report.table(args.every_key))
    report.require_complete(args.src, args.allow)
    state = report.state
    if checkpoint.backbone_only:  # as mmdet's init_cfg=dict(type='Pretrained') wants it
        state = {key.removeprefix('backbone.'): value for key, value in state.items()}
    write_checkpoint(args.dst, state, original='detectron2', depth=checkpoint.depth)
    goes_with = f'configs/mask_rcnn/mask-rcnn_r{checkpoint.depth}-caffe_fpn_*_coco.py'
    what = 'backbone' if checkpoint.backbone_only else f'detector of {checkpoint.num_classes} classes'
    print(f'{args.dst}: {what}, for {goes_with}')


if __name__ == '__main__':
    main()
