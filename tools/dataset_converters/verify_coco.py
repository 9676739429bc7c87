"""Say what is wrong with a COCO instance file, and mend what can be mended."""

import argparse
from pathlib import Path

from mmrefseg.datasets.coco import CheckedCoco, as_objects, read_coco, with_plain_ids
from mmrefseg.utils import UserInputError, check_output, cli, dump_json
from mmrefseg.utils.command_line import ToolParser

EPILOG = """
exit code
  0 the file is sound, or its mended copy was written; 1 there is something to mend or to know;
  2 the file is none of COCO's, or no object in it can be used

CocoInstanceDataset and InstanceMetric mend and leave out the same when they read the file itself. In the
copy, ids of images and categories are whole numbers above 0, too (what they were is kept as original_id).

examples
  python tools/dataset_converters/verify_coco.py annotations.json --image-folder images/
  python tools/dataset_converters/verify_coco.py annotations.json --image-folder images/ --mend mended.json
"""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = ToolParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('ann_file', help='images, annotations and categories as json')
    parser.add_argument(
        '--image-folder', metavar='DIR', help='where the images are: sizes, missing files, EXIF orientation'
    )
    parser.add_argument('--mend', metavar='OUT', help='write a mended copy')
    parser.add_argument(
        '--no-crowds',
        action='store_true',
        help='in the copy, what is marked iscrowd is an ordinary object (some tools mark every RLE)',
    )
    return parser.parse_args(argv)


@cli
def main(argv: list[str] | None = None) -> int:
    """Check, report, mend."""
    args = parse_args(argv)
    if args.image_folder is not None and not Path(args.image_folder).is_dir():
        raise UserInputError.of(
            '--image-folder', f'no folder {args.image_folder}', 'the folder of the images', 'check the path'
        )
    if args.no_crowds and args.mend is None:
        raise UserInputError.of('--no-crowds', 'no --mend', 'a copy to write', 'add --mend OUT')
    check_output(args.mend, '--mend')
    checked = read_coco(args.ann_file, args.image_folder)
    print(report(checked))
    if not checked.annotations:
        found = checked.unusable_sentence() if checked.num_objects else 'no objects'
        raise UserInputError.of(args.ann_file, found, 'objects that can be used', 'export the file again')
    if args.mend is None:
        return int(bool(checked.sentences()))
    content = as_objects(checked.content) if args.no_crowds else checked.content
    dump_json(with_plain_ids(content), args.mend)
    print(f'written: {args.mend} ({len(checked.annotations)} of {checked.num_objects} objects)')
    return 0


def report(checked: CheckedCoco) -> str:
    """All that was found, a line each, for people."""
    images, left = checked.content['images'], checked.annotations
    masks = sum(bool(annotation.get('segmentation')) for annotation in left)
    names = [category['name'] for category in checked.content['categories']]
    lines = [
        f'{checked.where}',
        f'  {len(images)} images, {len(names)} categories, {checked.num_objects} objects, of which '
        f'{len(left)} can be used: {masks} with a mask, {len(left) - masks} with a box only, '
        f'{checked.num_crowds} marked iscrowd',
    ]
    if not checked.sentences():
        return '\n'.join([*lines, 'nothing is wrong'])
    sections = (
        ('mended', checked.mended.lines()),
        ('objects that cannot be used', checked.unusable.lines()),
        ('objects with a box and no mask', checked.without_mask.lines()),
        ('images left out', checked.images_left_out.lines()),
        ('to know', checked.remarks),
    )
    for title, found in sections:
        if found:
            lines += [title, *(f'  {line}' for line in found)]
    return '\n'.join(lines)


if __name__ == '__main__':
    main()
