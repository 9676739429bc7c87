"""detectron2's numbers, and our model with the same weights, through the converter."""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import MODELS, TRANSFORMS
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from torch import nn
from without_init import WithoutInit

from mmrefseg.checkpoints.conversion_report import ConversionReport, expected_shapes
from mmrefseg.checkpoints.from_detectron2 import read_detectron2

ROOT = Path(__file__).parents[2]
NAMES = {'maskrcnn_r50_fpn_1x': 'r50-caffe_fpn_1x', 'maskrcnn_r101_fpn_3x': 'r101-caffe_fpn_3x'}


@dataclass
class Golden:
    """What the original computed, and what we compute."""

    arrays: dict[str, np.ndarray]
    rle: list[dict]
    report: ConversionReport
    model: nn.Module
    data: dict
    features: tuple
    levels: tuple
    rpn: tuple
    proposals: object
    box_results: dict
    network: object
    detections: object
    mask_probabilities: torch.Tensor


def reference_weights(folder: Path, spec: str, scales: str | None = None) -> dict[str, np.ndarray]:
    """The weights that the original was run with."""
    sys.path.insert(0, str(folder.parent))
    try:
        from reference_weights import make_state_dict
    finally:
        sys.path.pop(0)
    factors = json.loads((folder / scales).read_text()) if scales else {}
    patterns = [(f'^{re.escape(key)}$', factor) for key, factor in factors.items()]
    return make_state_dict(str(folder / spec), scales=patterns)


def load_config(name: str) -> Config:
    """The shipped config without a pretrained backbone."""
    config = Config.fromfile(ROOT / f'configs/mask_rcnn/mask-rcnn_{NAMES[name]}_coco.py')
    config.model.backbone.init_cfg = None
    return config


def prepare(config: Config, image: np.ndarray) -> dict:
    """One image through the config's test pipeline, from behind the decoder."""
    skipped = ('LoadImageFromFile', 'LoadAnnotations')
    steps = [TRANSFORMS.build(step) for step in config.test_pipeline if step['type'] not in skipped]
    shape = image.shape[:2]
    results = dict(img=image.copy(), img_shape=shape, ori_shape=shape, img_id=0, img_path='')
    return Compose(steps)(results)


def load_golden(golden_dir: Path, name: str, folder: Path) -> Golden:
    """Convert the reference weights from a checkpoint file of detectron2's form and run the model once."""
    lavt = golden_dir / 'lavt'
    arrays = dict(np.load(lavt / f'd2_{name}_scaled.npz'))
    state = reference_weights(lavt, f'spec_d2_{name}.json', f'd2_{name}_scaled.scales.json')
    file = folder / 'model_final.pth'  # the .pkl of the zoo: tests/test_tools/test_detectron2_converter.py
    torch.save({'model': {key: torch.from_numpy(value) for key, value in state.items()}}, file)
    config = load_config(name)
    with WithoutInit():
        model = MODELS.build(config.model).eval()
    checkpoint = read_detectron2(file)
    file.unlink()
    report = ConversionReport.compare(checkpoint.mapped, expected_shapes(model), checkpoint.notes)
    model.load_state_dict(report.state)
    packed = prepare(config, arrays['image_bgr_uint8'])
    with torch.no_grad():
        computed = run(model, packed)
    rle = json.loads((lavt / f'd2_{name}_scaled.rle.json').read_text())['rle']
    return Golden(arrays=arrays, rle=rle, report=report, model=model, **computed)


def run(model: nn.Module, packed: dict) -> dict:
    """Every stage of one prediction."""
    data = model.data_preprocessor(pseudo_collate([packed]), False)
    samples = data['data_samples']
    metas = [sample.metainfo for sample in samples]
    features = model.backbone(data['inputs'])
    levels = model.neck(features)
    rpn = model.rpn_head(levels)
    proposals = model.rpn_head.predict_by_feat(*rpn, batch_img_metas=metas, rescale=False)
    head = model.roi_head
    boxes = proposals[0].bboxes[:50]
    box_results = head._bbox_forward(levels, torch.cat([boxes.new_zeros(len(boxes), 1), boxes], 1))
    network = head.predict_bbox(levels, metas, proposals, head.test_cfg, rescale=False)[0]
    rois = torch.cat([network.bboxes.new_zeros(len(network), 1), network.bboxes], 1)
    masks = head._mask_forward(levels, rois)['mask_preds'].sigmoid()
    return dict(
        data=dict(inputs=data['inputs'], packed=packed, meta=metas[0]),
        features=features,
        levels=levels,
        rpn=rpn,
        proposals=proposals[0],
        box_results=box_results,
        network=network,
        detections=head.predict(levels, proposals, samples, rescale=True)[0],
        mask_probabilities=masks[torch.arange(len(masks)), network.labels],
    )
