"""LAVT from image to mask: as the originals run it, shared by sentences, and accelerated.

    python benchmarks/lavt.py --out work_dirs/benchmarks/lavt.json

Swin-B with windows of 12 and BERT-base at 480 x 480, four images, all masks in the images' own size.
Pair by pair, every image and sentence is computed from the pixels on, and every sentence is read as often
as it occurs. ``plain`` is the same network by its ``predict``, ``accelerated`` what accelerate() makes of it.
All give the same logits and masks, which is checked first.

--sentences says how many sentences an image has, one row each; with several there are fewer images, so
that the pairs stay as many as --batch says.
"""

import argparse
import copy
import statistics
import tempfile
from pathlib import Path

import torch
from common import (
    ROOT,
    WORDS,
    acceleration,
    make_images,
    make_parser,
    prepare,
    ratios,
    report,
    take_turns,
)
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from torch import Tensor, nn

from mmrefseg.models.acceleration import accelerate
from mmrefseg.models.heads.lavt_head import upsample

MODEL_CONFIG = ROOT / 'configs' / '_base_' / 'models' / 'lavt_swin-b-w12.py'
SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
TOY = {
    'backbone': dict(
        embed_dims=16, depths=(1, 1, 2, 1), num_heads=(1, 2, 2, 4), window_size=6, language_channels=48
    ),
    'decode_head': dict(in_channels=(16, 32, 64, 128), channels=64),
    'language_model': dict(
        config=dict(
            num_hidden_layers=1, hidden_size=48, num_attention_heads=4, intermediate_size=64, vocab_size=64
        )
    ),
}
TOLERANCE = 1e-4


def build(args: argparse.Namespace, folder: Path) -> nn.Module:
    """The plain network with weights from the seed."""
    config = Config.fromfile(MODEL_CONFIG).model.to_dict()
    vocabulary = folder / 'vocab.txt'
    vocabulary.write_text('\n'.join([*SPECIAL, *WORDS]))
    config['backbone']['init_cfg'] = None
    config['language_model'].update(path=None, config={}, vocab_file=str(vocabulary))
    for name, values in (TOY if args.toy else {}).items():
        config[name].update(values)
    torch.manual_seed(args.seed)
    model = MODELS.build(config)
    generator = torch.Generator().manual_seed(args.seed)
    with torch.no_grad():
        for module in model.modules():
            # Batch norms whose folding is not trivial, and biases that matter.
            if isinstance(module, nn.BatchNorm2d):
                for value, low, high in (
                    (module.weight, 0.8, 1.2), (module.bias, -0.1, 0.1), (module.running_mean, -0.1, 0.1),
                    (module.running_var, 0.5, 1.5),
                ):  # fmt: skip
                    value.uniform_(low, high, generator=generator)
            if hasattr(module, 'relative_position_bias_table'):
                module.relative_position_bias_table.normal_(0, 0.5, generator=generator)
    return model.eval()


def normalise(images: Tensor) -> Tensor:
    """What the data preprocessor does."""
    mean, std = (
        torch.tensor(v).view(1, 3, 1, 1) for v in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    )
    return (images - mean) / std


def pair_by_pair(model: nn.Module, images: Tensor, samples: list) -> tuple[Tensor, list]:
    """Every pair on its own: logits of all pairs, and the masks in each image's frame."""
    repeated = torch.cat(
        [p[None].expand(len(s.expressions), -1, -1, -1) for p, s in zip(images, samples, strict=True)]
    )
    sentences = [text for sample in samples for text in sample.expressions]
    tokens = model.language_model.tokenize(sentences)
    logits = model.decode_head(model.extract_feat(repeated, tokens))
    size = tuple(images.shape[-2:])
    parts = logits.split([len(sample.expressions) for sample in samples])
    masks = [model._instances(own, sample, size, True) for own, sample in zip(parts, samples, strict=True)]
    return logits, masks


def on_edge(logits: Tensor, sample: DetDataSample, size: tuple[int, int]) -> Tensor:
    """Pixels (N, H, W) whose two logits (N, 2, h, w) are equal within what logits may differ by.

    They are inside or outside as rounding goes.
    """
    height, width = sample.img_shape[:2]
    full = upsample(logits, size)[..., :height, :width]
    outside, inside = upsample(full, tuple(sample.ori_shape[:2])).unbind(1)
    return (inside - outside).abs() <= 2 * TOLERANCE


def predict(model: nn.Module, images: Tensor, samples: list) -> list:
    """``predict``, as tools/test.py runs it."""
    return [sample.pred_instances for sample in model.predict(images, samples)]


def compare(ours: nn.Module, plain: nn.Module, images: Tensor, samples: list) -> tuple[float, float]:
    """The largest difference of logits, and the largest logit; ends the program if they differ."""
    expected, masks = pair_by_pair(plain, images, samples)
    logits: list[Tensor] = []
    handle = ours.decode_head.register_forward_hook(lambda _m, _i, output: logits.append(output))
    results = predict(ours, images, samples)
    handle.remove()
    difference = float((torch.cat(logits) - expected).abs().max())
    if difference > TOLERANCE:
        raise SystemExit(f'logits differ by {difference:.2g}, more than {TOLERANCE:g}')
    parts = expected.split([len(sample.expressions) for sample in samples])
    for found, wanted, own, sample in zip(results, masks, parts, samples, strict=True):
        edge = on_edge(own, sample, tuple(images.shape[-2:]))
        unlike = int(((found.masks != wanted.masks) & ~edge).sum())
        if unlike:
            raise SystemExit(f'{unlike} pixels of masks differ')
    return difference, float(expected.abs().max())


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__, batch=4, size=480, repeats=3)
    parser.add_argument('--sentences', type=int, nargs='+', default=[1, 3], help='of an image, one row each')
    return parser.parse_args()


def measure(args: argparse.Namespace, plain: nn.Module, fast: nn.Module, count: int) -> tuple[list, dict]:
    """Rows of the table for ``count`` sentences an image, and what else was found."""
    images, samples = make_images(args, [count] * max(1, args.batch // count))
    images = normalise(images)
    for sample in samples:  # stretched, as LAVT's images are
        sample.set_metainfo(dict(img_shape=(args.size, args.size)))
    difference, largest = compare(fast, plain, images, samples)
    sides = {
        'pair by pair': lambda: pair_by_pair(plain, images, samples),
        'plain': lambda: predict(plain, images, samples),
        'accelerated': lambda: predict(fast, images, samples),
    }
    timings = take_turns(sides, args.repeats, warm_up=0)  # the comparison was one
    rows = [
        {
            'path': name,
            'sentences': count,
            'images': len(samples),
            'seconds': timing.median,
            'cpu_seconds': statistics.median(timing.cpu_seconds),
        }
        for name, timing in timings.items()
    ]
    facts = {f'{name}_{count}': value for name, value in (ratios(timings) | acceleration(timings)).items()}
    return rows, facts | {f'difference_{count}': difference, f'largest_logit_{count}': largest}


@torch.no_grad()
def main() -> None:
    args = parse_args()
    prepare(args)
    with tempfile.TemporaryDirectory() as folder:
        plain = build(args, Path(folder))
    fast = accelerate(copy.deepcopy(plain))
    rows, facts = [], {}
    for count in args.sentences:
        table, found = measure(args, plain, fast, count)
        rows += table
        facts |= found
    report(args, rows, **facts)


if __name__ == '__main__':
    main()
