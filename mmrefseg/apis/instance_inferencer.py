"""Images in, objects out: boxes, classes, masks."""

import os
from collections.abc import Mapping, Sequence

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
from ..runs.config import load_config
from .loading import choose_device, load_weights

# What needs annotations has no place in inference; images are loaded with one-sentence errors.
LEFT_OUT = {'LoadAnnotations', 'LoadImageFromFile', 'LoadRefImage'}


class InstanceInferencer:
    """Find the objects of an image with a detector of mmdet's kind, such as Mask R-CNN.

    Example::

        inferencer = InstanceInferencer('configs/mask_rcnn/....py', 'work_dirs/.../latest.pth')
        found = inferencer('street.jpg').pred_instances
        found.masks, [inferencer.classes[label] for label in found.labels]

    Args:
        config: Config file, or a config that is loaded.
        checkpoint: Weights of the config's model.
        device: Torch device; a GPU if there is one.
        score_threshold: Least score of an object, in [0, 1); None for the config's.
        accelerated: Compute by :func:`accelerate`: faster, the same results but for rounding.

    Raises:
        UserInputError: If the checkpoint does not fit the model, or there is no such device.
    """

    def __init__(
        self,
        config: str | os.PathLike | Config,
        checkpoint: str | os.PathLike,
        device: str | None = None,
        score_threshold: float | None = None,
        accelerated: bool = True,
    ) -> None:
        self.config = config if isinstance(config, Config) else load_config(os.fspath(config))
        init_default_scope(self.config.get('default_scope', 'mmdet'))
        self.score_threshold = score_threshold
        if score_threshold is not None:
            set_score_threshold(self.config.model, score_threshold)
        without_pretraining(self.config.model)
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

    def read(self, path: str | os.PathLike) -> np.ndarray:
        """Read an image as the config's pipeline does, turned upright as its EXIF data says.

        Returns:
            (H, W, 3) uint8, BGR.

        Raises:
            UserInputError: If it is no image.
        """
        return self.load({'img_path': str(path)})['img']

    def __call__(self, image: str | os.PathLike | np.ndarray | Image.Image) -> DetDataSample:
        """Predict for one image.

        Args:
            image: A file, a PIL image, or an array of uint8: (H, W, 3) BGR, or (H, W) grey.

        Returns:
            The sample with ``pred_instances`` in the image's own frame, best first.

        Raises:
            UserInputError: If it is no image.
        """
        image = self.read(image) if isinstance(image, str | os.PathLike) else as_bgr(image)
        shape = image.shape[:2]
        results = dict(img=image, img_id=0, img_path='', img_shape=shape, ori_shape=shape)
        with torch.no_grad():
            sample = self.model.test_step(pseudo_collate([self.pipeline(results)]))[0]
        if self.score_threshold is not None:
            kept = sample.pred_instances.scores > self.score_threshold
            sample.pred_instances = sample.pred_instances[kept]
        return sample


def set_score_threshold(model: Config, threshold: float) -> None:
    """Let a detector drop objects below a score before it suppresses and pastes masks."""
    settings = model.get('test_cfg') or {}
    settings = settings.get('rcnn', settings)
    if 'score_thr' in settings:
        settings['score_thr'] = threshold


def without_pretraining(node: Mapping | Sequence) -> None:
    """Take pretrained parts out of a model's config: a checkpoint replaces them all."""
    if isinstance(node, Mapping):
        start = node.get('init_cfg')
        if isinstance(start, Mapping) and start.get('type') == 'Pretrained':
            node['init_cfg'] = None
        for value in node.values():
            without_pretraining(value)
    elif isinstance(node, list | tuple):
        for value in node:
            without_pretraining(value)


def class_names(config: Config, state: Mapping) -> list[str]:
    """Names of the classes: the checkpoint's, else those of the config's test set.

    Args:
        config: With ``test_dataloader``.
        state: A checkpoint, whose ``meta`` may hold ``dataset_meta``.
    """
    meta = (state.get('meta') or {}).get('dataset_meta') or {}
    dataset = config.test_dataloader.dataset
    known = getattr(DATASETS.get(dataset['type']), 'METAINFO', {})
    for source in (meta, dataset.get('metainfo') or {}, known):
        classes = source.get('classes') or source.get('CLASSES')
        if classes:
            return [str(name) for name in classes]
    return []
