"""The goldens of SeqTR and Partial-RES: the original's weights in our modules, and its recorded numbers."""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import MODELS

from mmrefseg.checkpoints import SEQTR_KEYS
from mmrefseg.models.heads import ImageSizes

NAMES = [
    'A_seqtr_rec',
    'B_seqtr_res_ray12',
    'B_seqtr_res_ray18',
    'C_seqtr_multitask',
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
    left_over: list
    incompatible: object


def reference_weights(golden_dir: Path):
    """The module ``reference_weights.py`` of the goldens."""
    spec = importlib.util.spec_from_file_location('reference_weights', golden_dir / 'reference_weights.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def model_config(name: str) -> dict:
    """Our config of the original that made a golden, with its conventions."""
    partial = 'partial' in name
    box = 'rec' in name or 'multitask' in name
    points = 18 if 'ray18' in name or name == 'C_seqtr_multitask' else 12
    return dict(
        type='SeqTR',
        backbone=dict(type='DarkNet53'),
        language_model=dict(
            type='GRUEncoder',
            vocabulary=dict(words=[f'word{i}' for i in range(497)]),
            legacy_padding=True,
        ),
        neck=dict(type='MultiscaleFusion'),
        head=dict(
            type='SeqTRHead',
            codec=dict(type='ContourCodec', num_points=points, num_bins=1000, legacy=True),
            with_box=box,
            with_mask='rec' not in name,
            language_token=partial,
            task_prompt=partial,
            co_content=partial,
            point_modulation=partial,
            legacy=True,
        ),
    )


def load_golden(golden_dir: Path, name: str) -> Golden:
    """Build the model, load the reference weights through the key map, read the arrays."""
    folder = golden_dir / 'seqtr'
    meta = json.loads((folder / f'{name}_scaled.json').read_text())
    weights = reference_weights(golden_dir).make_state_dict(
        str(folder / meta['spec']), seed=meta['weight_seed'], scales=meta['post_scale']
    )
    mapped = SEQTR_KEYS({key: torch.from_numpy(value) for key, value in weights.items()})
    model = MODELS.build(model_config(name))
    incompatible = model.load_state_dict(mapped.state, strict=False)
    inputs = np.load(folder / 'inputs_main.npz')
    sizes = ImageSizes(
        torch.from_numpy(inputs['meta_img_shape'][:, :2]),
        torch.from_numpy(inputs['meta_pad_shape'][:, :2]).float(),
        (256, 320),
    )
    return Golden(
        name,
        model.eval(),
        dict(np.load(folder / f'{name}_scaled.npz')),
        meta,
        torch.from_numpy(inputs['img_uint8']).permute(0, 3, 1, 2).float(),
        torch.from_numpy(inputs['ref_expr_inds']),
        sizes,
        mapped.left_over,
        incompatible,
    )
