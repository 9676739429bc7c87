"""A SeqTR small enough for unit tests, and a batch for it."""

import zlib

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

WORDS = ['red', 'blue', 'star', 'circle', 'left', 'right', 'the']
EXPRESSIONS = ['the red star', 'blue circle', 'the left circle', 'the star']


def tiny_config(**head) -> dict:
    """64-pixel images, stride 16, 6 points, 16 bins."""
    return dict(
        type='SeqTR',
        data_preprocessor=dict(
            type='DetDataPreprocessor', mean=[128.0] * 3, std=[64.0] * 3, pad_size_divisor=32
        ),
        backbone=dict(
            type='DarkNet53', base_channels=4, stage_blocks=(1, 1, 1, 1), neck_blocks=1,
            out_indices=(4, 6, 11),
            frozen_layers=0,
        ),
        language_model=dict(
            type='GRUEncoder', vocabulary=dict(words=WORDS), embed_dims=8, hidden_dims=16, max_tokens=6
        ),
        neck=dict(type='MultiscaleFusion', in_channels=(16, 32, 64), out_channels=32),
        head=dict(
            type=head.pop('type', 'SeqTRHead'),
            codec=dict(type='ContourCodec', num_points=6, num_bins=16, sampling='even'),
            in_channels=32, embed_dims=32, num_heads=2, feedforward_channels=64,
            num_encoder_layers=1, num_decoder_layers=2, dropout=0.0,
            **head,
        ),
    )  # fmt: skip


def build_tiny(seed: int = 0, **head) -> torch.nn.Module:
    """The model of :func:`tiny_config` with weights from a seed, in evaluation mode."""
    init_default_scope('mmdet')
    torch.manual_seed(seed)
    return MODELS.build(tiny_config(**head)).eval()


def fill_by_name(model: torch.nn.Module) -> torch.nn.Module:
    """Weights that depend on each parameter's name and shape alone, not on the order of building."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
            values = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                parameter.copy_(values * parameter[0].numel() ** -0.5)
            else:
                parameter.copy_(0.1 * values + name.endswith('weight'))
    return model


PARTIAL = dict(language_token=True, task_prompt=True, co_content=True, point_modulation=True)


def make_batch(sizes=((64, 64), (48, 64)), pairs=(3, 1), seed=0) -> dict:
    """Random images with ``pairs`` expressions each, as a pipeline packs them."""
    generator = torch.Generator().manual_seed(seed)
    inputs, samples, first = [], [], 0
    for (height, width), count in zip(sizes, pairs, strict=True):
        inputs.append(torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8))
        sample = DetDataSample(
            metainfo=dict(
                img_id=len(samples), ori_shape=(2 * height, 2 * width), img_shape=(height, width),
                scale_factor=(0.5, 0.5), expressions=EXPRESSIONS[first : first + count],
                ref_ids=list(range(first, first + count)), sent_ids=list(range(first, first + count)),
            )
        )  # fmt: skip
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor([[8.0, 8.0, 40.0, 44.0]]).repeat(count, 1),
            labels=torch.ones(count, dtype=torch.long),
            has_mask=torch.ones(count, dtype=torch.bool),
            bbox_tokens=torch.randint(0, 16, (count, 4), generator=generator),
            mask_tokens=torch.randint(0, 16, (count, 12), generator=generator),
            masks=BitmapMasks([torch.zeros(2 * height, 2 * width).numpy()] * count, 2 * height, 2 * width),
        )
        samples.append(sample)
        first += count
    return dict(inputs=inputs, data_samples=samples)
