"""All expressions of an image in one pass through the backbone against one pass for each expression.

    python benchmarks/shared_backbone.py --out work_dirs/benchmarks/shared_backbone.json

Images have as many expressions as RefCOCO's (val, testA and testB by default, ``--boxes`` says where the
sentences are; or those of a split of an annotation file). ``--images`` of them, evenly spread over the
distribution, are predicted both ways with the same weights; that the masks are the same is checked.
"""

import collections
import csv
import os
from pathlib import Path

import torch
from common import ROOT, build_model, make_images, make_parser, prepare, ratios, report, take_turns
from mmdet.structures import DetDataSample

from mmrefseg.datasets.annotations import load_split
from mmrefseg.models.acceleration import accelerate

BOXES = Path(os.environ.get('MMREFSEG_TEST_DATA') or ROOT.parent / 'shared' / 'data') / 'refcoco_boxes'


def counts_of_sentences(folder: Path) -> list[int]:
    """Expressions of each image of RefCOCO's val, testA and testB."""
    files = [folder / f'refcoco_unc_{split}.csv' for split in ('val', 'testA', 'testB')]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise SystemExit(f'--boxes {folder}: no {missing[0]}; give its folder, or --ann-file and --split')
    counts: collections.Counter = collections.Counter()
    for file in files:
        with open(file, newline='') as lines:
            counts.update(row['img_id'] for row in csv.DictReader(lines))
    return sorted(counts.values())


def counts_of_split(ann_file: str, split: str) -> list[int]:
    """Expressions of each image of a split of an annotation file."""
    counts: collections.Counter = collections.Counter()
    for record in load_split(ann_file, split):
        counts[record['image_id']] += len(record['expressions'])
    return sorted(counts.values())


def spread(counts: list[int], number: int) -> list[int]:
    """So many of the sorted counts, at the middle of equal parts, with the mean of all (rounded)."""
    chosen = [counts[int((i + 0.5) / number * len(counts))] for i in range(number)]
    chosen[-1] += round(number * sum(counts) / len(counts)) - sum(
        chosen
    )  # the long tail lies in the last part
    return chosen


def singles(images: torch.Tensor, samples: list, batch: int) -> list[tuple[torch.Tensor, list]]:
    """The same expressions one a sample, in batches, each with its own copy of the image."""
    index, single = [], []
    for image, sample in enumerate(samples):
        for row in range(len(sample.expressions)):
            alone = DetDataSample(metainfo=dict(sample.metainfo))
            one = {key: [sample.get(key)[row]] for key in ('expressions', 'ref_ids', 'sent_ids')}
            alone.set_metainfo(one)
            single.append(alone)
            index.append(image)
    return [
        (images[index[first : first + batch]], single[first : first + batch])
        for first in range(0, len(single), batch)
    ]


def masks_of(samples: list) -> list[torch.Tensor]:
    """The masks of all expressions in a row; their sizes differ."""
    return [mask for sample in samples for mask in sample.pred_instances.masks]


@torch.no_grad()
def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument('--boxes', type=Path, default=BOXES, metavar='FOLDER', help='of refcoco_unc_*.csv')
    parser.add_argument('--ann-file', help='count the expressions of this annotation file instead')
    parser.add_argument('--split', default='train', help='of --ann-file')
    parser.add_argument('--images', type=int, default=3, help='so many images (3)')
    parser.add_argument('--plain', action='store_true', help='do not accelerate the network, on both sides')
    args = parser.parse_args()
    prepare(args)
    counts = counts_of_split(args.ann_file, args.split) if args.ann_file else counts_of_sentences(args.boxes)
    model = build_model(args)
    if not args.plain:
        accelerate(model)
    chosen = spread(counts, args.images)
    images, samples = make_images(args, chosen)
    batches = singles(images, samples, args.batch)
    sides = {
        'one pass per expression': lambda: [s for x, group in batches for s in model.predict(x, group)],
        'one pass per image': lambda: model.predict(images, samples),
    }
    alone, shared = (masks_of(run()) for run in sides.values())
    if not all(torch.equal(one, other) for one, other in zip(alone, shared, strict=True)):
        raise SystemExit('the two sides predict different masks')
    timings = take_turns(sides, args.repeats, warm_up=0)
    rows = [
        {
            'backbone': name,
            's': timing.median,
            'ms_per_expression': 1e3 * timing.median / sum(chosen),
        }
        for name, timing in timings.items()
    ]
    report(
        args,
        rows,
        **ratios(timings),
        expressions=chosen,
        mean_of_these=sum(chosen) / len(chosen),
        mean_of_all=sum(counts) / len(counts),
        same_masks=True,
    )


if __name__ == '__main__':
    main()
