"""Why does a model fail? A study of a prediction file: tables, plots and a page with drawn cases.

    python tools/analysis_tools/analyze_failures.py PREDICTIONS.json --ann FILE --split val \\
        --images data/images/mscoco/train2014 --out work_dirs/failures

PREDICTIONS.json is what ``tools/test.py --format-only`` writes, of any model. The page, OUT/index.html,
is one file that can be sent around; beside it are its numbers (summary.json, cases.csv, failures.csv), its
plots, and the text files of LAVT-pytorch's notebook (id.txt, IoU.txt, all_IoU.txt). Without --images
nothing is drawn.
"""

import argparse
from pathlib import Path

from rich.table import Table

from mmrefseg.analysis.cases import collect_cases
from mmrefseg.analysis.failure_study import FailureStudy
from mmrefseg.analysis.page import ImageReader, draw_cases, render_page
from mmrefseg.datasets.annotations import load_split
from mmrefseg.evaluation.functional.protocols import PROTOCOLS
from mmrefseg.evaluation.prediction_file import load_predictions, pair_predictions
from mmrefseg.utils import UserInputError, atomic_write, check_output, cli, load_json, plain_console, track
from mmrefseg.utils.command_line import ToolParser


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('predictions', help='json list (or .jsonl) of predictions')
    parser.add_argument('--ann', required=True, help='annotation file of the working format')
    parser.add_argument('--split', required=True, help='split of the annotation file, e.g. val or testA')
    parser.add_argument('--out', required=True, type=Path, help='folder for what is written')
    parser.add_argument('--images', help='folder of the images; without it, no case is drawn')
    parser.add_argument('--img-template', help="file name of an image_id, e.g. '{}.jpg' (default: COCO's)")
    parser.add_argument(
        '--instances', help='COCO file of all objects of the images: names and counts of the categories'
    )
    parser.add_argument('--protocol', choices=PROTOCOLS, default='sentence', help='what is one case')
    parser.add_argument('--threshold', type=float, default=0.5, help='a case fails below this IoU')
    parser.add_argument('--low', type=float, default=0.1, help='failures below it are the low group')
    parser.add_argument('--high', type=float, default=0.4, help='failures above it are the high group')
    parser.add_argument('--cases', type=int, default=12, metavar='N', help='cases drawn in each section')
    parser.add_argument('--seed', type=int, default=180, help='of the cases drawn at random')
    parser.add_argument('--title', help='of the page')
    args = parser.parse_args(argv)
    if not 0 <= args.low <= args.high <= args.threshold <= 1:
        found = f'{args.low}, {args.high}, {args.threshold}'
        parser.error(f'--low, --high, --threshold: found {found}, expected 0 to 1, none above the next')
    if args.cases < 1:
        parser.error(f'--cases: found {args.cases}, expected 1 or more')
    return args


def read_study(args: argparse.Namespace, objects: list[dict]) -> FailureStudy:
    """The study of the files that the command line names."""
    predictions = load_predictions(args.predictions)
    pairs = pair_predictions(predictions, objects, args.predictions, args.protocol == 'cat')
    if pairs[0].prediction is None:
        raise UserInputError.of(
            args.predictions,
            'no masks',
            "'segmentation' in each prediction",
            'use a model that predicts masks',
        )
    instances = read_instances(args.instances) if args.instances else None
    scores = read_scores(predictions, args.predictions)
    cases = collect_cases(pairs, objects, args.protocol, args.threshold, instances, scores)
    if not cases:
        raise UserInputError.of(args.ann, 'only expressions without a target', 'objects', 'use another split')
    about = {
        'predictions': args.predictions,
        'annotations': args.ann,
        'split': args.split,
        'protocol': args.protocol,
        'frame': 'original',
    }
    categories = {c['id']: str(c['name']) for c in instances['categories']} if instances else None
    return FailureStudy(cases, args.threshold, args.low, args.high, categories, about)


def read_scores(predictions: list[dict], where: str) -> dict[tuple, float]:
    """The models' scores by (ref_id, sent_id), where there are some."""
    scores = {(p['ref_id'], p.get('sent_id')): p['score'] for p in predictions if p.get('score') is not None}
    for (ref_id, sent_id), score in scores.items():
        if isinstance(score, bool) or not isinstance(score, int | float):
            raise UserInputError.of(
                f'{where}, ref_id {ref_id}, sent_id {sent_id}',
                f'score {str(score)[:60]!r}',
                'a number',
                'predict again, or leave the scores out',
            )
    return scores


def read_instances(path: str) -> dict:
    """A COCO file with its categories and annotations."""
    content = load_json(path)
    wanted = {'annotations': {'image_id', 'category_id'}, 'categories': {'id', 'name'}}
    for name, keys in wanted.items():
        rows = content.get(name) if isinstance(content, dict) else None
        if not isinstance(rows, list) or not all(
            isinstance(row, dict) and row.keys() >= keys for row in rows
        ):
            raise UserInputError.of(
                path,
                f'no list {name!r} of objects with {" and ".join(sorted(keys))}',
                "COCO's instances file",
                'leave out --instances',
            )
    return content


def print_table(study: FailureStudy) -> None:
    """Number of failures, precision, and how cases spread over IoU and outcomes."""
    console = plain_console()
    numbers = study.numbers
    console.print(
        f'{len(study.failures)} of {len(study.cases)} cases fail (IoU < {study.threshold:g}): '
        f'Prec@{study.threshold:g} {numbers["precision"]:.3f} %, mIoU {numbers["miou"]:.2f}, '
        f'oIoU {numbers["oiou"]:.2f}; protocol {study.about["protocol"]}, frame original',
        soft_wrap=True,
    )
    for grouping in study.groupings:
        if grouping.name in ('iou', 'outcome'):
            table = Table(title=grouping.title)
            for name in (grouping.title, 'cases', '%', 'mIoU'):
                table.add_column(name, justify='left' if name == grouping.title else 'right')
            for group in grouping.groups:
                table.add_row(group.label, str(group.count), f'{group.share:.1f}', f'{group.miou:.1f}')
            console.print(table)


@cli
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    check_output(args.out, '--out', folder=True)
    objects = load_split(args.ann, args.split)
    study = read_study(args, objects)
    sections = []
    if args.images:
        read = ImageReader(args.images, objects, args.img_template)
        sections = study.draw(args.cases, args.seed, lambda cases: draw_cases(track(cases, 'drawing'), read))
    plots = study.write(args.out)
    title = args.title or f'Failures on {args.split}'
    with atomic_write(args.out / 'index.html') as file:
        file.write(render_page(study, plots, sections, title))
    print_table(study)
    print(f'page: {args.out / "index.html"}')


if __name__ == '__main__':
    main()
