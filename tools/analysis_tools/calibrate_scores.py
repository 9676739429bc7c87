"""Do the scores of a prediction file mean something? Measure, plot and calibrate them.

    python tools/analysis_tools/calibrate_scores.py VAL.json --ann FILE --split val --fit calibration.json
    python tools/analysis_tools/calibrate_scores.py TESTA.json --ann FILE --split testA \
        --calibration calibration.json --plot reliability.png

A score is calibrated when it is the IoU to expect. Printed: masks in bins of their score, the expected
calibration error (ECE), and the AUROC of "IoU >= 0.5". ``--fit`` writes a rising map from scores to IoUs, for
``--calibration`` here, ``tools/test.py --options calibration=FILE`` and
``RefSegInferencer(calibration=FILE)``; it works for the predictions of any model. docs/metrics.md says more.
"""

import argparse
from typing import Any

import numpy as np
from rich.table import Table

from mmrefseg.analysis.plots import plot_reliability
from mmrefseg.datasets.annotations import load_split
from mmrefseg.evaluation.calibration_file import (
    calibrate_records,
    load_calibration,
    read_scores,
    write_calibration,
)
from mmrefseg.evaluation.functional.protocols import score_pairs
from mmrefseg.evaluation.functional.scores import (
    Reliability,
    auroc,
    cross_calibrated,
    fit_calibration,
    reliability,
)
from mmrefseg.evaluation.prediction_file import load_predictions, pair_predictions
from mmrefseg.utils import (
    UserInputError,
    atomic_write,
    check_apart,
    check_output,
    cli,
    dump_json,
    plain_console,
)
from mmrefseg.utils.command_line import ToolParser

GOOD = 0.5


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ToolParser(description='Measure, plot and calibrate the scores of predictions.')
    parser.add_argument('predictions', help='json list (or .jsonl) of predictions with scores')
    parser.add_argument('--ann', required=True, help='annotation file of the working format')
    parser.add_argument('--split', required=True, help='split of the annotation file, e.g. val or testA')
    parser.add_argument('--calibration', metavar='FILE', help='calibrate the scores by this file first')
    parser.add_argument('--fit', metavar='OUT', help='fit a calibration on this split and write it here')
    parser.add_argument('--write', metavar='OUT', help='write the predictions with calibrated scores here')
    parser.add_argument('--plot', metavar='PNG', help='draw the reliability plot')
    parser.add_argument('--json', metavar='OUT', help='write the numbers here')
    args = parser.parse_args(argv)
    if args.fit and args.calibration:
        parser.error(
            '--fit: found --calibration beside it, expected scores as they were predicted; leave one out'
        )
    if args.write and not (args.fit or args.calibration):
        parser.error('--write: found neither --calibration nor --fit, expected one of them')
    return args


def measure(scores: np.ndarray, ious: np.ndarray) -> dict[str, float]:
    """``ece``, ``auroc50`` (NaN where all or none reach 0.5), mean ``score`` and ``iou``, in [0, 1]."""
    return {
        'ece': reliability(scores, ious).error,
        'auroc50': auroc(scores, ious >= GOOD),
        'score': float(scores.mean()),
        'iou': float(ious.mean()),
    }


def bins_of(found: Reliability) -> list[dict[str, Any]]:
    """The filled bins, for the table and for json."""
    width = 1 / len(found.counts)
    return [
        {'from': number * width, 'masks': int(count), 'score': float(score), 'iou': float(iou)}
        for number, (count, score, iou) in enumerate(zip(*found, strict=True))
        if count
    ]


def print_tables(bins: list[dict[str, Any]], numbers: dict[str, dict[str, float]], split: str) -> None:
    console = plain_console()
    table = Table(title=f'reliability, {split}')
    for name in ('score from', 'masks', 'mean score', 'mean IoU'):
        table.add_column(name, justify='right')
    for row in bins:
        table.add_row(f'{row["from"]:.1f}', str(row['masks']), f'{row["score"]:.3f}', f'{row["iou"]:.3f}')
    console.print(table)
    table = Table()
    for name in ('scores', 'ECE', 'AUROC of IoU >= 0.5', 'mean score', 'mean IoU'):
        table.add_column(name, justify='left' if name == 'scores' else 'right')
    for name, row in numbers.items():
        table.add_row(name, *(f'{value:.3f}' for value in row.values()))
    console.print(table)


@cli
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    for option in ('fit', 'write', 'plot', 'json'):
        check_output(getattr(args, option), f'--{option}')
    written = [(f'--{option}', getattr(args, option)) for option in ('fit', 'write', 'plot', 'json')]
    read = [('the predictions', args.predictions), ('--ann', args.ann), ('--calibration', args.calibration)]
    check_apart(written, read)
    calibration = load_calibration(args.calibration) if args.calibration else None
    objects = load_split(args.ann, args.split)
    predictions = load_predictions(args.predictions)
    pairs = pair_predictions(predictions, objects, args.predictions)
    if not pairs:
        raise UserInputError.of(args.ann, f'no expressions in {args.split}', 'some', 'choose another split')
    by_ids = {(record['ref_id'], record.get('sent_id')): record for record in predictions}
    ordered = [by_ids[pair.ref_id, pair.sent_id] for pair in pairs]
    rows = score_pairs(pairs).rows
    ious = np.array([row['iou' if 'iou' in row else 'box_iou'] for row in rows])
    predicted = read_scores(ordered, args.predictions)
    numbers = {'as predicted': measure(predicted, ious)}
    scores = predicted
    if args.fit:
        images = {record['ref_id']: record['image_id'] for record in objects}
        calibration = fit_calibration(predicted, ious)
        # what other images than those that it is fitted on would get
        scores = cross_calibrated(predicted, ious, [images[pair.ref_id] for pair in pairs])
        numbers['calibrated, cross-validated'] = measure(scores, ious)
    elif calibration is not None:
        scores = calibration(predicted)
        numbers['calibrated'] = measure(scores, ious)
    found = reliability(scores, ious)
    judged = 'masks' if 'iou' in rows[0] else 'boxes'
    print_tables(bins_of(found), numbers, f'{len(rows)} {judged} of {args.split}')
    about = {
        'predictions': args.predictions, 'ann': args.ann, 'split': args.split, judged: len(rows), **numbers
    }  # fmt: skip
    if args.fit:
        write_calibration(calibration, about, args.fit)
    if args.write:
        dump_json(calibrate_records(predictions, calibration, args.predictions), args.write)
    if args.plot:
        with atomic_write(args.plot, 'wb') as file:
            file.write(plot_reliability(found, f'{len(rows)} {judged} of {args.split}'))
    if args.json:
        dump_json({**about, 'bins': bins_of(found)}, args.json, indent=2)


if __name__ == '__main__':
    main()
