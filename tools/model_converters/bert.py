"""Make the folder that BertEncoder reads from downloaded weights of BERT; nothing is downloaded.

    python tools/model_converters/bert.py bert-base-uncased/pytorch_model.bin data/weights/bert-base-uncased \
        --vocab bert-base-uncased/vocab.txt

Takes pytorch_model.bin (also of pytorch-pretrained-bert), model.safetensors or a training checkpoint; writes
model.safetensors, config.json and vocab.txt. The vocabulary is looked for beside SRC.
"""

import argparse
from pathlib import Path

from mmrefseg.runs.options import check_file
from mmrefseg.utils import check_output, cli
from mmrefseg.utils.command_line import ToolParser


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('src', metavar='SRC', help='pytorch_model.bin or model.safetensors')
    parser.add_argument('dst', metavar='DST', help='folder to write')
    parser.add_argument('--vocab', metavar='FILE', help='vocab.txt (default: beside SRC)')
    parser.add_argument(
        '--allow',
        nargs='+',
        default=[],
        metavar='KEY',
        help='keys (theirs or ours, with * and ?) that may be left over',
    )
    parser.add_argument('--every-key', action='store_true', help='one line of the table for every key')
    return parser.parse_args(argv)


@cli
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    check_file(args.src, 'weights of BERT')
    check_output(args.dst, 'DST', folder=True)
    from mmrefseg.checkpoints.from_bert import make_bert_folder  # brings torch

    vocab = Path(args.vocab) if args.vocab else Path(args.src).parent / 'vocab.txt'
    report, sizes = make_bert_folder(args.src, args.dst, vocab, args.allow)
    print(report.table(args.every_key))
    print(
        f'{args.dst}: BERT of {sizes["num_hidden_layers"]} layers, {sizes["hidden_size"]} channels, '
        f'{sizes["vocab_size"]} word pieces, for language_model.path={args.dst!r}'
    )


if __name__ == '__main__':
    main()
