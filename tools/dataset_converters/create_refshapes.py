"""Make the embedded data set RefShapes."""

import argparse
from pathlib import Path

from mmrefseg.datasets.refshapes import PRESETS, generate
from mmrefseg.datasets.refshapes.synonyms import write_synonyms
from mmrefseg.utils import UserInputError, check_output, cli
from mmrefseg.utils.command_line import ToolParser

EPILOG = """
what is written (DIR is --out, S is --size)
  DIR/images/refshapes_S/<split>_<number>.png
  DIR/annotations/refshapes_S/
    instances.json             working format: split -> referred objects with box, mask and expressions
    refer/refs(synth).p        the same in the format of the refer API, with refer/instances.json
    coco/instances_<split>.json  COCO instances of all objects, categories are the shape classes
    meta.json                  seed, parameters, counts, vocabulary
    instances_synonyms.json    with --synonyms: the same objects, said with one word for each thing ("purple",
                               never "violet"), and the splits val_synonyms and testA_synonyms, which say the
                               same with words that no other split has

splits
  train, val and testA are alike; testB is harder: more objects of the same class and
  colour, and mostly sentences with relations and ordinals. No two splits share a scene.

The same size and seed give the same bytes for any number of workers. An interrupted
run goes on where it stopped; a complete set with the same parameters is left alone.

examples
  python tools/dataset_converters/create_refshapes.py --size tiny
  python tools/dataset_converters/create_refshapes.py --size small --seed 1 --out data --workers 2
  python tools/dataset_converters/create_refshapes.py --size small --preview refshapes.png
"""


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    sizes = '; '.join(
        f'{name}: {sum(rules.num_images for rules in preset.splits.values())} images '
        f'of {preset.image_size} x {preset.image_size}'
        for name, preset in PRESETS.items()
    )
    parser = ToolParser(
        description='Make RefShapes: images of shapes, masks, boxes and sentences.',
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--size', required=True, choices=list(PRESETS), help=sizes)
    parser.add_argument(
        '--seed', type=int, default=0, help='another seed, another set (default: %(default)s)'
    )
    parser.add_argument('--out', default='data', metavar='DIR', help='the data folder (default: %(default)s)')
    parser.add_argument('--workers', type=int, metavar='N', help='processes (default: one for each CPU)')
    parser.add_argument('--overwrite', action='store_true', help='replace a set with other parameters')
    parser.add_argument(
        '--synonyms',
        action='store_true',
        help='also write instances_synonyms.json: one word for each thing in training, others in testing',
    )
    parser.add_argument(
        '--preview', metavar='FILE', help='also draw a sheet of images with masks and sentences'
    )
    return parser.parse_args()


@cli
def main() -> None:
    """Make the set, say where it is and what it holds."""
    args = parse_args()
    if args.workers is not None and args.workers < 1:
        raise UserInputError.of('--workers', str(args.workers), 'at least 1', 'give the number of processes')
    check_output(args.out, '--out', folder=True)
    check_output(args.preview, '--preview')
    result = generate(args.size, args.out, args.seed, num_workers=args.workers, overwrite=args.overwrite)
    if not result.created:
        print(f'{result.annotations}: already complete with the same parameters, left alone')
    for split, counts in result.meta['counts'].items():
        numbers = ', '.join(f'{counts[key]} {key}' for key in ('images', 'objects', 'refs', 'sentences'))
        print(f'{split}: {numbers}')
    print(f'annotations: {result.annotations}\nimages: {result.images}')
    if args.synonyms:
        file, numbers = write_synonyms(result.annotations)
        print(f'{file}: ' + ', '.join(f'{count} sentences in {split}' for split, count in numbers.items()))
    if args.preview:
        # matplotlib takes a second to import and only the preview needs it
        from mmrefseg.datasets.refshapes.render import draw_preview

        draw_preview(result.annotations / 'instances.json', result.images, Path(args.preview))
        print(f'preview: {args.preview}')


if __name__ == '__main__':
    main()
