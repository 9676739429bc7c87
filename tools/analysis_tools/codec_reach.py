"""What can a contour of so many points reach at best? True masks are encoded, decoded and compared.

    python tools/analysis_tools/codec_reach.py data/annotations/refshapes_small/instances.json \\
        --config configs/extended/box-frame_tiny_m100_refshapes.py --points 12 18 36 --windows 48

No network runs: the numbers are what is left of a mask by the way that it is written, so a network that
learns from these sequences cannot be better, however much it learns. Each row is one way:

  18 points, uniform      ContourCodec: the mask's largest outer contour, so many points, bins, back
  48 x 48 window          the mask in a window around its true box, pasted back (BoxRefiner)

mIoU and P@X in percent, in the original frame, each sentence counts (as RESMetric). Holes, and all parts of
a mask but the largest, are lost to a contour.
"""

import argparse
from typing import Any

from mmrefseg.analysis.codec_reach import Readout, measure, through_codec, through_window
from mmrefseg.codecs.contour_codec import ContourCodec
from mmrefseg.codecs.contours import SAMPLERS
from mmrefseg.datasets.annotations import load_split
from mmrefseg.utils import UserInputError, check_output, cli, dump_json, track
from mmrefseg.utils.command_line import ToolParser

KEYS = {
    'miou': 'mIoU', 'p50': 'P@0.5', 'p60': 'P@0.6', 'p70': 'P@0.7', 'p80': 'P@0.8', 'p90': 'P@0.9',
}  # fmt: skip
EPILOG = """
examples
  what Partial-RES at its full size can reach on RefCOCO (640 pixels, 1000 bins)
    python tools/analysis_tools/codec_reach.py data/annotations/refcoco-unc/instances.json --split val
  the same with points at equal distances
    python tools/analysis_tools/codec_reach.py data/annotations/refcoco-unc/instances.json \\
        --sampling uniform even_above --points 18 36
  at the size, the bins and the sampling of a config (loads torch)
    python tools/analysis_tools/codec_reach.py data/annotations/refshapes_small/instances.json \\
        --config configs/partial_res/partial-res_tiny_m100_refshapes.py
"""


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = ToolParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('annotations', help='annotation file of the working format, with masks')
    parser.add_argument('--split', nargs='+', default=['val'], help='default: val')
    parser.add_argument(
        '--points', type=int, nargs='+', default=[12, 18, 36], metavar='P',
        help='points on a contour (default: 12 18 36)',
    )  # fmt: skip
    parser.add_argument(
        '--windows', type=int, nargs='*', default=[], metavar='R', help='windows of R x R pixels, e.g. 48'
    )
    parser.add_argument(
        '--margin', type=float, default=0.15, help="of a window, in shares of the box's side (default: 0.15)"
    )
    group = parser.add_argument_group("the network's image and the codec; what is named counts over --config")
    group.add_argument('--config', help='take them from a config')
    group.add_argument(
        '--image-size', type=int, nargs='+', metavar='PIXELS',
        help="images are fitted into it: one number, or width and height; 0: as they are (default: 640)",
    )  # fmt: skip
    group.add_argument('--bins', type=int, help='along each side (default: 1000)')
    group.add_argument('--sampling', nargs='+', choices=list(SAMPLERS), help='default: uniform')
    group.add_argument('--pad-divisor', type=int, help='default: 32')
    group.add_argument(
        '--bin-center', action=argparse.BooleanOptionalAction, help='decode to the middle of a bin'
    )
    parser.add_argument('--limit', type=int, help='so many objects at most')
    parser.add_argument('--json', metavar='OUT', help='write the numbers here')
    return parser.parse_args(argv)


def check(args: argparse.Namespace) -> None:
    """Refuse numbers that make no image, no window and no contour, before anything is read."""
    size = [640] if args.image_size is None else args.image_size
    for option, values, least in (
        ('--points', args.points, 3),
        ('--windows', args.windows, 2),
        ('--image-size', size if size != [0] else [], 1),
        ('--bins', [args.bins] if args.bins is not None else [], 2),
        ('--pad-divisor', [args.pad_divisor] if args.pad_divisor is not None else [], 1),
        ('--limit', [args.limit] if args.limit is not None else [], 1),
    ):
        if values and min(values) < least:
            raise UserInputError.of(option, str(min(values)), f'at least {least}', 'correct it')
    if len(size) > 2:
        raise UserInputError.of('--image-size', f'{len(size)} numbers', 'one or two', 'correct it')
    if not 0 <= args.margin <= 10:
        raise UserInputError.of('--margin', f'{args.margin:g}', 'a share from 0 to 10', 'correct it')
    check_output(args.json, '--json')


def settings(args: argparse.Namespace) -> tuple[tuple[int, int] | None, dict[str, Any], list[str]]:
    """The size that images are fitted into, arguments of the codec, and the samplings."""
    size, codec = (640, 640), {}
    if args.config:
        size, codec = of_config(args.config)
    if args.image_size is not None:
        size = tuple((args.image_size * 2)[:2]) if any(args.image_size) else None
    given = {'num_bins': args.bins, 'pad_divisor': args.pad_divisor, 'bin_center': args.bin_center}
    codec |= {key: value for key, value in given.items() if value is not None}
    samplings = args.sampling or [codec.pop('sampling', 'uniform')]
    codec.pop('sampling', None)
    return size, codec, samplings


def of_config(path: str) -> tuple[tuple[int, int] | None, dict[str, Any]]:
    """What a config's test pipeline resizes images to, and its codec's arguments but the points.

    Raises:
        UserInputError: If it has no codec.
    """
    from mmrefseg.runs.config import load_config

    config = load_config(path).to_dict()
    codec = first_of(config, 'ContourCodec')
    if codec is None:
        raise UserInputError.of(
            path, 'no ContourCodec', "one of SeqTR's, Partial-RES's or BoxFrame's configs", 'name another'
        )
    resize = first_of(config.get('test_dataloader'), 'RefResize')
    kept = {key: value for key, value in codec.items() if key not in ('type', 'num_points')}
    return (tuple(resize.get('scale', (640, 640))) if resize else None), kept


def first_of(config: Any, kind: str) -> dict | None:
    """The first dict with a ``type`` in a nest of dicts and lists."""
    if isinstance(config, dict):
        if config.get('type') == kind:
            return config
        config = list(config.values())
    inner = config if isinstance(config, list | tuple) else ()
    return next(filter(None, (first_of(item, kind) for item in inner)), None)


def name_readouts(
    args: argparse.Namespace, codec: dict[str, Any], samplings: list[str]
) -> dict[str, Readout]:
    """The rows of the table."""
    rows = {
        f'{points} points, {sampling}': through_codec(ContourCodec(points, sampling=sampling, **codec))
        for sampling in samplings
        for points in args.points
    }
    return rows | {f'{size} x {size} window': through_window(size, args.margin) for size in args.windows}


def print_table(rows: dict[str, dict[str, float]]) -> None:
    """As markdown."""
    print(f'| readout | {" | ".join(KEYS.values())} |')
    print(f'|---|{"---|" * len(KEYS)}')
    for name, row in rows.items():
        print(f'| {name} | {" | ".join(f"{row[key]:.1f}" for key in KEYS)} |')


@cli
def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    check(args)
    size, codec, samplings = settings(args)
    objects = [
        record
        for split in args.split
        for record in load_split(args.annotations, split)
        if record.get('mask') is not None and not record.get('no_target')
    ][: args.limit]
    if not objects:
        raise UserInputError.of(
            f'{args.annotations} [{" ".join(args.split)}]', 'no masks', 'objects with masks', 'choose another'
        )
    rows = measure(track(objects, 'measuring'), name_readouts(args, codec, samplings), size)
    image = f'{size[0]} x {size[1]}' if size else "the image's own size"
    bins = codec.get('num_bins', 1000)
    print(f'{len(objects)} objects of {" ".join(args.split)}, image {image}, {bins} bins')
    print_table(rows)
    if args.json:
        about = {'annotations': args.annotations, 'splits': args.split, 'objects': len(objects)}
        frame = {'image_size': size, 'codec': {'num_bins': bins, **codec}, 'margin': args.margin}
        dump_json({**about, **frame, 'rows': rows}, args.json, indent=2)


if __name__ == '__main__':
    main()
