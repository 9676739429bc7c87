"""What the benchmarks share: options, timing in turns, the network, a table and a json file."""

import argparse
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from torch import Tensor, nn

import mmrefseg.registration  # noqa: F401  (registers what the configs name)
from mmrefseg.models.backbones.darknet53 import DarkStage
from mmrefseg.utils import dump_json

ROOT = Path(__file__).resolve().parents[1]
MODEL_CONFIG = ROOT / 'configs' / '_base_' / 'models' / 'partial-res_darknet53.py'
WORDS = ['left', 'right', 'man', 'woman', 'red', 'blue', 'shirt', 'car', 'the', 'in', 'on', 'of', 'front']

# The network of --toy: every part of the real one, of a size that tests can afford.
TOY = {
    'backbone': dict(base_channels=4, stage_blocks=(1, 1, 1, 1, 1), neck_blocks=1),
    'language_model': dict(embed_dims=8, hidden_dims=32),
    'neck': dict(in_channels=(32, 64, 128), out_channels=64),
    'head': dict(
        in_channels=64, embed_dims=64, num_heads=4, feedforward_channels=64, num_encoder_layers=2,
        num_decoder_layers=2,
    ),
}  # fmt: skip


def make_parser(doc: str, batch: int = 8, size: int = 640, repeats: int = 5) -> argparse.ArgumentParser:
    """The options of every benchmark; ``doc`` is the module's docstring."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument('--threads', type=int, default=2, help='threads of PyTorch (default: 2)')
    parser.add_argument('--repeats', type=int, default=repeats, help=f'the median of so many ({repeats})')
    parser.add_argument('--batch', type=int, default=batch, help=f'images ({batch})')
    parser.add_argument('--size', type=int, default=size, help=f'pixels of the longer side ({size})')
    parser.add_argument('--points', type=int, default=18, help='vertices of a contour (18)')
    parser.add_argument('--seed', type=int, default=0, help='of weights and inputs')
    parser.add_argument('--toy', action='store_true', help='a tiny network, to see that all works')
    add_out(parser)
    return parser


def add_out(parser: argparse.ArgumentParser) -> None:
    """``--out``."""
    parser.add_argument('--out', metavar='FILE', help='write the table to this json file')


def prepare(args: argparse.Namespace) -> None:
    """Threads, seed, and mmdet's registries as the default."""
    warnings.filterwarnings('ignore')
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    init_default_scope('mmdet')


def build_model(
    args: argparse.Namespace, tiny: Sequence[str] = (), head: dict[str, Any] | None = None
) -> nn.Module:
    """Partial-RES as in the configs, with weights from the seed, in evaluation mode.

    Args:
        args: The options.
        tiny: Parts that are not measured and may be tiny.
        head: What is other in the head.
    """
    torch.manual_seed(args.seed)
    return settle(MODELS.build(network_config(args, tiny, head)), args.size)


def network_config(
    args: argparse.Namespace, tiny: Sequence[str] = (), head: dict[str, Any] | None = None
) -> ConfigDict:
    """Of :func:`build_model`'s network."""
    config = Config.fromfile(MODEL_CONFIG).model
    config.backbone.init_cfg = None
    config.language_model.vocabulary = dict(words=WORDS)
    config.head.codec = dict(type='ContourCodec', num_points=args.points, num_bins=1000, sampling='uniform')
    for part, changes in TOY.items():
        if args.toy or part in tiny:
            config[part].update(changes)
    config.head.update(head or {})
    return config


def settle(model: nn.Module, size: int) -> nn.Module:
    """Make a new network of :func:`network_config` one that computes as a trained one does.

    No sequence ends early, since the end token's bias forbids it: decoding takes all its steps, as it
    does for most real contours. Batch norms get statistics that fit, and scales and shifts that are
    not 1 and 0, so that nothing that is folded is trivial.

    Args:
        model: Changed in place.
        size: Pixels of the images' longer side.
    """
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.8, 1.2)
                module.bias.uniform_(-0.1, 0.1)
        for module in model.backbone.modules():
            if isinstance(module, DarkStage) and module.shortcut:
                # As in trained networks, blocks add little: else each makes the rounding errors larger.
                for block in module.blocks:
                    block[1].bn.weight.mul_(0.1)
        _settle_statistics(model, size)
        for layer in model.head.predictor:
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(3)  # tokens that differ from position to position
        model.head.predictor[-1].bias[-1] = -1e4
    return model.eval()


def _settle_statistics(model: nn.Module, size: int) -> None:
    """One pass of images through backbone and neck sets the batch norms' running statistics.

    The images are like those of the benchmark, as large and half of them padded. With others the statistics
    are so far off that the network makes thousands of its rounding errors.
    """
    model.eval()  # without dropout
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    images = smooth_noise(2, size)
    images[0, :, 3 * size // 4 :] = 0
    model.neck.forward_vision(model.extract_feat(images))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def smooth_noise(number: int, size: int) -> Tensor:
    """Images (number, 3, size, size) of blobs, 0..255."""
    noise = torch.rand(number, 3, size // 16, size // 16) * 255
    return nn.functional.interpolate(noise, size=(size, size), mode='bilinear')


def make_images(args: argparse.Namespace, counts: list[int] | None = None) -> tuple[Tensor, list]:
    """A batch as the data preprocessor gives it.

    Every other image is landscape 4:3, as most of COCO's, and padded to the square.

    Args:
        args: ``batch`` and ``size``.
        counts: Expressions of each image (one each).

    Returns:
        Images (B, 3, size, size) of smoothed noise, 0..255, and their samples.
    """
    counts = counts or [1] * args.batch
    size = args.size
    images = smooth_noise(len(counts), size)
    samples = []
    for index, count in enumerate(counts):
        height = size if index % 2 else 3 * size // 4
        images[index, :, height:] = 0
        sentences = [' '.join(WORDS[(i + k) % len(WORDS)] for k in range(2 + i % 5)) for i in range(count)]
        sample = DetDataSample(
            metainfo=dict(
                img_id=index,
                ori_shape=(height, size),
                img_shape=(height, size),
                scale_factor=(1.0, 1.0),
                expressions=sentences,
                ref_ids=list(range(count)),
                sent_ids=list(range(count)),
            )
        )
        samples.append(sample)
    return images, samples


@dataclass
class Timing:
    """Seconds of one side of a comparison, and of processor time, one per repetition."""

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def take_turns(sides: dict[str, Callable[[], Any]], repeats: int, warm_up: int = 1) -> dict[str, Timing]:
    """Time several ways to do a thing in turns, so that what else the machine does falls on all of them.

    Args:
        sides: What to time, by name.
        repeats: Measurements of each.
        warm_up: Rounds before the first measurement.
    """
    timings = {name: Timing() for name in sides}
    for round_ in range(-warm_up, repeats):
        for name, run in sides.items():
            start, cpu_start = time.perf_counter(), time.process_time()
            run()
            seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
            if round_ >= 0:
                timings[name].seconds.append(seconds)
                timings[name].cpu_seconds.append(cpu_seconds)
    return timings


def ratios(timings: dict[str, Timing], slow: str | None = None, fast: str | None = None) -> dict[str, float]:
    """How many times faster one side is than another: the median of the rounds' ratios.

    ``cpu_ratio`` is the same of processor time, which other processes disturb less.

    Args:
        timings: Of all sides, by name.
        slow: The first side if it is left out.
        fast: The last side if it is left out.
    """
    names = list(timings)
    slow, fast = timings[slow or names[0]], timings[fast or names[-1]]

    def median(a: list[float], b: list[float]) -> float:
        return statistics.median(x / y for x, y in zip(a, b, strict=True))

    return {
        'ratio': median(slow.seconds, fast.seconds),
        'cpu_ratio': median(slow.cpu_seconds, fast.cpu_seconds),
    }


def machine() -> dict[str, Any]:
    """Processor, cores, versions, and how busy the machine is."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.is_file():
        names = [line.split(':', 1)[1].strip() for line in cpuinfo.open() if line.startswith('model name')]
        model = names[0] if names else model
    return {
        'cpu': model,
        'cores': os.cpu_count(),
        'torch': torch.__version__,
        'threads': torch.get_num_threads(),
        'load_average': round(os.getloadavg()[0], 2),
    }


def acceleration(timings: dict[str, Timing]) -> dict[str, float]:
    """:func:`ratios` of the plain and the accelerated network, named so."""
    found = ratios(timings, 'plain', 'accelerated')
    return {f'{name}_of_acceleration': value for name, value in found.items()}


def report(args: argparse.Namespace, rows: list[dict[str, Any]], **facts: Any) -> None:
    """Print the table and the other findings; write both, with machine and options, to ``--out``.

    Args:
        args: The options.
        rows: The table, one dict per row with the same keys.
        facts: Findings besides the table, e.g. ``ratio``.
    """
    here = machine()
    print(f'{here["cpu"]}, {here["cores"]} cores, {here["threads"]} threads, load {here["load_average"]}')
    print_table(rows)
    for name, value in facts.items():
        print(f'{name.replace("_", " ")}: {_text(value)}')
    if args.out:
        Path(args.out).parent.mkdir(parents=True, exist_ok=True)
        options = {
            key: str(value) if isinstance(value, Path) else value
            for key, value in vars(args).items()
            if key != 'out'
        }
        dump_json({'machine': here, 'options': options, 'rows': rows, **facts}, args.out, indent=2)


def print_table(rows: list[dict[str, Any]]) -> None:
    """Columns of the rows' keys, text to the left and numbers to the right."""
    lines = [[key.replace('_', ' ') for key in rows[0]]]
    lines += [[_text(value) for value in row.values()] for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    left = [isinstance(value, str) for value in rows[0].values()]
    for line in lines:
        cells = zip(line, widths, left, strict=True)
        print(
            '  '.join(text.ljust(width) if to_left else text.rjust(width) for text, width, to_left in cells)
        )


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f'{value:.3g}' if abs(value) < 100 else f'{value:.0f}'
    return str(value)
