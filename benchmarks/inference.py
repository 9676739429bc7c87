"""Picture to mask, backbone included: folded batch norms and channels last against the plain network.

    python benchmarks/inference.py --out work_dirs/benchmarks/inference.json

Batch 8 at 640x640. The two sides are one model whose switch ``test_cfg.fuse_conv_bn`` (``--fuse-conv-bn`` of
tools/test.py) is off and on; that the results are the same is checked.
"""

import statistics
import time
from collections import defaultdict

import torch
from common import build_model, make_parser, make_pictures, prepare, ratios, report, take_turns


class PartClock:
    """Seconds spent in the parts of ``model.predict``, by part, one entry per call."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        for owner, name, part in (
            (model, '_extract', 'backbone_and_neck'),
            (model.language_model, 'forward', 'language'),
            (model.head, 'encode', 'encoder'),
            (model.head, 'predict', 'decoding'),
        ):
            setattr(owner, name, self._timed(getattr(owner, name), part))

    def _timed(self, function, part: str):
        def run(*args, **kwargs):
            start = time.perf_counter()
            result = function(*args, **kwargs)
            self.seconds[part].append(time.perf_counter() - start)
            return result

        return run

    def take(self) -> dict[str, float]:
        """Milliseconds of the parts, medians of the calls since the last time."""
        parts = {part: 1e3 * statistics.median(seconds) for part, seconds in self.seconds.items()}
        self.seconds.clear()
        return parts


def check(model: torch.nn.Module, sides: dict, pictures: torch.Tensor) -> float:
    """Same masks and points from both sides.

    Returns:
        The largest difference of the maps that the neck gives, relative to their largest value.
    """
    found = []
    for run in sides.values():
        predictions = [sample.pred_instances for sample in run()]
        found.append((predictions, model.extract_vision(pictures)))
    (plain, plain_map), (fused, fused_map) = found
    for one, other in zip(plain, fused, strict=True):
        if not (torch.equal(one.points, other.points) and torch.equal(one.masks, other.masks)):
            raise SystemExit('the two sides predict different masks')
        torch.testing.assert_close(one.scores, other.scores, rtol=1e-3, atol=1e-6)
    return float((plain_map - fused_map).abs().max() / plain_map.abs().max())


@torch.no_grad()
def main() -> None:
    args = make_parser(__doc__).parse_args()
    prepare(args)
    model = build_model(args)
    pictures, samples = make_pictures(args)
    clock, parts = PartClock(model), defaultdict(list)

    def run(fuse: bool):
        model.test_cfg['fuse_conv_bn'] = fuse
        result = model.predict(pictures, samples)
        parts[fuse].append(clock.take())
        return result

    sides = {'plain': lambda: run(False), 'fuse_conv_bn': lambda: run(True)}
    difference = check(model, sides, pictures)  # warms up, too
    if difference > 1e-4:
        raise SystemExit(f'the maps differ by {difference:.1e} of the largest value')
    parts.clear()
    timings = take_turns(sides, args.repeats, warm_up=0)
    rows = []
    for fuse, (name, timing) in enumerate(timings.items()):
        row = {'network': name, 'ms': 1e3 * timing.median, 'pictures_per_s': args.batch / timing.median}
        names = parts[bool(fuse)][0]
        row |= {f'{part}_ms': statistics.median(run[part] for run in parts[bool(fuse)]) for part in names}
        rows.append(row)
    report(args, rows, **ratios(timings), same_masks=True, largest_difference=difference)


if __name__ == '__main__':
    main()
