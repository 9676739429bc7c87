"""Draw what a model finds in images, a video or a camera's image; detectron2's demo for the models here.

    python demo/image_demo.py --config configs/mask_rcnn/mask-rcnn_r50-caffe_fpn_3x_coco.py \
        --weights work_dirs/mask-rcnn_r50_3x.pth --input 'folder/*.jpg' --output out/
    python demo/image_demo.py --config ... --weights ... --video-input street.mp4 --output out/
    python demo/image_demo.py --config ... --weights ... --webcam

Without --output images are shown in a window (Esc stops). A model of referring expressions gets its
sentences by --text.
"""

import argparse
import sys

from mmrefseg.runs.foreign_flags import DEMO_FLAGS, refuse_foreign
from mmrefseg.runs.options import KeyValueAction, check_config, check_file
from mmrefseg.runs.tool_errors import tool
from mmrefseg.utils import UserInputError
from mmrefseg.utils.command_line import ToolParser

COLOR_MODES = ('image', 'segmentation', 'bw')


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--config', '--config-file', required=True, metavar='FILE', help='config of the model'
    )
    parser.add_argument('--weights', metavar='FILE', help='checkpoint (or --opts MODEL.WEIGHTS FILE)')
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--input', nargs='+', metavar='PATH', help='images, patterns, folders')
    source.add_argument('--video-input', metavar='FILE', help='a video')
    source.add_argument(
        '--webcam', nargs='?', const=0, type=int, metavar='N', help='a camera, by its number (default: 0)'
    )
    parser.add_argument(
        '--output',
        metavar='PATH',
        help='file for one image, folder for several; for a video a file or folder',
    )
    parser.add_argument(
        '--confidence-threshold',
        type=float,
        metavar='P',
        help='least score of what is drawn (default: 0.5; with --text 0, as each sentence has one answer)',
    )
    parser.add_argument(
        '--text', nargs='+', metavar='SENTENCE', help='what to look for, for referring models'
    )
    parser.add_argument('--color-mode', choices=COLOR_MODES, default='image', help='see docs')
    parser.add_argument('--device', help='cpu, cuda, cuda:1, ... (default: a GPU if there is one)')
    parser.add_argument(
        '--opts', nargs='+', default=[], metavar='KEY VALUE', help='config options in pairs, as in detectron2'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=KeyValueAction,
        default={},
        metavar='KEY=VALUE',
        help='config options',
    )
    words = sys.argv[1:] if argv is None else argv
    refuse_foreign(parser, words, DEMO_FLAGS)
    if words and not words[0].startswith('-'):
        raise UserInputError.of(
            'image_demo.py',
            f'{words[0]} as the first word, as in mmdet',
            'names before files',
            'write --input IMAGE --config CONFIG --weights CHECKPOINT',
        )
    return parser.parse_args(argv)


@tool
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    if args.confidence_threshold is None:
        args.confidence_threshold = 0.0 if args.text else 0.5
    if not 0 <= args.confidence_threshold < 1:
        raise UserInputError.of(
            '--confidence-threshold',
            str(args.confidence_threshold),
            'a number from 0 to below 1',
            'change it',
        )
    if args.text and not all(sentence.strip() for sentence in args.text):
        raise UserInputError.of(
            '--text', 'an empty sentence', 'what to look for', "write for instance 'the red car'"
        )
    check_config(args.config)
    if args.weights:
        check_file(args.weights, 'a checkpoint')
    if args.device is not None:
        from mmrefseg.runs.device import choose_device  # brings torch

        choose_device(args.device)
    from drawing import draw_all  # brings torch, and models

    draw_all(args)


if __name__ == '__main__':
    main()
