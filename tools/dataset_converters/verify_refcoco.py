"""Check that a RefCOCO, RefCOCO+ or RefCOCOg file is complete, by the published counts."""

import argparse

from mmrefseg.datasets.annotations import load_annotation_file, load_split
from mmrefseg.datasets.converters import PUBLISHED, compare_counts, format_comparison
from mmrefseg.utils import cli
from mmrefseg.utils.command_line import ToolParser

EPILOG = """
exit code
  0 all numbers are as published, 1 some differ (the table says which), 2 the file is wrong

examples
  python tools/dataset_converters/verify_refcoco.py \\
      data/annotations/refcoco-unc/instances.json --dataset refcoco-unc
  python tools/dataset_converters/verify_refcoco.py instances.json --dataset refcocog-umd --split val test
"""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = ToolParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('ann_file', help='a file of the working format')
    parser.add_argument('--dataset', required=True, choices=sorted(PUBLISHED), help=', '.join(PUBLISHED))
    parser.add_argument('--split', nargs='+', metavar='SPLIT', help='compare only these splits')
    return parser.parse_args(argv)


@cli
def main(argv: list[str] | None = None) -> int:
    """Compare and print the table."""
    args = parse_args(argv)
    names = [name for name, records in load_annotation_file(args.ann_file).items() if records]
    wanted = [name for name in names if not args.split or name in args.split]
    splits = {name: load_split(args.ann_file, name) for name in wanted}
    rows = compare_counts(splits, args.dataset, args.split)
    print(format_comparison(rows))
    different = sorted({row.split for row in rows if not row.equal})
    verdict = f'differs in {", ".join(different)}' if different else 'complete'
    print(f'{args.ann_file}: {verdict} ({args.dataset})')
    return int(bool(different))


if __name__ == '__main__':
    main()
