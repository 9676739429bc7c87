"""Write annotations of the working format for a labelling tool, so that masks can be mended there."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from mmrefseg.datasets.coco.tables import read_category_names
from mmrefseg.datasets.converters import (
    Exported,
    check_images,
    exported,
    labelling_interface,
    name_categories,
    read_instances,
    write_cvat_coco,
    write_label_studio,
    write_labelme,
)
from mmrefseg.utils import UserInputError, atomic_write, check_absent, check_output, cli
from mmrefseg.utils.command_line import ToolParser

EPILOG = """
examples
  # labelme: a json beside each image
  python tools/dataset_converters/export.py labelme data/annotations/mine/instances.json \\
      --images data/images/mine --out data/images/mine

  # the pseudo masks of the training split, to be mended in Label Studio, and what was mended back
  python tools/dataset_converters/export.py label-studio \\
      data/annotations/mine/instances_sample_5_box_pick.json --split train --out tasks.json
  python tools/dataset_converters/convert.py label-studio project-1.json --out mended.json

Files that are there are left alone; --overwrite replaces them.
Objects keep their ref_id, their split and their sentences on the way there and back (docs/formats.md).
"""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = ToolParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    formats = parser.add_subparsers(dest='target', required=True, metavar='FORMAT')
    common = ToolParser(add_help=False)
    common.add_argument('file', help='instances.json of the working format')
    common.add_argument('--split', nargs='+', default=[], metavar='SPLIT', help='default: all of them')
    common.add_argument('--img-template', metavar='T', help="names of images without one, such as '{}.jpg'")
    common.add_argument('--categories', metavar='FILE', help='a COCO file with the names of the categories')
    common.add_argument(
        '--tolerance',
        type=_pixels,
        default=0.5,
        metavar='PIXELS',
        help='how far polygons may leave the pixels of a mask that is none; default: 0.5',
    )
    common.add_argument('--overwrite', action='store_true', help='replace files that are there')

    def add(name: str, text: str, out: str) -> argparse.ArgumentParser:
        sub = formats.add_parser(name, help=text, description=text, parents=[common])
        sub.add_argument('--out', required=True, help=out)
        return sub

    sub = add('labelme', 'a json for each image, for labelme', 'folder to write to')
    sub.add_argument('--images', metavar='DIR', help='folder of the images, if it is not --out')
    sub.add_argument('--bitmaps', action='store_true', help='every mask as pixels, not as polygons')
    sub = add('cvat-coco', "CVAT's COCO 1.0, a file for each split, and labels.json", 'folder to write to')
    sub.add_argument('--bitmaps', action='store_true', help="every mask as CVAT's mask, not as polygons")
    sub = add('label-studio', 'tasks with pre-annotations for Label Studio', 'json file to write')
    sub.add_argument(
        '--url',
        default='/data/local-files/?d=',
        help="what comes before an image's name; default: /data/local-files/?d=",
    )
    sub.add_argument('--brush', action='store_true', help='every mask as a brush region, not as polygons')
    return parser.parse_args(argv)


def _pixels(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f'{text} is not from 0 to 100')
    return value


def check_files(args: argparse.Namespace, entries: Sequence[Exported]) -> None:
    """See that no file is there that would be written: it may have been drawn by hand.

    Raises:
        UserInputError: If one is, and ``--overwrite`` was not given.
    """
    if args.target == 'labelme':
        files = [Path(args.out, f'{os.path.splitext(entry.name)[0]}.json') for entry in entries]
    elif args.target == 'cvat-coco':
        files = [Path(args.out, 'annotations', f'instances_{entry.split}.json') for entry in entries]
        files.append(Path(args.out, 'labels.json'))
    else:
        files = [Path(args.out), interface_file(args.out)]
    check_absent(files, f'--out {args.out}', args.overwrite)


def interface_file(out: str) -> Path:
    """Where the labelling interface of Label Studio's tasks lies."""
    return Path(f'{out}.interface.xml')


def write(args: argparse.Namespace, entries: Sequence[Exported]) -> str:
    """Write the entries for the tool; what was written, in words."""
    if args.target == 'labelme':
        count = write_labelme(entries, args.out, args.images, args.tolerance, args.bitmaps)
        return f'{count} json files below {args.out}'
    if args.target == 'cvat-coco':
        counts = write_cvat_coco(entries, args.out, args.tolerance, args.bitmaps)
        files = ', '.join(f'annotations/instances_{split}.json' for split in counts)
        return f'{files} and labels.json in {args.out}'
    count = write_label_studio(entries, args.out, args.url, args.tolerance, args.brush)
    interface = interface_file(args.out)
    with atomic_write(interface) as file:
        file.write(labelling_interface(entries))
    return f'{count} tasks in {args.out}; the labelling interface is {interface}'


@cli
def main(argv: list[str] | None = None) -> int:
    """Read, write, report."""
    args = parse_args(argv)
    check_output(args.out, '--out', folder=args.target != 'label-studio')
    images = getattr(args, 'images', None)
    if images is not None and not Path(images).is_dir():
        raise UserInputError.of(
            f'--images {images}', 'no such folder', "the images' folder", 'check the path'
        )
    conversion = read_instances(args.file)
    if args.categories:
        name_categories(conversion.splits, read_category_names(args.categories))
    entries = exported(conversion.splits, args.img_template, args.split)
    if images is not None:
        check_images(entries, images, '--images')
    check_files(args, entries)
    written = write(args, entries)
    without = sum(entry.record.get('mask') is None for entry in entries)
    print(f'{len(entries)} objects, {without} of them without a mask')
    print(f'written: {written}')
    return 0


if __name__ == '__main__':
    main()
