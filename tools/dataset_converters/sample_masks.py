"""Make training sets in which only a few objects have a mask."""

import argparse
import hashlib
from pathlib import Path

from mmrefseg.datasets.annotations import load_annotation_file, load_split
from mmrefseg.datasets.converters import count_objects, sample_masks
from mmrefseg.utils import UserInputError, check_output, cli, dump_json, track

EPILOG = """
what is written, beside the file (or into --out-dir)
  instances_sample_5.json       the same splits; in "train" 5 % of the objects have a mask, the others
                                only their box. "val", "testA"... are as they were, so that every file
                                can be tested on.
  instances_sample_5.meta.json  source and its sha256, seed, unit, ratio, counts

The samples are nested (1 % within 5 % within 10 %) and drawn without replacement. The same seed gives
the same sample. round(ratio / 100 * objects) objects keep their mask, and at least one.

examples
  python tools/dataset_converters/sample_masks.py data/annotations/refcoco-unc/instances.json \\
      --ratio 1 5 10 --seed 0
  python tools/dataset_converters/sample_masks.py data/annotations/refshapes_small/instances.json \\
      --ratio 5 --unit image
"""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('ann_file', help='a fully masked file of the working format')
    parser.add_argument(
        '--ratio', type=float, nargs='+', default=[1, 5, 10], metavar='PERCENT', help='default: 1 5 10'
    )
    parser.add_argument('--seed', type=int, default=0, help='another seed, another sample (default: 0)')
    parser.add_argument(
        '--unit', choices=['object', 'image'], default='object', help='what is drawn (default: object)'
    )
    parser.add_argument('--split', default='train', help='the split to sample (default: train)')
    parser.add_argument('--out-dir', metavar='DIR', help='where to write (default: beside the file)')
    return parser.parse_args(argv)


@cli
def main(argv: list[str] | None = None) -> None:
    """Sample, write, report."""
    args = parse_args(argv)
    path = Path(args.ann_file)
    folder = Path(args.out_dir) if args.out_dir else path.parent
    check_output(folder, '--out-dir', folder=True)
    records = load_split(path, args.split)
    samples = sample_masks(records, args.ratio, args.seed, args.unit, f'{path} [{args.split}]')
    splits = load_annotation_file(path)
    source = {'source': str(path), 'source_sha256': hashlib.sha256(path.read_bytes()).hexdigest()}
    lines = []
    for ratio, sampled in track(samples.items(), 'writing'):
        out = folder / f'{path.stem}_sample_{ratio:g}.json'
        if out.resolve() == path.resolve():
            raise UserInputError.of(str(out), 'the source itself', 'another file', 'choose another --out-dir')
        dump_json({**splits, args.split: sampled}, out)
        count = count_objects({args.split: sampled})[args.split]
        chosen = {'split': args.split, 'ratio': ratio, 'seed': args.seed, 'unit': args.unit}
        counts = {'objects': count['refs'], 'images': count['images'], 'masks': count['masks']}
        dump_json({**source, **chosen, **counts}, out.with_suffix('.meta.json'), indent=2)
        lines.append(f'{out}: {count["masks"]} of {count["refs"]} objects have a mask')
    print('\n'.join(lines))


if __name__ == '__main__':
    main()
