"""Convert annotations of referring expressions to the working format, or to refer's."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from mmrefseg.datasets.converters import (
    PUBLISHED,
    Conversion,
    ImageSizes,
    ImportOptions,
    compare_counts,
    count_objects,
    format_comparison,
    read_boxes_csv,
    read_coco_sentences,
    read_cvat,
    read_grefcoco,
    read_hugging_face,
    read_instances,
    read_json_lines,
    read_label_studio,
    read_labelme,
    read_mask_folders,
    read_reasonseg,
    read_refer,
    read_simrec,
    read_voc,
    read_yolo,
    write_refer,
)
from mmrefseg.utils import UserInputError, atomic_write, check_absent, check_output, cli, dump_json
from mmrefseg.utils.command_line import ToolParser

EPILOG = """
examples
  # RefCOCO as UNC published it, then check that it is complete
  python tools/dataset_converters/convert.py refer \\
      data/refcoco/'refs(unc).p' data/refcoco/instances.json \\
      --out data/annotations/refcoco-unc/instances.json --verify refcoco-unc

  # your own images and sentences, one line each:
  #   {"image": "a.jpg", "expression": "the left cup", "bbox": [10, 20, 30, 40]}
  python tools/dataset_converters/convert.py jsonlines mine.jsonl \\
      --images data/images/mine --out data/annotations/mine/instances.json

  # what a labelling tool has saved; one image in five becomes the split val
  python tools/dataset_converters/convert.py labelme data/images/mine --val 20 \\
      --out data/annotations/mine/instances.json

  # and back into refer's two files (tools/dataset_converters/export.py: back into labelling tools)
  python tools/dataset_converters/convert.py instances data/annotations/mine/instances.json \\
      --to refer --by mine --out data/mine-refer

Each format has its own help: convert.py refer --help. The formats are described in docs/data.md and
docs/formats.md. A bad record stops the conversion with one sentence; --skip-bad leaves bad records out,
counts them, and lists them in <out>.skipped.txt. A file that is there is left alone; --overwrite replaces it.
"""
SHOWN = 5


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = ToolParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    formats = parser.add_subparsers(dest='source', required=True, metavar='FORMAT')
    common = _common_options()

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return formats.add_parser(name, help=text, description=text, parents=[common])

    sub = add('refer', "refer's refs(<by>).p and instances.json: RefCOCO, RefCOCO+, RefCOCOg")
    sub.add_argument('refs', help='refs(unc).p and the like (read safely), or the same as json')
    sub.add_argument('instances', help="COCO's instances.json that comes with it")
    sub.add_argument('--text', choices=['sent', 'raw'], default='sent', help='cleaned sentences or as typed')
    sub = add('grefcoco', 'gRefCOCO: no, one or several targets')
    sub.add_argument('refs', help='grefs(unc).json')
    sub.add_argument('instances', help='instances.json that comes with it')
    sub.add_argument('--text', choices=['sent', 'raw'], default='sent', help='cleaned sentences or as typed')
    sub = add('reasonseg', 'ReasonSeg: folders train, val, test of images and json files')
    sub.add_argument('folder', help='the folder that holds train/ and val/')
    sub = add('simrec', 'json of SimREC, MCN, RefTeacher or SemiRES')
    sub.add_argument('file', help='refcoco.json')
    sub.add_argument('--masks', metavar='DIR', help='folder of <mask_id>.npy; boxes only without it')
    _size_options(sub)
    sub = add('boxes-csv', 'csv files with the columns ref_id, img_id, sent_id, sent, bbox; boxes only')
    sub.add_argument('files', nargs='+', metavar='SPLIT=FILE', help='for instance val=refcoco_unc_val.csv')
    _size_options(sub)
    sub = add('jsonlines', 'one json object per line, written by hand')
    sub.add_argument('file', help='lines with image, expression, and bbox or mask (or both)')
    sub.add_argument('--images', metavar='DIR', help='folder of the images, to read their sizes')
    _add_labelling_tools(add)
    sub = add('instances', 'the working format itself: check it, number it, or write it as refer')
    sub.add_argument('file', help="instances.json, also SeqTR's and Partial-RES's")
    return parser.parse_args(argv)


def _add_labelling_tools(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    sub = add('labelme', "labelme's json files below a folder; sentences in description")
    sub.add_argument('folder', help='the folder of the json files, and of the images')
    _region_options(sub, 'folder of the images, if it is another')
    sub = add('cvat', "CVAT's own xml, for images and for video; sentences in an attribute")
    sub.add_argument('file', help='annotations.xml, or the folder that it lies in')
    sub.add_argument(
        '--img-template', metavar='T', default='frame_{:06d}.png', help='names of frames of a video'
    )
    _region_options(sub, 'folder of the images, to check names and sizes')
    sub = add('coco', "COCO instances with sentences: CVAT's COCO, MDETR's, captions, keys of your own")
    sub.add_argument('file', help='instances.json')
    sub.add_argument('--captions', metavar='FILE', help='captions.json, for images with a single object')
    _region_options(sub, 'folder of the images, to check names and sizes')
    sub = add('label-studio', 'json of Label Studio: polygons, brush, boxes; sentences in text areas')
    sub.add_argument('file', help='the export "JSON"')
    _region_options(sub, 'folder of the images, to check names and sizes')
    sub = add('yolo', 'YOLO boxes and polygons; the class is the sentence')
    sub.add_argument('path', help='data.yaml, or its folder')
    _region_options(sub)
    sub = add('voc', "Pascal VOC's xml and SegmentationObject")
    sub.add_argument('folder', help='the folder that holds Annotations/')
    _region_options(sub, 'folder of the images, if it is not JPEGImages/')
    sub = add('masks', 'a folder of images and a folder of mask images')
    sub.add_argument('images', help='the folder of the images')
    sub.add_argument('masks', help='the folder of the masks')
    sub.add_argument('--sentences', metavar='FILE', help='csv or json lines: image, sentence, mask')
    _region_options(sub)
    sub = add('huggingface', 'parquet or arrow files of a data set of the RefCOCO family (needs pyarrow)')
    sub.add_argument('path', help='a file, or the folder of the data set')
    sub.add_argument('--save-images', metavar='DIR', help='write the images that the rows hold')
    sub.add_argument('--box-form', choices=['xywh', 'xyxy'], default='xywh', help='default: xywh')
    _region_options(sub, 'folder of the images, where rows only name them')


def _region_options(parser: argparse.ArgumentParser, images: str | None = None) -> None:
    if images:
        parser.add_argument('--images', metavar='DIR', help=images)
    parser.add_argument(
        '--text-field', metavar='NAME', help='the field that is the expression; see docs/formats.md'
    )
    parser.add_argument(
        '--without-sentence',
        choices=['label', 'skip', 'refuse'],
        default='label',
        help='an object without one: its label is it (default), leave it out, or stop',
    )
    parser.add_argument(
        '--split', default='train', help='of images without a split of their own; default: train'
    )
    parser.add_argument(
        '--val', type=float, default=0, metavar='PERCENT', help='so many of these images become the split val'
    )


def _common_options() -> argparse.ArgumentParser:
    common = ToolParser(add_help=False)
    common.add_argument('--out', required=True, help='file to write; with --to refer a folder')
    common.add_argument('--overwrite', action='store_true', help='replace files that are there')
    common.add_argument(
        '--to', choices=['instances', 'refer'], default='instances', help='default: instances'
    )
    common.add_argument('--by', default='unc', help='with --to refer, the name in refs(<by>).p')
    common.add_argument('--skip-bad', action='store_true', help='count and list bad records, keep the others')
    common.add_argument(
        '--mend', action='store_true', help='drop polygons of fewer than 3 points from masks that have others'
    )
    common.add_argument('--verify', metavar='DATASET', choices=sorted(PUBLISHED), help=', '.join(PUBLISHED))
    return common


def _size_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--images', metavar='DIR', help='folder of the images, to read their sizes')
    parser.add_argument('--instances', metavar='FILE', help='a COCO file that lists the images, instead')
    parser.add_argument('--img-template', metavar='T', help="names of the images, such as '{}.jpg'")


def read(args: argparse.Namespace) -> Conversion:
    """Read the source with the reader of its format."""
    bad = {'skip_bad': args.skip_bad}
    readers: dict[str, Callable[[], Conversion]] = {
        'refer': lambda: read_refer(args.refs, args.instances, args.text, mend=args.mend, **bad),
        'grefcoco': lambda: read_grefcoco(args.refs, args.instances, args.text, mend=args.mend, **bad),
        'reasonseg': lambda: read_reasonseg(args.folder, mend=args.mend, **bad),
        'simrec': lambda: read_simrec(args.file, _sizes(args), args.masks, **bad),
        'boxes-csv': lambda: read_boxes_csv(_split_files(args.files), _sizes(args), **bad),
        'jsonlines': lambda: read_json_lines(args.file, args.images, **bad),
        'instances': lambda: read_instances(args.file, mend=args.mend, **bad),
        'labelme': lambda: read_labelme(args.folder, args.images, _options(args)),
        'cvat': lambda: read_cvat(args.file, args.images, _options(args), args.img_template),
        'coco': lambda: read_coco_sentences(args.file, args.images, _options(args), args.captions),
        'label-studio': lambda: read_label_studio(args.file, args.images, _options(args)),
        'yolo': lambda: read_yolo(args.path, _options(args)),
        'voc': lambda: read_voc(args.folder, args.images, _options(args)),
        'masks': lambda: read_mask_folders(args.images, args.masks, _options(args), args.sentences),
        'huggingface': lambda: read_hugging_face(
            args.path, args.images, args.save_images, _options(args), args.box_form
        ),
    }
    return readers[args.source]()


def _sizes(args: argparse.Namespace) -> ImageSizes:
    return ImageSizes(args.images, args.instances, args.img_template)


def _options(args: argparse.Namespace) -> ImportOptions:
    return ImportOptions(
        args.text_field, args.without_sentence, args.split, args.val, args.skip_bad, args.mend
    )


def _split_files(arguments: list[str]) -> dict[str, str]:
    pairs = [argument.partition('=') for argument in arguments]
    for split, _, path in pairs:
        if not split or not path:
            raise UserInputError.of('files', f'{split!r}', 'SPLIT=FILE', 'write for instance val=boxes.csv')
    files = {split: path for split, _, path in pairs}
    if len(files) < len(pairs):
        raise UserInputError.of('files', 'one SPLIT twice', 'a file for each split', 'join the files')
    return files


def report(conversion: Conversion, out: Path) -> None:
    """Say what was converted and what was left out."""
    print(f'{"split":<12}{"objects":>10}{"images":>10}{"sentences":>11}{"with mask":>11}')
    for split, count in count_objects(conversion.splits).items():
        print(
            f'{split:<12}{count["refs"]:>10}{count["images"]:>10}{count["sentences"]:>11}{count["masks"]:>11}'
        )
    if conversion.mended:
        print(f'{conversion.mended} polygons of fewer than 3 points were dropped')
    for remark in conversion.remarks:
        print(f'warning: {remark}', file=sys.stderr)
    if conversion.skipped:
        listing = Path(f'{out}.skipped.txt')
        with atomic_write(listing) as file:
            file.writelines(f'{line}\n' for line in conversion.skipped)
        print(f'{len(conversion.skipped)} bad records were skipped, listed in {listing}:', file=sys.stderr)
        for line in conversion.skipped[:SHOWN]:
            print(f'  {line}', file=sys.stderr)


@cli
def main(argv: list[str] | None = None) -> int:
    """Convert, report, verify."""
    args = parse_args(argv)
    check_output(args.out, '--out', folder=args.to == 'refer')
    check_output(getattr(args, 'save_images', None), '--save-images', folder=True)
    if os.sep in args.by:
        raise UserInputError.of('--by', repr(args.by), 'a part of a file name', f'leave {os.sep!r} out')
    out = Path(args.out)
    files = [out / f'refs({args.by}).p', out / 'instances.json'] if args.to == 'refer' else [out]
    check_absent(files, f'--out {args.out}', args.overwrite)
    conversion = read(args)
    if args.to == 'refer':
        write_refer(conversion.splits, out, args.by)
    else:
        dump_json(conversion.splits, out)
    report(conversion, out)
    print(f'written: {out}')
    if not args.verify:
        return 0
    rows = compare_counts(conversion.splits, args.verify)
    print(format_comparison(rows))
    return int(not all(row.equal for row in rows))


if __name__ == '__main__':
    main()
