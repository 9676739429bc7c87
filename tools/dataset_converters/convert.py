"""Convert annotations of referring expressions to the working format, or to refer's."""

import argparse
import os
import sys
from pathlib import Path

from mmrefseg.datasets.converters import (
    PUBLISHED,
    Conversion,
    ImageSizes,
    compare_counts,
    count_objects,
    format_comparison,
    read_boxes_csv,
    read_grefcoco,
    read_instances,
    read_json_lines,
    read_reasonseg,
    read_refer,
    read_simrec,
    write_refer,
)
from mmrefseg.utils import UserInputError, atomic_write, check_output, cli, dump_json

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

  # and back into refer's two files
  python tools/dataset_converters/convert.py instances data/annotations/mine/instances.json \\
      --to refer --by mine --out data/mine-refer

Each format has its own help: convert.py refer --help. The formats are described in docs/data.md.
A bad record stops the conversion with one sentence; --skip-bad leaves bad records out, counts them,
and lists them in <out>.skipped.txt.
"""
SHOWN = 5


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
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
    sub = add('instances', 'the working format itself: check it, number it, or write it as refer')
    sub.add_argument('file', help="instances.json, also SeqTR's and Partial-RES's")
    return parser.parse_args(argv)


def _common_options() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument('--out', required=True, help='file to write; with --to refer a folder')
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
    if args.source == 'refer':
        return read_refer(args.refs, args.instances, args.text, mend=args.mend, **bad)
    if args.source == 'grefcoco':
        return read_grefcoco(args.refs, args.instances, args.text, mend=args.mend, **bad)
    if args.source == 'reasonseg':
        return read_reasonseg(args.folder, mend=args.mend, **bad)
    if args.source == 'jsonlines':
        return read_json_lines(args.file, args.images, **bad)
    if args.source == 'instances':
        return read_instances(args.file, mend=args.mend, **bad)
    sizes = ImageSizes(args.images, args.instances, args.img_template)
    if args.source == 'simrec':
        return read_simrec(args.file, sizes, args.masks, **bad)
    return read_boxes_csv(_split_files(args.files), sizes, **bad)


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
    if os.sep in args.by:
        raise UserInputError.of('--by', repr(args.by), 'a part of a file name', f'leave {os.sep!r} out')
    out = Path(args.out)
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
