"""Images in, objects out: boxes, classes, masks."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmdet.registry import DATASETS, MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from PIL import Image

from ..compat.checkpoint import load_checkpoint_file
from ..datasets.images import as_bgr
from ..models.acceleration import accelerate
from ..runs.device import choose_device
from ..utils import parse_json
from .checkpoint_config import config_for
from .loading import load_weights

# What needs annotations has no place in inference; images are loaded with one-sentence errors.
LEFT_OUT = {'LoadAnnotations', 'LoadImageFromFile', 'LoadRefImage'}


class InstanceInferencer:
    """Find the objects of an image with a detector of mmdet's kind, such as Mask R-CNN.

    Example::

        inferencer = InstanceInferencer('configs/mask_rcnn/....py', 'work_dirs/.../latest.pth')
        found = inferencer('street.jpg').pred_instances
        found.masks, [inferencer.classes[label] for label in found.labels]

    Args:
        config: Config file, or a config that is loaded; None for the one that the checkpoint carries.
        checkpoint: Weights of the config's model.
        device: Torch device; a GPU if there is one.
        score_threshold: Least score of an object, in [0, 1); None for the config's.
        accelerated: Compute by :func:`accelerate`: faster, the same results but for rounding.

    Raises:
        UserInputError: If the checkpoint does not fit the model, or there is no such device.
    """

    def __init__(
        self,
        config: str | os.PathLike | Config | None,
        checkpoint: str | os.PathLike,
        device: str | None = None,
        score_threshold: float | None = None,
        accelerated: bool = True,
    ) -> None:
        self.config = config_for(config, checkpoint)
        init_default_scope(self.config.get('default_scope', 'mmdet'))
        self.score_threshold = score_threshold
        if score_threshold is not None:
            set_score_threshold(self.config.model, score_threshold)
        device = choose_device(device)
        self.model = MODELS.build(self.config.model)
        state = load_checkpoint_file(checkpoint)
        load_weights(self.model, state, str(checkpoint))
        self.model.to(device).eval()
        if accelerated:
            accelerate(self.model)
        self.classes = class_names(self.config, state)
        pipeline = self.config.test_dataloader.dataset.pipeline
        backend = next((step['imdecode_backend'] for step in pipeline if 'imdecode_backend' in step), None)
        self.load = Compose([dict(type='LoadRefImage', imdecode_backend=backend or 'cv2')])
        self.pipeline = Compose([step for step in pipeline if step['type'] not in LEFT_OUT])

    def read(self, image: str | os.PathLike | np.ndarray | Image.Image) -> np.ndarray:
        """Read an image, a file as the config's pipeline does, turned upright as its EXIF data says.

        Returns:
            (H, W, 3) uint8, BGR.

        Raises:
            UserInputError: If it is no image.
        """
        if isinstance(image, str | os.PathLike):
            return self.load({'img_path': str(image)})['img']
        return as_bgr(image)

    def __call__(self, image: str | os.PathLike | np.ndarray | Image.Image) -> DetDataSample:
        """Predict for one image.

        Args:
            image: A file, a PIL image, or an array of uint8: (H, W, 3) BGR, or (H, W) grey.

        Returns:
            The sample with ``pred_instances`` in the image's own frame, best first.

        Raises:
            UserInputError: If it is no image.
        """
        return self.run(pseudo_collate([self.prepare(self.read(image))]))[0]

    def prepare(self, image: np.ndarray) -> dict[str, Any]:
        """What the network takes of an image (H, W, 3) uint8 BGR: ``inputs`` and ``data_samples``."""
        shape = image.shape[:2]
        return self.pipeline(dict(img=image, img_id=0, img_path='', img_shape=shape, ori_shape=shape))

    def run(self, batch: dict[str, Any]) -> list[DetDataSample]:
        """Predict for what :meth:`prepare` has made, collated."""
        with torch.no_grad():
            samples = self.model.test_step(batch)
        for sample in samples if self.score_threshold is not None else ():
            kept = sample.pred_instances.scores > self.score_threshold
            sample.pred_instances = sample.pred_instances[kept]
        return samples


def set_score_threshold(model: Config, threshold: float) -> None:
    """Let a detector drop objects below a score before it suppresses and pastes masks."""
    settings = model.get('test_cfg') or {}
    settings = settings.get('rcnn', settings)
    if 'score_thr' in settings:
        settings['score_thr'] = threshold


def class_names(config: Config, state: Mapping) -> list[str]:
    """Names of the classes: the checkpoint's, else those of the config's test set.

    Args:
        config: With ``test_dataloader``.
        state: A checkpoint, whose ``meta`` may hold ``dataset_meta``.
    """
    meta = _dataset_meta(state.get('meta') or {})
    dataset = config.test_dataloader.dataset
    known = getattr(DATASETS.get(dataset['type']), 'METAINFO', {})
    for source in (meta, dataset.get('metainfo') or {}, known):
        classes = source.get('classes') or source.get('CLASSES')
        if classes:
            return [str(name) for name in classes]
    return []


def _dataset_meta(meta: Mapping) -> Mapping:
    """A checkpoint's ``dataset_meta``; in a safetensors file it is json."""
    found = meta.get('dataset_meta') or (meta.get('safetensors') or {}).get('dataset_meta') or {}
    found = parse_json(found, 'dataset_meta') if isinstance(found, str) else found
    return found if isinstance(found, Mapping) else {}
