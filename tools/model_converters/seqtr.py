"""Convert a checkpoint of SeqTR or Partial-RES, and write the config that it runs with beside it.

python tools/model_converters/seqtr.py det_best.pth checkpoints/seqtr_rec.pth \
    --dataset refcoco-unc --vocab token_to_ix.pkl
"""

import argparse
from pathlib import Path

from mmrefseg.checkpoints.converter_options import (
    SEQTR_DATASETS,
    add_config_option,
    add_conversion_options,
    check_destination,
)
from mmrefseg.datasets.vocabulary import Vocabulary
from mmrefseg.runs.options import check_config, check_file
from mmrefseg.utils import cli
from mmrefseg.utils.command_line import ToolParser


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__.splitlines()[0])
    add_conversion_options(parser, "the original's checkpoint (det_best.pth, segm_best.pth, latest.pth, ...)")
    parser.add_argument(
        '--weights',
        choices=['ema', 'raw'],
        help='which weights (default: the moving average if there is one)',
    )
    base = parser.add_mutually_exclusive_group()
    base.add_argument(
        '--dataset',
        choices=SEQTR_DATASETS,
        default='refcoco-unc',
        help='what it was trained on (%(default)s)',
    )
    add_config_option(base, 'that of the network and of --dataset', 'inherits from and carries')
    words = parser.add_mutually_exclusive_group()
    words.add_argument(
        '--vocab', metavar='FILE', help="the original's token_to_ix.pkl, or another vocabulary"
    )
    words.add_argument(
        '--ann',
        nargs='+',
        metavar='FILE',
        help='annotation files, instances.json, to collect the words from in the order of the original',
    )
    return parser.parse_args()


@cli
def main() -> None:
    args = parse_args()
    check_file(args.src, "the original's checkpoint")
    check_destination(args.dst)
    if args.config is not None:
        check_config(args.config)
    vocabulary = None
    if args.vocab:
        vocabulary = Vocabulary.load(args.vocab)
    elif args.ann:
        vocabulary = Vocabulary.build(args.ann)
    write_converted(args, vocabulary)


def write_converted(args: argparse.Namespace, vocabulary: Vocabulary | None) -> None:
    """Convert a file that is there."""
    from mmrefseg.checkpoints.conversion_report import config_beside
    from mmrefseg.checkpoints.from_seqtr import convert
    from mmrefseg.runs.config import load_config

    if args.config is not None:
        load_config(args.config)  # says what is wrong with it
    conversion = convert(args.src, args.dataset, vocabulary, args.weights, args.config)
    print(conversion.report.table(args.every_key))
    conversion.report.require_complete(args.src, args.allow)
    conversion.write(args.dst)
    network = conversion.network
    print(f'{network.original}, {network.task}, {conversion.weights} weights -> {args.dst}')
    print(f'config, as it was trained (from {conversion.base}) -> {config_beside(args.dst)}')
    if vocabulary is None:
        print(
            'no --vocab: the config takes the words of its data set, which must be '
            f"{network.num_words} in the original's order"
        )
    else:
        print(f'{args.dst} carries config and words: mmrefseg predict --weights {args.dst}')
    folder = Path(args.dst).parent
    print(f'run it: python tools/test.py {config_beside(args.dst)} {folder / Path(args.dst).name}')


if __name__ == '__main__':
    main()
