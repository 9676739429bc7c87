"""Collect the words of annotation files and, if wanted, their vectors.

python tools/dataset_converters/build_vocab.py --ann data/annotations/refcoco-unc/instances.json \
    --out data/annotations/refcoco-unc/vocab.json --vectors glove:data/weights/glove.6B.300d.txt
"""

import argparse
from pathlib import Path

from mmrefseg.datasets.vocabulary import Vocabulary
from mmrefseg.datasets.word_vectors import SOURCES, find_word_vectors, save_word_vectors
from mmrefseg.utils import UserInputError, check_output, cli
from mmrefseg.utils.command_line import ToolParser


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__.splitlines()[0])
    parser.add_argument('--ann', nargs='+', required=True, help='annotation files of the working format')
    parser.add_argument('--out', required=True, help='vocabulary to write (json)')
    parser.add_argument('--tokenizer', default='simple', choices=['simple', 'spacy', 'spacy_punct'])
    parser.add_argument('--max-tokens', type=int, default=15, help='cut expressions there (RefCOCOg: 20)')
    parser.add_argument('--min-count', type=int, default=1, help='leave out words that are used less often')
    parser.add_argument('--splits', nargs='+', help='only these splits (default: all, as the originals)')
    parser.add_argument('--vectors', help=f'also write word vectors, from {SOURCES}')
    parser.add_argument('--vectors-out', help='vectors to write (default: OUT with the suffix .npz)')
    return parser.parse_args()


@cli
def main() -> None:
    args = parse_args()
    for option, least in (('max_tokens', 1), ('min_count', 1)):
        if getattr(args, option) < least:
            name = f'--{option.replace("_", "-")}'
            found = str(getattr(args, option))
            raise UserInputError.of(name, found, f'at least {least}', 'change it')
    vectors_out = args.vectors_out or Path(args.out).with_suffix('.npz')
    check_output(args.out, '--out')
    check_output(vectors_out if args.vectors else None, '--vectors-out')
    vocabulary = Vocabulary.build(args.ann, args.tokenizer, args.max_tokens, args.min_count, args.splits)
    found = find_word_vectors(args.vectors, vocabulary) if args.vectors else None
    vocabulary.save(args.out)
    print(f'{len(vocabulary)} words -> {args.out}')
    if found:
        table, known = found
        save_word_vectors(vectors_out, vocabulary, table)
        print(f'vectors of {table.shape[1]} channels, {int(known.sum())} words known -> {vectors_out}')


if __name__ == '__main__':
    main()
