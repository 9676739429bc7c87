"""A training step (forward, backward, clipping, optimizer) against its loop form, and the memory it takes.

    python benchmarks/train_step.py --out work_dirs/benchmarks/train_step.json

Batch 8 at 640x640, Partial-RES with the 12 frozen stages and the optimizer of the configs, dropout 0.1. The
loop form gathers co-content features token by token, writes out attention weights and Gaussian
distances, and normalises frozen stages by the batch as the originals do. That both forms have the same
loss and gradients is checked in evaluation mode. The peaks of memory are those of processes of their own.
"""

import copy
import json
import resource
import subprocess
import sys

import torch
import yardstick
from common import build_model, make_parser, make_pictures, prepare, ratios, report, take_turns
from mmengine.structures import InstanceData
from torch import Tensor, nn

SIDES = ('loop form', 'mmrefseg')


def make_batch(args) -> tuple[Tensor, list]:
    """Pictures with one object each, whose mask has random tokens."""
    pictures, samples = make_pictures(args)
    for sample in samples:
        sample.gt_instances = InstanceData(
            has_mask=torch.ones(1, dtype=torch.bool), mask_tokens=torch.randint(0, 1000, (1, 2 * args.points))
        )
    return pictures, samples


class Steps:
    """Training steps of one model in the two forms."""

    def __init__(self, args) -> None:
        self.model = build_model(args).train()
        self.batch = make_batch(args)
        self.ours = self.model.backbone
        learned = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(learned, lr=5e-4, betas=(0.9, 0.98), eps=1e-9, amsgrad=True)
        self.learned = learned

    def loop_backbone(self) -> nn.Module:
        """A backbone whose frozen stages are copies that normalise by the batch; the others are shared."""
        backbone = copy.copy(self.ours)
        backbone._modules = {}
        frozen = copy.deepcopy(self.ours.layers[: self.ours.frozen_layers])
        backbone.layers = nn.ModuleList([*frozen, *self.ours.layers[self.ours.frozen_layers :]])
        backbone.norm_eval = False
        return backbone.train()

    def loss(self) -> Tensor:
        return self.model.loss(*self.batch)['loss_mask']

    def step(self) -> Tensor:
        """Forward, backward, clipping, update."""
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        nn.utils.clip_grad_norm_(self.learned, 0.15)
        self.optimizer.step()
        return loss.detach()

    def loop_step(self) -> Tensor:
        """The same in loop form."""
        if not hasattr(self, 'loop'):
            self.loop = self.loop_backbone()
        self.model.backbone = self.loop
        try:
            with yardstick.loop_form(self.model.head):
                return self.step()
        finally:
            self.model.backbone = self.ours

    def check(self) -> None:
        """Loss and gradient norm of both forms agree where nothing is random."""
        found = []
        self.model.eval()
        for loop in (True, False):
            self.optimizer.zero_grad()
            if loop:
                with yardstick.loop_form(self.model.head):
                    loss = self.loss()
            else:
                loss = self.loss()
            loss.backward()
            norm = torch.stack([p.grad.norm() for p in self.learned if p.grad is not None]).norm()
            found.append((loss.item(), norm.item()))
        torch.testing.assert_close(found[0], found[1], rtol=1e-3, atol=0)
        if abs(found[0][0] - found[1][0]) > 1e-5 * found[0][0]:
            raise SystemExit(f'losses differ: {found[0][0]} and {found[1][0]}')
        self.optimizer.zero_grad()
        self.model.train()


def peak_memory(side: str) -> dict[str, float]:
    """Peak memory of a process that takes two steps: before the first and after the last."""
    command = [sys.executable, __file__, '--memory-of', side, *sys.argv[1:]]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def print_own_peak(args) -> None:
    """What :func:`peak_memory` reads."""
    steps = Steps(args)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(2):
        steps.step() if args.memory_of == SIDES[1] else steps.loop_step()
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
    steps = Steps(args)
    steps.check()
    timings = take_turns(dict(zip(SIDES, (steps.loop_step, steps.step), strict=True)), args.repeats)
    rows = [{'step': side, 's': timings[side].median, **memory[side]} for side in SIDES]
    report(args, rows, **ratios(timings), same_loss=True)


if __name__ == '__main__':
    main()
