"""Make training sets in which only a few objects have a mask."""

import argparse
from pathlib import Path

from mmrefseg.datasets.annotations import load_split
from mmrefseg.datasets.converters import count_objects, sample_coco_masks, sample_masks
from mmrefseg.utils import UserInputError, check_output, cli, dump_json, load_json, track
from mmrefseg.utils.command_line import ToolParser
from mmrefseg.utils.files import file_sha256

EPILOG = """
what is written, beside the file (or into --out-dir)
  instances_sample_5.json       the same splits; in "train" 5 % of the objects have a mask, the others
                                only their box. "val", "testA"... are as they were, so that every file
                                can be tested on. Of a COCO file, all annotations are sampled: the others
                                lack "segmentation", their "area" is their box's; "iscrowd" ones stay.
  instances_sample_5.meta.json  source and its sha256, seed, unit, ratio, counts

The samples are nested (1 % within 5 % within 10 %) and drawn without replacement. The same seed gives
the same sample. round(ratio / 100 * objects) objects keep their mask, and at least one.
--no-masks writes instances_sample_0.json as well, in which none has a mask.

examples
  python tools/dataset_converters/sample_masks.py data/annotations/refcoco-unc/instances.json \\
      --ratio 1 5 10 --seed 0
  python tools/dataset_converters/sample_masks.py data/annotations/refshapes_small/instances.json \\
      --ratio 5 --unit image
  python tools/dataset_converters/sample_masks.py data/coco/annotations/instances_train2017.json --ratio 5
"""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = ToolParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('ann_file', help='a fully masked file, of the working format or COCO instances')
    parser.add_argument(
        '--ratio', type=float, nargs='+', default=[1, 5, 10], metavar='PERCENT', help='default: 1 5 10'
    )
    parser.add_argument('--no-masks', action='store_true', help='also write a file without any masks')
    parser.add_argument('--seed', type=int, default=0, help='another seed, another sample (default: 0)')
    parser.add_argument(
        '--unit', choices=['object', 'image'], default='object', help='what is drawn (default: object)'
    )
    parser.add_argument('--split', help='the split to sample (default: train); COCO files have none')
    parser.add_argument('--out-dir', metavar='DIR', help='where to write (default: beside the file)')
    return parser.parse_args(argv)


def is_coco(content: object) -> bool:
    """Whether this is a COCO file, and not one of the working format."""
    return isinstance(content, dict) and {'images', 'annotations'} <= content.keys()


def counts(objects: list[dict], coco: bool) -> dict[str, int]:
    """How many objects there are, on how many images, and how many have a mask."""
    if not coco:
        count = count_objects({'': objects})['']
        return {'objects': count['refs'], 'images': count['images'], 'masks': count['masks']}
    objects = [annotation for annotation in objects if not annotation.get('iscrowd')]
    return {
        'objects': len(objects),
        'images': len({annotation['image_id'] for annotation in objects}),
        'masks': sum(bool(annotation.get('segmentation')) for annotation in objects),
    }


@cli
def main(argv: list[str] | None = None) -> None:
    """Sample, write, report."""
    args = parse_args(argv)
    path = Path(args.ann_file)
    folder = Path(args.out_dir) if args.out_dir else path.parent
    check_output(folder, '--out-dir', folder=True)
    content = load_json(path)
    coco = is_coco(content)
    if coco and args.split:
        raise UserInputError.of(
            str(path), f'a COCO file and --split {args.split}', 'no split', 'leave --split out'
        )
    key = 'annotations' if coco else args.split or 'train'
    where = f'{path} [{key}]'
    objects, draw = (content[key], sample_coco_masks) if coco else (load_split(path, key), sample_masks)
    samples = draw(objects, args.ratio, args.seed, args.unit, where, args.no_masks)
    source = {'source': str(path), 'source_sha256': file_sha256(path), **({} if coco else {'split': key})}
    lines = []
    for ratio, sampled in track(samples.items(), 'writing'):
        out = folder / f'{path.stem}_sample_{ratio:g}.json'
        if out.resolve() == path.resolve():
            raise UserInputError.of(str(out), 'the source itself', 'another file', 'choose another --out-dir')
        dump_json({**content, key: sampled}, out)
        chosen = {'ratio': ratio, 'seed': args.seed, 'unit': args.unit}
        count = counts(sampled, coco)
        dump_json({**source, **chosen, **count}, out.with_suffix('.meta.json'), indent=2)
        lines.append(f'{out}: {count["masks"]} of {count["objects"]} objects have a mask')
    print('\n'.join(lines))


if __name__ == '__main__':
    main()
