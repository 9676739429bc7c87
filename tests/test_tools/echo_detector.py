"""A detector that sees the truth, a little moved: metrics above zero without training."""

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures.bbox import get_box_tensor
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch import nn


@MODELS.register_module()
class EchoDetector(BaseModel):
    """Predicts the ground truth of each image, moved, by numbers that depend on the image alone."""

    def __init__(self) -> None:
        super().__init__(data_preprocessor=dict(type='DetDataPreprocessor'))
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        """The interface of mmengine; only ``predict`` is meant."""
        for sample in data_samples:
            rng = np.random.default_rng(sample.img_id)
            truth = sample.gt_instances
            count = len(truth)
            moved = np.roll(truth.masks.masks, rng.integers(-3, 4, 2), (1, 2)).astype(bool)
            sample.pred_instances = InstanceData(
                bboxes=get_box_tensor(truth.bboxes) + torch.from_numpy(rng.normal(0, 3, (count, 4))).float(),
                labels=torch.where(torch.from_numpy(rng.random(count) < 0.8), truth.labels, 0),
                scores=torch.from_numpy(rng.random(count)).float(),
                masks=torch.from_numpy(moved),
            )
        return data_samples
