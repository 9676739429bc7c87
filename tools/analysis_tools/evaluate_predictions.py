"""Score a prediction file without a model.

    python tools/analysis_tools/evaluate_predictions.py PREDICTIONS.json --ann FILE --split val

PREDICTIONS.json is what ``tools/test.py --format-only`` writes: a list of {"ref_id", "sent_id",
"segmentation": RLE or polygons, "bbox": [x, y, w, h] (optional)}. The numbers are those of the online
RESMetric. Their definitions are in docs/metrics.md.
"""

import argparse
import csv
from typing import Any

from rich.table import Table

from mmrefseg.datasets.annotations import load_split
from mmrefseg.evaluation.functional.generalized import summarise_generalized
from mmrefseg.evaluation.functional.protocols import PROTOCOLS, Pair, Scores, score_pairs
from mmrefseg.evaluation.prediction_file import Frame, load_predictions, pair_predictions
from mmrefseg.structures.rle import areas, intersection_areas
from mmrefseg.utils import UserInputError, atomic_write, check_output, cli, csv_cell, dump_json, plain_console
from mmrefseg.utils.command_line import ToolParser

KEYS = ('oiou', 'miou', 'p50', 'p60', 'p70', 'p80', 'p90', 'acc50')
NAMES = {
    **dict(
        zip(KEYS, ('oIoU', 'mIoU', 'P@0.5', 'P@0.6', 'P@0.7', 'P@0.8', 'P@0.9', 'Acc@0.5 (box)'), strict=True)
    ),
    'box_miou': 'mIoU (box)',
    'giou': 'gIoU',
    'ciou': 'cIoU',
    'n_acc': 'N-acc',
    't_acc': 'T-acc',
}


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ToolParser(description='Score a prediction file without a model.')
    parser.add_argument('predictions', help='json list (or .jsonl) of predictions')
    parser.add_argument('--ann', required=True, help='annotation file of the working format')
    parser.add_argument('--split', required=True, help='split of the annotation file, e.g. val or testA')
    parser.add_argument('--protocol', choices=PROTOCOLS, default='sentence', help='what counts once')
    parser.add_argument(
        '--frame', choices=('original', 'network'), default='original', help='size of comparison'
    )
    parser.add_argument('--network-size', type=int, nargs=2, metavar=('H', 'W'), help='with --frame network')
    parser.add_argument('--stretch', action='store_true', help='the network stretches images to H x W (LAVT)')
    parser.add_argument(
        '--empty-union', choices=('zero', 'one'), default='zero', help='what two empty masks score'
    )
    parser.add_argument('--legacy', action='store_true', help="the originals' numbers (docs/metrics.md)")
    parser.add_argument('--batch-size', type=int, default=128, help='test batch size, with --legacy')
    parser.add_argument('--json', metavar='OUT', help='write the numbers here')
    parser.add_argument('--per-expression', metavar='CSV', help="write every expression's counts here")
    args = parser.parse_args(argv)
    if (args.frame == 'network') != (args.network_size is not None):
        parser.error('found one of --frame network and --network-size H W alone, expected both or none')
    if args.batch_size < 1 or min(args.network_size or [1]) < 1:
        parser.error('--batch-size, --network-size: found a number below 1, expected 1 or more')
    return args


def generalized(pairs: list[Pair], objects: list[dict]) -> dict[str, float]:
    """gIoU, cIoU, N-acc, T-acc where the split has expressions without a target, else nothing."""
    if not any(record.get('no_target') for record in objects) or pairs[0].prediction is None:
        return {}
    predictions, targets = [pair.prediction for pair in pairs], [pair.target for pair in pairs]
    both = intersection_areas(predictions, targets)
    return summarise_generalized(both, areas(predictions), areas(targets))


def print_table(scores: Scores, extra: dict[str, float], caption: str) -> None:
    table = Table()
    table.add_column('metric')
    table.add_column('%', justify='right')
    for key, value in {**{key: scores.summary.get(key) for key in KEYS}, **extra}.items():
        table.add_row(NAMES[key], '-' if value is None else f'{value:.2f}')
    plain_console().print(table)
    print(caption)


def write_rows(rows: list[dict[str, Any]], path: str) -> None:
    with atomic_write(path) as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows({key: csv_cell(value) for key, value in row.items()} for row in rows)


@cli
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    check_output(args.json, '--json')
    check_output(args.per_expression, '--per-expression')
    objects = load_split(args.ann, args.split)
    predictions = load_predictions(args.predictions)
    frame = Frame(*(args.network_size or ()), keep_ratio=not args.stretch)
    pairs = pair_predictions(
        predictions, objects, args.predictions, args.protocol == 'cat', frame, args.batch_size
    )
    if args.legacy and args.protocol != 'sentence':
        raise UserInputError.of(
            '--legacy',
            f'--protocol {args.protocol}',
            "--protocol sentence, the originals' own",
            'drop one of them',
        )
    scores = score_pairs(pairs, args.protocol, args.legacy, args.empty_union)
    extra = generalized(pairs, objects) if args.protocol == 'sentence' else {}
    if 'box_miou' in scores.summary:
        extra['box_miou'] = scores.summary['box_miou']
    size = '' if args.frame == 'original' else f' {args.network_size[0]} x {args.network_size[1]}'
    counted = 'expressions' if args.protocol == 'sentence' else 'objects'
    print_table(
        scores,
        extra,
        f'protocol: {args.protocol}, frame: {args.frame}{size}{", legacy" if args.legacy else ""}\n'
        f'{len(scores.rows)} {counted} of {args.split}',
    )
    if args.json:
        numbers = {key: scores.summary.get(key) for key in KEYS} | extra
        facts = {
            key: getattr(args, key) for key in ('protocol', 'frame', 'legacy', 'split', 'predictions', 'ann')
        }
        dump_json({**numbers, **facts, f'num_{counted}': len(scores.rows)}, args.json, indent=2)
    if args.per_expression:
        write_rows(scores.rows, args.per_expression)


if __name__ == '__main__':
    main()
