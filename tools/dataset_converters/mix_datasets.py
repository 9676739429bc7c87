"""Join training sets into a mixed one, without the images that any of them tests on."""

import argparse
import os

from mmrefseg.datasets.annotations import load_annotation_file, load_split
from mmrefseg.datasets.converters import count_objects, mix_datasets
from mmrefseg.utils import UserInputError, check_output, cli, dump_json
from mmrefseg.utils.command_line import ToolParser

EPILOG = """
The other splits keep their records under names of their own: val_refcoco_unc, testA_refcoco_unc...
Each record gets a data_source, which tells the data set where its images are:
  data_prefix=dict(img_path=dict(coco='data/images/train2014', flickr='data/images/flickr30k'))

example
  python tools/dataset_converters/mix_datasets.py \\
      refcoco-unc=data/annotations/refcoco-unc/instances.json \\
      refcocog-umd=data/annotations/refcocog-umd/instances.json \\
      flickr30k=data/annotations/flickr30k/instances.json \\
      --out data/annotations/mixed/instances.json
"""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = ToolParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('datasets', nargs='+', metavar='NAME=FILE', help='files of the working format')
    parser.add_argument(
        '--source',
        nargs='*',
        default=[],
        metavar='NAME=SOURCE',
        help='data_source of a data set (default by its name: coco, saiaprtc12, flickr, vg)',
    )
    parser.add_argument('--out', required=True, help='the file to write')
    return parser.parse_args(argv)


@cli
def main(argv: list[str] | None = None) -> None:
    """Mix, write, report."""
    args = parse_args(argv)
    check_output(args.out, '--out')
    files, sources = _pairs(args.datasets), _pairs(args.source)
    if os.path.realpath(args.out) in map(os.path.realpath, files.values()):
        raise UserInputError.of('--out', f'the source {args.out}', 'another file', 'choose another name')
    datasets = {
        name: {
            split: load_split(path, split) for split, records in load_annotation_file(path).items() if records
        }
        for name, path in files.items()
    }
    mixed, dropped = mix_datasets(datasets, sources)
    dump_json(mixed, args.out)
    for name, count in dropped.items():
        print(f'{name}: {count} training objects left out, as their images are tested on')
    for split, count in count_objects(mixed).items():
        print(f'{split}: {count["refs"]} objects, {count["images"]} images, {count["sentences"]} sentences')
    print(f'written: {args.out}')


def _pairs(arguments: list[str]) -> dict[str, str]:
    pairs = [argument.partition('=') for argument in arguments]
    for name, _, value in pairs:
        if not name or not value:
            raise UserInputError.of('arguments', repr(name), 'NAME=VALUE', 'see --help')
    named = {name: value for name, _, value in pairs}
    if len(named) < len(pairs):
        raise UserInputError.of('arguments', 'one NAME twice', 'a name for each', 'choose another')
    return named


if __name__ == '__main__':
    main()
