"""Convert a checkpoint of LAVT-RIS (lavt, lavt_one) or LAVT-pytorch, and write its config beside it.

    python tools/model_converters/lavt.py refcoco.pth work_dirs/lavt.pth --dataset refcoco-unc
    python tools/model_converters/lavt.py ckpt_448_epoch_45.pth work_dirs/lavt_pytorch.pth

The network's sizes are read from the weights. BERT's vocabulary is not in the checkpoint: the config names
the folder of tools/model_converters/bert.py for it.
"""

import argparse
from pathlib import Path

from mmrefseg.checkpoints.converter_options import REFCOCO_FAMILY, add_conversion_options, check_destination
from mmrefseg.runs.options import check_file
from mmrefseg.utils import cli


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_conversion_options(parser, "the original's checkpoint (model_best_*.pth, ckpt_epoch_*.pth)")
    parser.add_argument(
        '--dataset',
        choices=REFCOCO_FAMILY,
        default=REFCOCO_FAMILY[0],
        help='what it was trained on (default %(default)s)',
    )
    return parser.parse_args(argv)


@cli
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    check_file(args.src, "the original's checkpoint")
    check_destination(args.dst)
    convert(args)


def convert(args: argparse.Namespace) -> None:
    """Convert a file that is there."""
    import mmrefseg.registration  # noqa: F401  (registers the models)
    from mmrefseg.checkpoints.conversion_report import config_beside, write_checkpoint, write_config
    from mmrefseg.checkpoints.from_lavt import describe_source, expected_lavt, read_lavt

    network = read_lavt(args.src)
    settings = network.model_settings()
    report = network.convert(expected_lavt(settings))
    print(report.table(args.every_key))
    report.require_complete(args.src, args.allow)
    write_checkpoint(args.dst, report.state, **describe_source(args.src, network))
    write_config(
        config_beside(args.dst),
        f'{network.original}, weights of {Path(args.src).name}.',
        network.base_config(args.dataset),
        dict(
            **network.dataset_settings(args.dataset),
            model=network.config_settings(),
            load_from='{{ fileDirname }}/' + Path(args.dst).name,
        ),
    )
    print(f'{network.original} -> {args.dst} and {config_beside(args.dst)}')
    print(f'run it: python tools/test.py {config_beside(args.dst)} {args.dst}')


if __name__ == '__main__':
    main()
