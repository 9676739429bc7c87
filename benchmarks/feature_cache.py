"""Training steps on a frozen encoder of ViT-B's size: features computed each time, against features read.

    python benchmarks/feature_cache.py --out work_dirs/benchmarks/feature_cache.json

Batch 8 at 640x640, the network of configs/encoders behind a ViT-B/16 (DINOv2's) with random weights, GRU for
sentences; forward, backward and optimizer. The first pass, which also writes, is left out. That the losses
agree to 1e-3 is checked.
"""

import argparse
import copy
import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch
from common import WORDS, make_images, make_parser, prepare, ratios, report, take_turns
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData
from torch import nn

from mmrefseg.engine.hooks import FeatureCacheHook
from mmrefseg.utils.places import shipped

CONFIG = 'configs/_base_/models/encoder-res.py'
VIT_B = dict(
    model_type='dinov2',
    patch_size=16,
    image_size=640,
    hidden_size=768,
    num_hidden_layers=12,
    num_attention_heads=12,
)
TOY = dict(VIT_B, hidden_size=32, num_hidden_layers=2, num_attention_heads=2)


class Steps:
    """Training steps of a network on one batch.

    Args:
        args: The options.
        model: Is changed.
        folder: Of the features that are kept; without one they are computed each time.
    """

    def __init__(self, args: argparse.Namespace, model: nn.Module, folder: str | None = None) -> None:
        torch.manual_seed(args.seed)
        images, self.samples = make_images(args)
        self.images = images
        for sample in self.samples:
            height, width = sample.img_shape
            sample.gt_instances = InstanceData(
                bboxes=torch.tensor([[0.0, 0.0, width / 2, height / 2]]),
                has_mask=torch.ones(1, dtype=torch.bool),
                mask_tokens=torch.randint(0, 1000, (1, 2 * args.points)),
                bbox_tokens=torch.randint(0, 1000, (1, 4)),
            )
        self.model = model.train()
        self.hook = None
        if folder:
            self.hook = FeatureCacheHook(folder)
            self.hook.before_run(SimpleNamespace(model=model, logger=MMLogger.get_current_instance()))
        self.learned = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.learned, lr=1e-4)

    def loss(self) -> torch.Tensor:
        """The sum of the losses."""
        losses = self.model.loss(self.images, self.samples)
        return sum(value for name, value in losses.items() if 'loss' in name)

    def step(self) -> None:
        """Forward, backward, update."""
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()

    @torch.no_grad()
    def without_chance(self) -> float:
        """The loss where nothing is random."""
        self.model.eval()
        loss = self.loss().item()
        self.model.train()
        return loss


def build(args: argparse.Namespace) -> nn.Module:
    """The network, its encoder frozen."""
    config = Config.fromfile(shipped(CONFIG)).model
    config.backbone.update(config=TOY if args.toy else VIT_B, frozen=True)
    hidden = config.neck.out_channels // 2
    config.language_model = dict(type='GRUEncoder', vocabulary=dict(words=WORDS), hidden_dims=hidden)
    config.head.codec = dict(type='ContourCodec', num_points=args.points, num_bins=1000, sampling='uniform')
    torch.manual_seed(args.seed)
    return MODELS.build(config)


def main() -> None:
    args = make_parser(__doc__).parse_args()
    prepare(args)
    model = build(args)
    with tempfile.TemporaryDirectory() as folder:
        sides = {'computed': Steps(args, model), 'read': Steps(args, copy.deepcopy(model), folder)}
        plain, kept = (steps.without_chance() for steps in sides.values())
        if abs(plain - kept) > 1e-3 * plain:
            raise SystemExit(f'losses differ: {plain} and {kept}')
        timings = take_turns({name: steps.step for name, steps in sides.items()}, args.repeats)
        size = sum(file.stat().st_size for file in Path(folder).rglob('*.bin'))
        sides['read'].hook.after_run(None)
    rows = [
        {'features': name, 's': timing.median, 'images_per_s': args.batch / timing.median}
        for name, timing in timings.items()
    ]
    difference = abs(plain - kept) / plain
    report(
        args, rows, **ratios(timings), loss_difference=difference, megabytes_an_image=size / args.batch / 1e6
    )


if __name__ == '__main__':
    main()
