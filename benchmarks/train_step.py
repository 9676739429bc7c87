"""A training step (forward, backward, clipping, optimizer) against its loop form, and the memory it takes.

    python benchmarks/train_step.py --out work_dirs/benchmarks/train_step.json

Batch 8 at 640x640, Partial-RES with the 12 frozen stages and the optimizer of the configs, dropout 0.1. The
loop form gathers co-content features token by token, writes out attention weights and Gaussian
distances, and normalises frozen stages by the batch as the originals do; the other two are this package's
network without and with its acceleration. That all have the same loss and gradients is checked in evaluation
mode. The peaks of memory are those of processes of their own.
"""

import contextlib
import copy
import json
import resource
import subprocess
import sys

import torch
import yardstick
from common import acceleration, build_model, make_images, make_parser, prepare, ratios, report, take_turns
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmrefseg.models.acceleration import accelerate

SIDES = ('loop form', 'plain', 'accelerated')


def make_batch(args) -> tuple[Tensor, list]:
    """Images with one object each, whose mask has random tokens."""
    images, samples = make_images(args)
    for sample in samples:
        sample.gt_instances = InstanceData(
            has_mask=torch.ones(1, dtype=torch.bool), mask_tokens=torch.randint(0, 1000, (1, 2 * args.points))
        )
    return images, samples


class Steps:
    """Training steps of one form of a network.

    Args:
        side: Which form.
        model: The plain network; is changed.
        batch: Images and samples.
    """

    def __init__(self, side: str, model: nn.Module, batch: tuple[Tensor, list]) -> None:
        self.model, self.batch = model, batch
        self.form = contextlib.nullcontext
        if side == 'accelerated':
            accelerate(model)
        if side == 'loop form':
            self.form = lambda: yardstick.loop_form(model.head)
            model.backbone.norm_eval = False  # frozen stages normalise by the batch
        self.model.train()
        self.learned = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(self.learned, lr=5e-4, betas=(0.9, 0.98), eps=1e-9, amsgrad=True)

    def step(self) -> None:
        """Forward, backward, clipping, update."""
        self.optimizer.zero_grad()
        self.backward()
        nn.utils.clip_grad_norm_(self.learned, 0.15)
        self.optimizer.step()

    def backward(self) -> float:
        """The loss, whose gradients are there then."""
        with self.form():
            loss = self.model.loss(*self.batch)['loss_mask']
            loss.backward()
        return loss.item()

    def without_chance(self) -> tuple[float, float]:
        """The loss and the length of its gradient where nothing is random."""
        self.model.eval()
        self.optimizer.zero_grad()
        loss = self.backward()
        norm = torch.stack([p.grad.norm() for p in self.learned if p.grad is not None]).norm()
        self.optimizer.zero_grad()
        self.model.train()
        return loss, norm.item()


def check(sides: dict[str, Steps]) -> None:
    """Loss and gradient of all forms agree."""
    expected, *others = (steps.without_chance() for steps in sides.values())
    for found in others:
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=0)
        if abs(found[0] - expected[0]) > 1e-5 * expected[0]:
            raise SystemExit(f'losses differ: {expected[0]} and {found[0]}')


def peak_memory(side: str) -> dict[str, float]:
    """Peak memory of a process that takes two steps: before the first and after the last."""
    command = [sys.executable, __file__, '--memory-of', side, *sys.argv[1:]]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def print_own_peak(args) -> None:
    """What :func:`peak_memory` reads."""
    steps = Steps(args.memory_of, build_model(args), make_batch(args))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(2):
        steps.step()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({'model_mb': before / 1024, 'peak_mb': peak / 1024}))


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument('--memory-of', choices=SIDES, help='print the peak memory of one form and stop')
    parser.add_argument('--no-memory', action='store_true', help='leave the memory out')
    args = parser.parse_args()
    prepare(args)
    if args.memory_of:
        print_own_peak(args)
        return
    memory = {side: {} if args.no_memory else peak_memory(side) for side in SIDES}
    model, batch = build_model(args), make_batch(args)
    sides = {side: Steps(side, copy.deepcopy(model), batch) for side in SIDES}
    check(sides)
    timings = take_turns({side: steps.step for side, steps in sides.items()}, args.repeats)
    rows = [{'step': side, 's': timings[side].median, **memory[side]} for side in SIDES]
    report(args, rows, **ratios(timings), **acceleration(timings), same_loss=True)


if __name__ == '__main__':
    main()
