"""The goldens of SeqTR and Partial-RES: original weights through our converter, and recorded numbers."""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import DefaultScope
from without_init import WithoutInit

from mmrefseg.checkpoints.from_seqtr import convert_checkpoint
from mmrefseg.models.heads.seqtr_head import ImageSizes

NAMES = [
    'A_seqtr_rec',
    'B_seqtr_res_ray12',
    'B_seqtr_res_ray18',
    'C_seqtr_multitask',
    'C_partial_multitask',
    'D_partial_res_ray12',
    'D_partial_res_ray18',
    'E_partial_rec',
]


@dataclass
class Golden:
    """One golden: our model with its weights, its inputs and what the original computed."""

    name: str
    model: torch.nn.Module
    arrays: dict
    meta: dict
    images: torch.Tensor
    token_ids: torch.Tensor
    sizes: ImageSizes
    inputs: dict
    config: Config

    def samples(self) -> list[DetDataSample]:
        """The images' sizes as a pipeline would give them, with one expression each."""
        names = ('meta_img_shape', 'meta_ori_shape', 'meta_scale_factor')
        metas = zip(*(self.inputs[name] for name in names), strict=True)
        return [
            DetDataSample(
                metainfo=dict(
                    img_shape=tuple(image[:2]),
                    ori_shape=tuple(original[:2]),
                    scale_factor=tuple(scale[:2]),
                    expressions=['its word indices are recorded'],
                )
            )
            for image, original, scale in metas
        ]


def reference_weights(golden_dir: Path):
    """The module ``reference_weights.py`` of the goldens."""
    spec = importlib.util.spec_from_file_location('reference_weights', golden_dir / 'reference_weights.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def original_weights(golden_dir: Path, name: str) -> dict[str, torch.Tensor]:
    """The state dict that the original was filled with."""
    folder = golden_dir / 'seqtr'
    meta = json.loads((folder / f'{name}_scaled.json').read_text())
    weights = reference_weights(golden_dir).make_state_dict(
        str(folder / meta['spec']), seed=meta['weight_seed'], scales=meta['post_scale']
    )
    return {key: torch.from_numpy(value) for key, value in weights.items()}


def golden_model(config: Config) -> torch.nn.Module:
    """The model of a converted checkpoint's config, with as many words as the goldens have."""
    model = config.model.copy()
    model.language_model.vocabulary = dict(words=[f'word{i}' for i in range(497)])
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(model)


def load_golden(golden_dir: Path, name: str) -> Golden:
    """Convert the reference weights, build the model of the converter's config, read the arrays."""
    folder = golden_dir / 'seqtr'
    state = {f'module.{key}': value for key, value in original_weights(golden_dir, name).items()}
    conversion = convert_checkpoint({'state_dict': state}, name)
    conversion.report.require_complete(name)
    config = conversion.config()
    with WithoutInit():
        model = golden_model(config)
    model.load_state_dict(conversion.report.state, strict=True)
    inputs = dict(np.load(folder / 'inputs_main.npz'))
    sizes = ImageSizes(
        torch.from_numpy(inputs['meta_img_shape'][:, :2]),
        torch.from_numpy(inputs['meta_pad_shape'][:, :2]).float(),
        (256, 320),
    )
    return Golden(
        name,
        model.eval(),
        dict(np.load(folder / f'{name}_scaled.npz')),
        json.loads((folder / f'{name}_scaled.json').read_text()),
        # As a pipeline packs them; with channels last, batch norm sums in float32, 500 times less exact.
        torch.from_numpy(inputs['img_uint8']).permute(0, 3, 1, 2).float().contiguous(),
        torch.from_numpy(inputs['ref_expr_inds']),
        sizes,
        inputs,
        config,
    )
