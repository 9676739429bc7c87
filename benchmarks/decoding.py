"""Decoding contours: the prefix recomputed for every token, keys and values cached, and accelerated.

    python benchmarks/decoding.py --out work_dirs/benchmarks/decoding.json

Encoded images to tokens, 8 objects, 37 tokens, a 20x20 map and the language token, the whole of
Partial-RES. All sides have the same weights and give the same tokens, which is checked.
"""

import copy
import statistics
import time

import torch
import yardstick
from common import acceleration, build_model, make_parser, prepare, ratios, report, take_turns

from mmrefseg.models.acceleration import accelerate
from mmrefseg.models.heads.seqtr_head import ImageSizes


def make_memory(model: torch.nn.Module, args) -> object:
    """The encoder's output for random fused maps; every other image is 4:3 and padded."""
    cells = args.size // 32
    channels = model.head.input_proj.in_channels
    fused = torch.randn(args.batch, channels, cells, cells).tanh()
    language = torch.randn(args.batch, channels).tanh()
    image = torch.full((args.batch, 2), args.size)
    image[::2, 0] = 3 * args.size // 4
    padded = ((image + 31) // 32 * 32).float()
    return model.head.encode(fused, language, ImageSizes(image, padded, (args.size, args.size)))


class StepClock:
    """Times between two tokens that are embedded: the cost of each token after the first."""

    def __init__(self, *heads) -> None:
        self.ticks: list[float] = []
        for head in heads:
            head.token_embedding.register_forward_hook(lambda *_: self.ticks.append(time.perf_counter()))

    def steps_of(self, run) -> list[float]:
        """Milliseconds of the tokens of one run."""
        self.ticks.clear()
        run()
        return [1e3 * (b - a) for a, b in zip(self.ticks, self.ticks[1:], strict=False)]


def check(ours, tokens: torch.Tensor, log_probs: torch.Tensor) -> None:
    """The same tokens, or the comparison means nothing."""
    if not torch.equal(ours.tokens, tokens):
        raise SystemExit(f'{int((ours.tokens != tokens).sum())} of {tokens.numel()} tokens differ')
    torch.testing.assert_close(ours.log_probs, log_probs, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def main() -> None:
    args = make_parser(__doc__).parse_args()
    prepare(args)
    model = build_model(args, tiny=('backbone', 'language_model', 'neck'))
    head, memory = model.head, make_memory(model, args)
    fast = accelerate(copy.deepcopy(head))
    sides = {
        'prefix recomputed': lambda: yardstick.generate(head, memory),
        'plain': lambda: head.predict(memory).masks,
        'accelerated': lambda: fast.predict(memory).masks,
    }
    loop, *ours = (run() for run in sides.values())
    for found in ours:
        check(found, *loop)
    timings = take_turns(sides, args.repeats)
    clock, rows = StepClock(head, fast), []
    for name, run in sides.items():
        runs = [clock.steps_of(run) for _ in range(args.repeats)]
        steps = [statistics.median(step) for step in zip(*runs, strict=True)]
        third = max(len(steps) // 3, 1)
        rows.append(
            {
                'decoding': name,
                'ms': 1e3 * timings[name].median,
                'ms_per_token': 1e3 * timings[name].median / loop[0].shape[1],
                'first_third_ms': statistics.median(steps[:third]),
                'last_third_ms': statistics.median(steps[-third:]),
            }
        )
    report(
        args,
        rows,
        **ratios(timings),
        **acceleration(timings),
        tokens=list(loop[0].shape),
        distinct_tokens=len(loop[0].unique()),
        same_tokens=True,
    )


if __name__ == '__main__':
    main()
