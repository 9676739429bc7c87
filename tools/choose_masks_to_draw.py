"""Which masks to draw: objects that have a box, in the order in which a network needs their masks.

    python tools/choose_masks_to_draw.py data/annotations/refcoco-unc/instances_sample_1.json --budget 200 \\
        --predictions work_dirs/partial-res_darknet53_m01-pseudo_refcoco-unc/pseudo \\
        --images data/images/mscoco/train2014 --out to_draw.json --csv to_draw.csv --sheet to_draw.png

An object needs its mask (0 to 1) as the weighted mean of these says: the ranks of the first three among all
objects (what cannot be told has the middle rank, 0.5), and 0.5 + rarity / 2.

  disagreement  1 - the mean IoU of the masks (or boxes) that its sentences got
  residual      RPP of its best mask against its box: it does not fill it
  doubt         1 - the predicted quality of its masks
  rarity        1 - the size of its category over that of the largest

Coverage spreads the choice: each one is in need and far from all chosen ones (k-center), or covers as much as
possible of the need that is left, its own and that of objects like it (facility). Alike are objects of alike
colours, sizes of boxes, predicted shapes and categories, or of alike --descriptors.

On RefShapes masks at random (--random) taught a network as much as k-center's, and more than facility's:
docs/pseudo_labels.md has the figures.

Without predictions, coverage and rarity choose. A larger budget begins with a smaller one's choice. Masks in
the file are not looked at: an object with a mask counts as drawn, unless all have one.

No file is replaced without --overwrite, and none that is read at all.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np

from mmrefseg.datasets.annotations import load_annotation_file, load_split
from mmrefseg.utils import (
    UserInputError,
    check_absent,
    check_apart,
    check_output,
    cli,
    dump_json,
    file_sha256,
    track,
)
from mmrefseg.utils.command_line import ToolParser

EPILOG = """
examples
  the first masks of a data set of boxes, without a network: 1 % of the objects
    python tools/choose_masks_to_draw.py data/annotations/refshapes_small/instances.json --budget 1% \\
        --images data/images/refshapes_small --sheet work_dirs/to_draw.png
  the file to train on, where the masks are there already (for experiments)
    python tools/choose_masks_to_draw.py data/annotations/refshapes_small/instances.json --budget 1% \\
        --predictions work_dirs/pseudo --apply data/annotations/refshapes_small/instances_sample_chosen.json
  as many at random
    python tools/choose_masks_to_draw.py data/annotations/refshapes_small/instances.json --budget 1% \\
        --random --seed 1 --apply data/annotations/refshapes_small/instances_sample_random.json
"""


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ToolParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('annotations', help='annotation file of the working format: boxes and sentences')
    parser.add_argument('--split', default='train', help='default: train')
    parser.add_argument('--budget', required=True, metavar='N', help='masks to draw: a number, or 0.5%%')
    add_rule(parser.add_argument_group('how objects are ranked'))
    group = parser.add_argument_group('what is written: one of the first four at least')
    group.add_argument('--out', metavar='JSON', help='the list, whose first ten are printed')
    group.add_argument('--csv', help='the list for a spreadsheet')
    group.add_argument('--sheet', metavar='PNG', help='pages of pictures: NAME_1.png, NAME_2.png, ...')
    group.add_argument(
        '--apply', metavar='JSON',
        help='the annotation file in which only these objects, and those drawn before, have a mask',
    )  # fmt: skip
    group.add_argument(
        '--masks', metavar='JSON', help='with --apply: where the masks are, if not in the file'
    )
    group.add_argument('--overwrite', action='store_true', help='replace files that are there')
    group = parser.add_argument_group('images')
    group.add_argument('--images', help='their folder: for --sheet, and for coverage by colour')
    group.add_argument('--img-template', help="file name of an image_id, e.g. '{}.jpg' (default: COCO's)")
    args = parser.parse_args(argv)
    if not (args.out or args.csv or args.sheet or args.apply):
        parser.error('found nothing to write, expected --out, --csv, --sheet or --apply')
    if args.sheet and not args.images:
        parser.error('--sheet: found no --images, expected the folder of the photos')
    return args


def add_rule(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--predictions', nargs='+', help='shards (.jsonl) of the split, a glob, their prefix, or a json file'
    )
    group.add_argument(
        '--weights', nargs='+', default=[], metavar='SIGNAL=W', help='of the signals (default: 1 each)'
    )
    group.add_argument(
        '--compare', choices=('mask', 'box'), default='mask', help='what sentences agree on (default: mask)'
    )
    group.add_argument(
        '--coverage',
        choices=('k-center', 'facility', 'none'),
        default='k-center',
        help='how the choice is spread (default: %(default)s)',
    )
    group.add_argument(
        '--descriptors', metavar='NPZ', help='ref_ids (N,) and features (N, D) instead of ours'
    )
    group.add_argument('--random', action='store_true', help='at random: the baseline')
    group.add_argument('--seed', type=int, default=0, help='of --random, and of what is covered (default: 0)')


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot be written, or fits nothing, before anything begins."""
    for option in ('out', 'csv', 'sheet', 'apply'):
        check_output(getattr(args, option), f'--{option}')
    check_files(args)
    if args.masks and not args.apply:
        raise UserInputError.of('--masks', 'no --apply', 'both', 'name what to write')
    if args.random and (args.predictions or args.descriptors or args.weights):
        raise UserInputError.of(
            '--random', 'predictions, descriptors or weights', 'none of them', 'leave them out'
        )
    if not 0 <= args.seed < 2**32:
        raise UserInputError.of('--seed', str(args.seed), 'a whole number from 0 to 2**32 - 1', 'correct it')


def check_files(args: argparse.Namespace) -> None:
    """See that nothing is replaced: neither what is read or written by this run, nor other files."""
    from mmrefseg.pseudo_labels.prediction_shards import prediction_files

    read = [
        ('the annotations', args.annotations),
        ('--masks', args.masks),
        ('--descriptors', args.descriptors),
    ]
    read += [('--predictions', path) for path in prediction_files(args.predictions or ())]
    written = [(f'--{option}', getattr(args, option)) for option in ('out', 'csv', 'apply')]
    meta = [('--apply', meta_path(args.apply))] if args.apply else []
    check_apart([*written, *meta], read)
    for option, path in written:
        if path is not None:
            files = [path, meta_path(path)] if option == '--apply' else [path]
            check_absent(files, f'{option} {path}', args.overwrite)


def check_pages(args: argparse.Namespace, objects: list[dict], number: int) -> None:
    """The same of the pages of --sheet, whose number the budget says."""
    from mmrefseg.pseudo_labels.contact_sheet import Images, sheet_pages

    pages = sheet_pages(args.sheet, number)
    check_absent(pages, f'--sheet {args.sheet}', args.overwrite)
    there = {os.path.realpath(page) for page in pages if page.is_file()}
    images = Images(args.images, args.img_template)
    if there and not there.isdisjoint(os.path.realpath(images.path(record)) for record in objects):
        raise UserInputError.of(f'--sheet {args.sheet}', 'an image of --images', 'another file', 'rename it')


def meta_path(sample: str) -> Path:
    """What a sample file is, stands beside it."""
    return Path(sample).with_suffix('.meta.json')


def read_descriptors(path: str, objects: list[dict]) -> np.ndarray:
    """(N, D) float32, of each object that of its first ref.

    Raises:
        UserInputError: If the file is broken, or lacks an object.
    """
    from mmrefseg.utils.arrays import load_npz

    expected = 'an .npz file with ref_ids (N,) and features (N, D)'
    ref_ids, features = load_npz(path, ('ref_ids', 'features'), expected)
    sound = ref_ids.ndim == 1 and features.ndim == 2 and len(ref_ids) == len(features)
    if not sound or ref_ids.dtype.kind not in 'iu' or features.dtype.kind not in 'iuf':
        found = f'ref_ids {ref_ids.dtype} {ref_ids.shape} and features {features.dtype} {features.shape}'
        raise UserInputError.of(path, found, expected, 'write it again')
    if not np.isfinite(features).all():
        raise UserInputError.of(path, 'features that are not finite', 'numbers', 'write it again')
    row_of = {ref_id: row for row, ref_id in enumerate(ref_ids.tolist())}
    missing = [record['ref_id'] for record in objects if record['ref_id'] not in row_of]
    if missing:
        found = f'no descriptor of {len(missing)} objects (ref_id {missing[0]}, ...)'
        raise UserInputError.of(path, found, 'one of each', 'write it again')
    return features[[row_of[record['ref_id']] for record in objects]].astype(np.float32)


def choose(args: argparse.Namespace, objects: list[dict], drawn: list[int], number: int) -> tuple:
    """The choices, and what the list says about how they were made."""
    from mmrefseg.pseudo_labels.masks_to_draw import (
        Rule,
        choose_masks,
        describe,
        no_predictions,
        observe,
        random_masks,
    )
    from mmrefseg.pseudo_labels.prediction_shards import PredictionStore, prediction_files
    from mmrefseg.pseudo_labels.teaching import read_weights

    if args.random:
        return random_masks(objects, drawn, args.seed, number), {'rule': 'random', 'seed': args.seed}
    rule = Rule(read_weights(args.weights), args.coverage, args.seed)
    about: dict[str, Any] = {'rule': 'need', **rule._asdict(), 'compare': args.compare, 'predictions': []}
    observed = no_predictions(len(objects))
    if args.predictions:
        files = prediction_files(args.predictions)
        with PredictionStore(files) as store:
            observed = observe(objects, store, args.compare, lambda items: track(items, 'reading'))
            about |= {'predictions': files, 'checkpoints': [c._asdict() for c in store.checkpoints]}
            for note in store.notes:
                print(note)
    if args.coverage == 'none':
        features = np.zeros((len(objects), 1), np.float32)
    elif args.descriptors:
        features = read_descriptors(args.descriptors, objects)
    else:
        features = describe(objects, observed, colours_of(args, objects))
    return choose_masks(objects, drawn, observed, features, rule, number), about


def colours_of(args: argparse.Namespace, objects: list[dict]) -> np.ndarray | None:
    """Colour histograms, where there are images."""
    from mmrefseg.pseudo_labels.contact_sheet import Images, colours

    if args.images is None:
        print('without --images, coverage knows no colours')
        return None
    return colours(objects, Images(args.images, args.img_template), lambda items: track(items, 'looking'))


def apply(args: argparse.Namespace, objects: list[dict], kept: list[dict], about: dict) -> str:
    """Write the sample file, and beside it what it is; returns a sentence.

    Raises:
        UserInputError: If a mask is not there.
    """
    from mmrefseg.datasets.converters import annotation_key, withhold_masks

    source = args.masks or args.annotations
    records = load_split(source, args.split)
    keys = {annotation_key(record) for record in kept}
    masked = {annotation_key(record) for record in records if record.get('mask') is not None}
    if not keys <= masked:
        raise UserInputError.of(
            f'{source} [{args.split}]',
            f'no mask of {len(keys - masked)} of the {len(keys)} objects',
            'all of them',
            'name the file that has them (--masks), or draw the masks that --out lists',
        )
    content = load_annotation_file(source)
    dump_json({**content, args.split: withhold_masks(records, keys)}, args.apply)
    meta = {
        'source': str(source),
        'source_sha256': file_sha256(source),
        'split': args.split,
        **about,
        'objects': len(objects),
        'masks': len(keys),
    }
    dump_json(meta, meta_path(args.apply), indent=2)
    return f'{args.apply}: {len(keys)} of {len(objects)} objects have a mask'


def write(args: argparse.Namespace, choices: list, about: dict) -> None:
    """The list, the table and the pictures."""
    from mmrefseg.pseudo_labels.contact_sheet import Images, write_sheet, write_table
    from mmrefseg.pseudo_labels.masks_to_draw import as_row

    if args.out:
        source = {'annotations': args.annotations, 'split': args.split}
        dump_json({**source, **about, 'objects': [as_row(choice) for choice in choices]}, args.out, indent=1)
        print(args.out)
    if args.csv:
        write_table(choices, args.csv)
        print(args.csv)
    if args.sheet:
        images = Images(args.images, args.img_template)
        pages = write_sheet(choices, images, args.sheet, lambda items: track(items, 'drawing'))
        print('\n'.join(map(str, pages)))


@cli
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    check(args)
    from mmrefseg.pseudo_labels.masks_to_draw import budget_of, objects_to_draw

    objects, drawn = objects_to_draw(load_split(args.annotations, args.split))
    number = budget_of(args.budget, len(objects), len(objects) - len(drawn))
    if args.sheet:
        check_pages(args, objects, number)
    choices, about = choose(args, objects, drawn, number)
    about = {'budget': number, **about}
    for choice in choices[:10]:
        record = choice.record
        print(f'{choice.rank:5} ref_id {record["ref_id"]}: {record["expressions"][0]} ({choice.why})')
    print(f'{number} of {len(objects)} objects, {len(drawn)} of which were drawn before')
    write(args, choices, about)
    if args.apply:  # last: where a mask lacks, the list says which to draw
        kept = [*(choice.record for choice in choices), *(objects[row] for row in drawn)]
        print(apply(args, objects, kept, about))


if __name__ == '__main__':
    main()
