"""What each piece of the acceleration gives: the accelerated network against the same without that piece.

    python benchmarks/pieces.py --out work_dirs/benchmarks/pieces.json

``--work`` says on what: ``seqtr``, Partial-RES from image to mask; ``train``, a training step of it; and
``lavt``, LAVT from image to mask; all by default. Each row is the time without a piece over the time with all
of them, but for pieces that the network or the work has no use for.
"""

import copy
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import lavt
import torch
from common import build_model, make_images, make_parser, prepare, ratios, report, take_turns
from torch import nn
from train_step import Steps, make_batch

from mmrefseg.models.acceleration import PIECES, accelerate

WORKS = ('seqtr', 'train', 'lavt')
IN_TRAINING = ('FoldedConvModule',)  # in frozen layers


def prepare_work(work: str, args) -> tuple[nn.Module, Callable]:
    """The plain network, and what makes a network into a function to be timed."""
    if work == 'train':
        batch = make_batch(args)
        return build_model(args), lambda model: Steps('', model, batch).step
    if work == 'seqtr':
        model, (images, samples) = build_model(args), make_images(args)
    else:
        with tempfile.TemporaryDirectory() as folder:
            model = lavt.build(args, Path(folder))
        args.size = 480 if not args.toy else args.size
        images, samples = make_images(args, [1] * max(1, args.batch // 2))
        images = lavt.normalise(images)
        for sample in samples:
            sample.set_metainfo(dict(img_shape=(args.size, args.size)))
    return model, lambda model: partial(_predict, model, images, samples)


@torch.no_grad()
def _predict(model: nn.Module, images, samples) -> None:
    model.predict(images, samples)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument('--work', choices=WORKS, nargs='+', default=list(WORKS), help='see above')
    args = parser.parse_args()
    prepare(args)
    rows = []
    for work in args.work:
        model, make = prepare_work(work, args)
        for piece in PIECES:
            called = work != 'train' or piece.__name__ in IN_TRAINING
            if not called or not any(piece.fits(module) for module in model.modules()):
                continue
            others = [other for other in PIECES if other is not piece]
            sides = {
                'without': make(accelerate(copy.deepcopy(model), others)),
                'with': make(accelerate(copy.deepcopy(model))),
            }
            found = ratios(take_turns(sides, args.repeats))
            rows.append({'work': work, 'piece': piece.__name__, **found})
    report(args, rows)


if __name__ == '__main__':
    main()
