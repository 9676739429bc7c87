"""Convert a checkpoint of LAVT-RIS (lavt, lavt_one) or LAVT-pytorch, and write its config beside it.

    python tools/model_converters/lavt.py refcoco.pth work_dirs/lavt.pth --dataset refcoco-unc
    python tools/model_converters/lavt.py ckpt_448_epoch_45.pth work_dirs/lavt_pytorch.pth

The network's sizes are read from the weights. BERT's vocabulary is not in the checkpoint: it is taken from
--vocab, or from the folder of tools/model_converters/bert.py that the config names. Converted with it, the
checkpoint predicts alone.
"""

import argparse

from mmrefseg.checkpoints.converter_options import (
    REFCOCO_FAMILY,
    add_config_option,
    add_conversion_options,
    check_destination,
)
from mmrefseg.runs.options import check_config, check_file
from mmrefseg.utils import cli
from mmrefseg.utils.command_line import ToolParser


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_conversion_options(parser, "the original's checkpoint (model_best_*.pth, ckpt_epoch_*.pth)")
    base = parser.add_mutually_exclusive_group()
    base.add_argument(
        '--dataset',
        choices=REFCOCO_FAMILY,
        default=REFCOCO_FAMILY[0],
        help='what it was trained on (default %(default)s)',
    )
    add_config_option(base, 'that of the network and of --dataset', 'inherits from and carries')
    parser.add_argument('--vocab', metavar='FILE', help="BERT's vocab.txt (default: of the config's folder)")
    return parser.parse_args(argv)


@cli
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    check_file(args.src, "the original's checkpoint")
    check_destination(args.dst)
    if args.config is not None:
        check_config(args.config)
    if args.vocab is not None:
        check_file(args.vocab, "BERT's vocab.txt")
    convert(args)


def convert(args: argparse.Namespace) -> None:
    """Convert a file that is there."""
    import mmrefseg.registration  # noqa: F401  (registers the models)
    from mmrefseg.checkpoints.conversion_report import config_beside
    from mmrefseg.checkpoints.from_lavt import expected_lavt, read_lavt, write_lavt
    from mmrefseg.runs.config import load_config

    if args.config is not None:
        load_config(args.config)  # says what is wrong with it
    network = read_lavt(args.src)
    report = network.convert(expected_lavt(network.model_settings()))
    print(report.table(args.every_key))
    report.require_complete(args.src, args.allow)
    base, settings = network.inherited(args.dataset, args.config)
    alone = write_lavt(args.dst, report.state, (base, settings), args.src, network, args.vocab)
    print(f'{network.original} -> {args.dst} and {config_beside(args.dst)}, from {base}')
    if alone:
        print(f'{args.dst} carries config and word pieces: mmrefseg predict --weights {args.dst}')
    else:
        print(
            f'{args.dst} carries its config, but no word pieces of BERT: it needs the folder that the config '
            'names, unless converted with --vocab vocab.txt'
        )
    print(f'run it: python tools/test.py {config_beside(args.dst)} {args.dst}')


if __name__ == '__main__':
    main()
