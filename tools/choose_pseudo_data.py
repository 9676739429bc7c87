"""Stage 3, step two: accept the pseudo masks that fit their boxes.

    python tools/choose_pseudo_data.py --ratio 5 --dataset refcocog-umd

reads ``data/annotations/refcocog-umd/instances_sample_5.json`` and the shards that ``tools/test.py`` wrote
with the ``-pseudo`` config, and writes ``instances_sample_5_box_pick.json`` and a report beside it.
``--html`` draws a page to look at masks and to overrule the rule; ``--decisions`` takes back what the page
saves. See docs/pseudo_labels.md.
"""

import argparse
import gc
import glob
import os
import shlex
import sys
from collections.abc import Iterator
from typing import Any

from rich.table import Table

from mmrefseg.datasets.annotations import load_annotation_file, normalize_records
from mmrefseg.datasets.predicted_pairs import Checkpoint
from mmrefseg.datasets.validation import validate_records
from mmrefseg.pseudo_labels import COMBINE, STRATEGIES, Outcome, Selector, select
from mmrefseg.pseudo_labels.decisions import Subject, check_decisions, read_decisions
from mmrefseg.pseudo_labels.prediction_shards import PredictionStore, prediction_files, write_annotations
from mmrefseg.pseudo_labels.review import Shown, objects_to_show
from mmrefseg.pseudo_labels.scoring import AGREEMENT_THRESHOLD
from mmrefseg.pseudo_labels.selection_report import compare_with_truth, summarise_selection
from mmrefseg.utils import (
    UserInputError,
    check_apart,
    check_output,
    cli,
    dump_json,
    file_sha256,
    plain_console,
    track,
)
from mmrefseg.utils.command_line import ToolParser


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ToolParser(description='Accept the pseudo masks that fit their boxes.')
    parser.add_argument('--dataset', help='e.g. refcoco-unc, refcocoplus-unc, refcocog-umd, refshapes')
    parser.add_argument('--ratio', type=int, help='percent of the objects that have a mask: 1, 5 or 10')
    parser.add_argument('--split', default='train', help='the split to pick for')
    parser.add_argument(
        '--predictions', nargs='+', help='shards (.jsonl), a glob, their prefix, or a json file'
    )
    parser.add_argument('--annotations', help='sample file: masks outside the sample are absent')
    parser.add_argument('--full-annotations', help='file with all masks, only to report the quality')
    parser.add_argument('--out', help='picked file; the report goes to <out>_report.json')
    parser.add_argument('--report', help='where the report goes instead')
    parser.add_argument('--strategy', choices=list(STRATEGIES), default='rpp')
    parser.add_argument(
        '--threshold', type=float, help='default: 0.1 (rpp, below), 0.5 (score), 0.7 (agreement)'
    )
    parser.add_argument(
        '--agreement-threshold', type=float, default=AGREEMENT_THRESHOLD, help='of rpp+agreement'
    )
    parser.add_argument(
        '--combine', choices=COMBINE, default='best', help='one expression, or the vote of all'
    )
    parser.add_argument('--checkpoint', help='what predicted, if the predictions do not say')
    parser.add_argument(
        '--decisions', nargs='+', metavar='FILE', help="a person's: what the page of --html has saved"
    )
    add_page_options(parser.add_argument_group('a page to look at masks, and to accept or reject them'))
    args = parser.parse_args(argv)
    if (args.dataset is None or args.ratio is None) and (
        args.predictions is None or args.annotations is None
    ):
        parser.error(
            'found no files to read, expected --dataset and --ratio, or --predictions and --annotations'
        )
    return args


def add_page_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument('--html', metavar='OUT', help='where the page goes')
    group.add_argument(
        '--html-objects', type=int, default=60, metavar='N',
        help='masks shown of each: borderline, accepted, rejected (default: 60)',
    )  # fmt: skip
    group.add_argument(
        '--html-largest', type=float, default=30, metavar='MB',
        help='more images than that go to a folder beside the page (default: 30)',
    )  # fmt: skip
    group.add_argument('--images', help='folder of the images (default: that of --dataset)')
    group.add_argument('--img-template', help="file name of an image_id, e.g. '{}.jpg' (default: COCO's)")
    group.add_argument('--instances', help='COCO file that names the categories')


def fill_defaults(args: argparse.Namespace) -> None:
    """Paths that follow from the data set and the ratio, as the configs write them."""
    shapes = (args.dataset or '').startswith('refshapes')
    folder = annotation_folder(args.dataset)
    if args.annotations is None:
        args.annotations = f'{folder}/instances_sample_{args.ratio}.json'
    if args.predictions is None:
        network = 'partial-res_tiny' if shapes else 'partial-res_darknet53'
        dataset = 'refshapes' if shapes else args.dataset
        args.predictions = [f'work_dirs/{network}_m{args.ratio:02d}-pseudo_{dataset}/pseudo']
    if args.full_annotations is None and args.dataset and os.path.exists(f'{folder}/instances.json'):
        args.full_annotations = f'{folder}/instances.json'
    stem = os.path.splitext(args.annotations)[0]
    args.out = args.out or f'{stem}_box_pick.json'
    args.report = args.report or f'{os.path.splitext(args.out)[0]}_report.json'


def check_paths(args: argparse.Namespace) -> None:
    """What is read is there, as far as that is told at once, and what is written can be."""
    if (
        args.full_annotations
        and not args.dataset
        and args.split not in load_annotation_file(args.full_annotations)
    ):
        raise UserInputError.of(
            f'--full-annotations {args.full_annotations}',
            f'no split {args.split!r}',
            'the masks to compare with',
            'name the full file of the same data set, or leave it out',
        )
    check_output(args.out, '--out')
    check_output(args.report, '--report')


def check_files(args: argparse.Namespace, predictions: list[str]) -> None:
    """Nothing that is read is replaced, and nothing is written twice."""
    read = [
        ('--annotations', args.annotations),
        ('--full-annotations', args.full_annotations),
        ('--checkpoint', args.checkpoint),
        ('--instances', args.instances),
        *(('--predictions', path) for path in predictions),
        *(('--decisions', path) for path in args.decisions or ()),
    ]
    check_apart([(f'--{option}', getattr(args, option)) for option in ('out', 'report', 'html')], read)


def check_sample(args: argparse.Namespace) -> None:
    """Name the wrong data set or ratio, rather than the predictions that there cannot be for it."""
    if os.path.isfile(args.annotations):
        return
    folder, name = os.path.split(args.annotations)
    drawn = sorted(map(os.path.basename, glob.glob(f'{folder}/instances_sample_*[0-9].json')))
    raise UserInputError.of(
        f'--ratio {args.ratio}' if drawn else f'--dataset {args.dataset}, --ratio {args.ratio}',
        f'no {name} in {folder}',
        ' or '.join(drawn) or 'the sample of that ratio',
        'correct it, or draw the sample with tools/dataset_converters/sample_masks.py',
    )


def annotation_folder(dataset: str | None) -> str:
    """Where the annotation files of a data set lie."""
    return f'data/annotations/{"refshapes_small" if dataset == "refshapes" else dataset}'


def check_page(args: argparse.Namespace) -> None:
    """What the page needs, before anything begins."""
    folder = annotation_folder(args.dataset)
    check_output(args.html, '--html')
    if args.html_objects < 1:
        raise UserInputError.of('--html-objects', str(args.html_objects), 'at least 1', 'correct it')
    shapes = os.path.basename(folder).startswith('refshapes')
    if args.images is None and args.dataset:
        args.images = f'data/images/{os.path.basename(folder) if shapes else "mscoco/train2014"}'
    if args.images is None or not os.path.isdir(args.images):
        raise UserInputError.of(
            f'--images {args.images or ""}'.rstrip(),
            'no such folder' if args.images else 'none',
            'the folder of the images that --html shows',
            'name it',
        )
    if args.instances is None and shapes and os.path.exists(f'{folder}/coco/instances_{args.split}.json'):
        args.instances = f'{folder}/coco/instances_{args.split}.json'
    args.categories = {}
    if args.instances:
        from mmrefseg.datasets.coco.tables import read_category_names

        args.categories = read_category_names(args.instances)


def named_checkpoint(path: str | None) -> Checkpoint:
    """What ``--checkpoint`` names, with the hash of its content if it is a file."""
    return Checkpoint.of_file(path, file_sha256(path) if path and os.path.isfile(path) else None)


def load_objects(splits: dict[str, list], path: str, split: str) -> list[dict]:
    """The split to pick for: checked, one record per object."""
    where = f'{path} [{split}]'
    if not splits.get(split):
        raise UserInputError.of(where, 'no objects', 'a split with objects', 'choose another --split or file')
    errors = validate_records(splits[split], where)
    if errors:
        raise errors[0]
    return normalize_records(splits[split], where)


def quality(path: str, split: str, outcomes: list[Outcome], lower_is_better: bool) -> dict | None:
    """Compare with the true masks of the full file, now that nothing can be changed any more."""
    splits = load_annotation_file(path)
    if split not in splits:
        return None
    return compare_with_truth(
        outcomes, normalize_records(splits[split], f'{path} [{split}]'), lower_is_better
    )


def print_summary(report: dict[str, Any], out: str) -> None:
    table = Table()
    table.add_column('objects')
    table.add_column('number', justify='right')
    table.add_column('mIoU with the truth', justify='right')
    truth = report.get('truth') or {}
    for state in ('true', 'accepted', 'rejected', 'unpredicted'):
        miou = truth.get(state, {}).get('miou')
        table.add_row(state, str(report[state]), '-' if miou is None else f'{miou:.2f}')
    if report['accept_rate'] is not None:
        table.add_row('accepted, %', f'{report["accept_rate"]:.2f}', '')
    console = plain_console()
    console.print(table)
    print(
        f'strategy {report["strategy"]}, threshold {report["threshold"]}, combine {report["combine"]}\n{out}'
    )
    if report['decisions']:
        counts = '{accepted} accepted, {rejected} rejected against the rule, {confirmed} as the rule'
        print(f'by a person: {counts.format(**report["decided"])}')
    for note in report['notes']:
        console.print(note, style='yellow', soft_wrap=True)


def write_picks(
    splits: dict[str, list],
    objects: list[dict],
    store: PredictionStore,
    selector: Selector,
    args: argparse.Namespace,
) -> list[Outcome]:
    """Decide on every object and write the picked file as it goes; what the report needs is kept."""
    kept = []

    def picked() -> Iterator[dict]:
        for outcome in select(objects, store, selector, lambda items: track(items, 'choosing')):
            record = outcome.record
            # The masks are in the file; only a comparison with the truth needs them again.
            outcome = outcome._replace(record=light_record(record))
            kept.append(outcome if args.full_annotations else outcome.without_mask())
            yield record

    others = {name: records for name, records in splits.items() if name != args.split}
    write_annotations({args.split: picked(), **others}, args.out)
    return kept


def light_record(record: dict) -> dict:
    """What the report looks at."""
    return {key: record[key] for key in ('ref_id', 'category_id', 'bbox', 'height', 'width')}


def predicted_by(store: PredictionStore, selector: Selector) -> list[dict[str, Any]]:
    """Which weights the predictions are of, and how many."""
    return [
        {**(source if any(source) else selector.checkpoint)._asdict(), 'predictions': number}
        for source, number in store.checkpoints.most_common()
    ]


def mixture_note(store: PredictionStore) -> list[str]:
    """A sentence if the predictions are not all of the same weights."""
    first, *others = store.checkpoints or [Checkpoint()]
    if all(first.is_same(other) for other in others):
        return []
    return [f'predictions of different checkpoints: {", ".join(map(str, store.checkpoints))}']


def make_selector(args: argparse.Namespace, files: list[str]) -> tuple[Selector, Subject | None]:
    """What decides, a person's decisions included, and what these are about; None if nobody asks."""
    subject = None
    if args.html or args.decisions:
        subject = Subject.of_files(args.annotations, args.split, files, args.strategy, args.combine)
    selector = Selector(
        args.strategy,
        args.threshold,
        args.agreement_threshold,
        args.combine,
        named_checkpoint(args.checkpoint),
        read_decisions(args.decisions, subject) if args.decisions else {},
    )
    return selector, subject


def draw_page(
    args: argparse.Namespace,
    report: dict[str, Any],
    outcomes: list[Outcome],
    shown: list[Shown],
    selector: Selector,
    subject: Subject,
) -> None:
    """Draw the objects to show, and write the page."""
    from mmrefseg.pseudo_labels.page import Page, draw_cards, write_page

    page = Page.of(
        outcomes,
        draw_cards(track(shown, 'drawing'), args.images, args.img_template),
        selector,
        report=report,
        subject=subject,
        categories=args.categories,
        command=shlex.join(['python', *sys.argv, '--decisions', 'decisions.json']),
    )
    write_page(page, args.html, args.html_largest)


@cli
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    sampled = args.annotations is None
    fill_defaults(args)
    if sampled:
        check_sample(args)
    check_paths(args)
    if args.html is not None:
        check_page(args)
    files = prediction_files(args.predictions)
    check_files(args, files)
    selector, subject = make_selector(args, files)
    # Millions of small objects without cycles: looking for cycles would take half of the time.
    gc.disable()
    with PredictionStore(files) as store:
        splits = load_annotation_file(args.annotations)
        objects = load_objects(splits, args.annotations, args.split)
        check_decisions(selector.decisions, objects, store.ref_ids, args.annotations)
        outcomes = write_picks(splits, objects, store, selector, args)
        shown = objects_to_show(outcomes, objects, store, selector, args.html_objects) if args.html else []
        unknown = store.ref_ids - {record['ref_id'] for record in objects}
        del splits, objects
    notes = [*store.notes, *mixture_note(store)]
    if unknown:
        notes.append(
            f'{len(unknown)} predicted objects are not in {args.annotations} (ref_id {min(unknown)}, ...).'
        )
    report = {
        **summarise_selection(outcomes, selector),
        'predictions': store.num_records,
        'duplicates': store.num_duplicates,
        'unknown_objects': len(unknown),
        'checkpoints': predicted_by(store, selector),
        'notes': notes,
        'files': store.files,
        'annotations': args.annotations,
        'decisions': args.decisions,
        'out': args.out,
    }
    if args.full_annotations:
        report['truth'] = quality(
            args.full_annotations, args.split, outcomes, selector.strategy.lower_is_better
        )
    dump_json(report, args.report, indent=2)
    if args.html:
        draw_page(args, report, outcomes, shown, selector, subject)
    print_summary(report, args.out)
    if args.html:
        print(f'page: {args.html}')


if __name__ == '__main__':
    main()
