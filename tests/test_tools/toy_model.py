"""A model of a few hundred weights with the interface of the real ones, for configs' custom_imports."""

import os

import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch import nn

import mmrefseg.registration  # noqa: F401  (registers what the config names)


@MODELS.register_module()
class ToyRefModel(BaseModel):
    """Logits at stride 4 from one convolution and the expression's number of words; dropout makes it random.

    With TOY_DIE_AT=n in the environment, the process is gone at the n-th training step, as after a power cut.
    """

    def __init__(self, channels: int = 8, data_preprocessor: dict | None = None) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.steps_to_live = int(os.environ.get('TOY_DIE_AT', -1))
        self.vision = nn.Conv2d(3, channels, 9, stride=4, padding=4)
        self.language = nn.Embedding(16, channels)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Conv2d(channels, 1, 1)

    def logits(self, inputs, data_samples):
        words = [len(sample.expressions[0].split()) % 16 for sample in data_samples]
        language = self.language(torch.tensor(words, device=inputs.device))
        fused = torch.tanh(self.vision(inputs / 255)) * torch.tanh(language)[:, :, None, None]
        return self.head(self.dropout(fused))[:, 0]

    def forward(self, inputs, data_samples=None, mode='tensor'):
        logits = self.logits(inputs, data_samples)
        if mode == 'tensor':
            return logits
        if mode == 'loss':
            self.steps_to_live -= 1
            if self.steps_to_live == 0:
                os._exit(137)
            masks = [
                sample.gt_instances.masks.to_tensor(torch.float32, inputs.device) for sample in data_samples
            ]
            target = nn.functional.interpolate(torch.stack(masks), size=logits.shape[-2:])[:, 0]
            return {'loss_mask': nn.functional.binary_cross_entropy_with_logits(logits, target)}
        scores = nn.functional.interpolate(logits[:, None], size=inputs.shape[-2:], mode='bilinear').sigmoid()
        for sample, score in zip(data_samples, scores, strict=True):
            height, width = sample.ori_shape
            mask = score[0, :height, :width] > score.mean()
            y, x = torch.nonzero(mask | (score[0, :height, :width] >= score.max())).T
            box = torch.stack([x.min(), y.min(), x.max(), y.max()]).float()
            sample.pred_instances = InstanceData(
                bboxes=box[None], masks=mask[None], scores=score.max()[None], labels=torch.zeros(1, dtype=int)
            )
        return data_samples
