"""Image to mask, backbone included: the accelerated network against the plain one.

    python benchmarks/inference.py --out work_dirs/benchmarks/inference.json

Batch 8 at 640x640. The two sides have the same weights; that the results are the same is checked.
"""

import copy
import statistics
import time
from collections import defaultdict
from functools import partial

import torch
from common import build_model, make_images, make_parser, prepare, ratios, report, take_turns

from mmrefseg.models.acceleration import accelerate


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


def check(models: dict[str, torch.nn.Module], images: torch.Tensor, samples: list) -> float:
    """Same masks and points from both sides.

    Returns:
        The largest difference of the maps that the neck gives, relative to their largest value.
    """
    found = []
    for model in models.values():
        predictions = [sample.pred_instances for sample in model.predict(images, copy.deepcopy(samples))]
        found.append((predictions, model.extract_vision(images)))
    (plain, plain_map), (fast, fast_map) = found
    for one, other in zip(plain, fast, strict=True):
        if not (torch.equal(one.points, other.points) and torch.equal(one.masks, other.masks)):
            raise SystemExit('the two sides predict different masks')
        torch.testing.assert_close(one.scores, other.scores, rtol=1e-3, atol=1e-6)
    return float((plain_map - fast_map).abs().max() / plain_map.abs().max())


@torch.no_grad()
def main() -> None:
    args = make_parser(__doc__).parse_args()
    prepare(args)
    plain = build_model(args)
    models = {'plain': plain, 'accelerated': accelerate(copy.deepcopy(plain))}
    images, samples = make_images(args)
    difference = check(models, images, samples)  # warms up, too
    if difference > 1e-4:
        raise SystemExit(f'the maps differ by {difference:.1e} of the largest value')
    clocks = {name: PartClock(model) for name, model in models.items()}
    parts = defaultdict(list)

    def run(name: str) -> None:
        models[name].predict(images, samples)
        parts[name].append(clocks[name].take())

    timings = take_turns({name: partial(run, name) for name in models}, args.repeats, warm_up=0)
    rows = []
    for name, timing in timings.items():
        row = {'network': name, 'ms': 1e3 * timing.median, 'images_per_s': args.batch / timing.median}
        row |= {f'{part}_ms': statistics.median(run[part] for run in parts[name]) for part in parts[name][0]}
        rows.append(row)
    report(args, rows, **ratios(timings), same_masks=True, largest_difference=difference)


if __name__ == '__main__':
    main()
