"""Image to mask: what a refiner adds to a network that draws contours, and what one of boxes takes with it.

    python benchmarks/refiner.py --out work_dirs/benchmarks/refiner.json

Batch 8 at 640x640, a sentence each, all accelerated, random weights. `contours` is Partial-RES, which writes
18 points; `contours, refined` is the same with a refiner behind it, `box, refined` the network of boxes alone
with the refiner behind it.
"""

import argparse
from functools import partial
from typing import Any

import torch
from common import (
    build_model,
    make_images,
    make_parser,
    network_config,
    prepare,
    ratios,
    report,
    settle,
    take_turns,
)
from mmdet.registry import MODELS
from mmengine.config import Config
from torch import nn

from mmrefseg.models.acceleration import accelerate
from mmrefseg.utils.places import shipped

REFINER = 'configs/_base_/schedules/box-refiner.py'
BOX = dict(with_box=True, with_mask=False, task_prompt=False)


def refined(args: argparse.Namespace, head: dict[str, Any] | None = None) -> nn.Module:
    """The network with the refiner of the full-size configs behind it."""
    refiner = dict(Config.fromfile(shipped(REFINER)).refiner)
    if args.toy:
        refiner |= dict(size=16, channels=4, depth=2)
    segmentor = network_config(args, head=head)
    model = MODELS.build(dict(type='RefinedSegmentor', segmentor=segmentor, refiner=refiner)).eval()
    settle(model.segmentor, args.size)
    return model


@torch.no_grad()
def main() -> None:
    args = make_parser(__doc__).parse_args()
    prepare(args)
    models = {
        'contours': build_model(args),
        'contours, refined': refined(args),
        'box, refined': refined(args, BOX),
    }
    images, samples = make_images(args)
    sides = {name: partial(accelerate(model).predict, images, samples) for name, model in models.items()}
    timings = take_turns(sides, args.repeats)
    rows = [
        {'network': name, 'ms': 1e3 * timing.median, 'images_per_s': args.batch / timing.median}
        for name, timing in timings.items()
    ]
    facts = {}
    for name in list(models)[1:]:
        added = ratios(timings, name, 'contours')
        facts |= {f'{name} of contours, {key}': value for key, value in added.items()}
    report(args, rows, **facts)


if __name__ == '__main__':
    main()
