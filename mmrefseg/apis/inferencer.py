"""Images and sentences in, boxes and masks out."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from PIL import Image

from ..compat.checkpoint import load_checkpoint_file
from ..datasets.images import as_bgr
from ..datasets.validation import expressions_problem
from ..evaluation.calibration_file import load_calibration
from ..models.acceleration import accelerate
from ..runs.device import choose_device
from ..utils import UserInputError
from ..utils.places import DEFAULT
from .checkpoint_config import config_for
from .loading import load_weights

# What needs annotations has no place in inference.
TRAINING_ONLY = {'DrawExpression', 'LoadRefAnnotations', 'EncodeContour', 'LoadRefImage'}


class RefSegInferencer:
    """Find what expressions refer to in an image.

    Example::

        inferencer = RefSegInferencer()  # the package's own small weights, for images like RefShapes'
        sample = inferencer('shapes.png', ['the red star', 'left circle'])
        sample.pred_instances.masks    # (2, H, W) bool

        inferencer = RefSegInferencer('configs/partial_res/....py', 'work_dirs/.../best.pth')

    Args:
        config: Config file, or a config that is loaded. Left out, the one that the checkpoint carries: those
            that a training of this package wrote do, and the shipped weights.
        checkpoint: Weights of the config's model: a file, or ``mmrefseg://NAME`` for weights inside the
            package. Left out together with ``config``: BoxRefiner trained on RefShapes, whose masks were
            learned from all boxes and 5 % of the masks (docs/weights.md), and whose scores are the IoUs to
            expect. Its words are in its metadata; no file of the data set is needed.
        device: Torch device; a GPU if there is one.
        accelerated: Compute by :func:`accelerate`: faster, the same results but for rounding.
        calibration: A file of ``tools/analysis_tools/calibrate_scores.py``, by which the scores are made the
            IoUs to expect.

    Raises:
        UserInputError: If the checkpoint does not fit the model, if there is no such device, or if there is
            a config without a checkpoint, or a checkpoint alone without a config or of unknown classes.
    """

    def __init__(
        self,
        config: str | os.PathLike | Config | None = None,
        checkpoint: str | os.PathLike | None = None,
        device: str | None = None,
        accelerated: bool = True,
        calibration: str | os.PathLike | None = None,
    ) -> None:
        self.calibration = None if calibration is None else load_calibration(calibration)
        if checkpoint is None and config is not None:
            raise UserInputError.of(
                'checkpoint', 'none beside a config', 'both, or neither', 'give the weights of that config'
            )
        checkpoint = DEFAULT if checkpoint is None else checkpoint
        self.config = config_for(config, checkpoint)
        init_default_scope(self.config.get('default_scope', 'mmdet'))
        device = choose_device(device)
        self.model = MODELS.build(self.config.model)
        state = load_checkpoint_file(checkpoint)
        load_weights(self.model, state, str(checkpoint))
        self.model.to(device).eval()
        if accelerated:
            accelerate(self.model)
        pipeline = self.config.test_dataloader.dataset.pipeline
        self.pipeline = Compose([step for step in pipeline if step['type'] not in TRAINING_ONLY])
        self.load = Compose([dict(type='LoadRefImage')])

    def __call__(
        self, image: str | os.PathLike | np.ndarray | Image.Image, expressions: str | Sequence[str]
    ) -> DetDataSample:
        """Predict for every expression of one image.

        Args:
            image: A file, a PIL image, or an array of uint8: (H, W, 3) BGR, or (H, W) grey.
            expressions: What to look for: one sentence or several.

        Returns:
            The sample with ``pred_instances`` in the image's own frame, one row per expression.

        Raises:
            UserInputError: If the image is none or cannot be read, or a sentence is empty or no text.
        """
        return self.run(pseudo_collate([self.prepare(self.read(image), as_sentences(expressions))]))[0]

    def read(self, image: str | os.PathLike | np.ndarray | Image.Image) -> np.ndarray:
        """An image as (H, W, 3) uint8 BGR, a file as the config's pipeline reads it.

        Raises:
            UserInputError: If it is none, or cannot be read.
        """
        if isinstance(image, str | os.PathLike):
            return self.load({'img_path': os.fspath(image)})['img']
        return as_bgr(image)

    def prepare(self, image: np.ndarray, sentences: Sequence[str]) -> dict[str, Any]:
        """``inputs`` and ``data_samples`` of an image (H, W, 3) uint8 BGR and N sentences."""
        numbers, shape = list(range(len(sentences))), image.shape[:2]
        results = {'expressions': list(sentences), 'ref_ids': numbers, 'sent_ids': list(numbers), 'img_id': 0}
        return self.pipeline({**results, 'img': image, 'img_shape': shape, 'ori_shape': shape})

    def run(self, batch: dict[str, Any]) -> list[DetDataSample]:
        """Predict for what :meth:`prepare` has made, collated; each sample has ``pred_instances``."""
        with torch.no_grad():
            samples = self.model.test_step(batch)
        for sample in samples if self.calibration is not None else ():
            found = sample.pred_instances
            found.scores = found.scores.new_tensor(self.calibration(found.scores.cpu().numpy()))
        return samples


def as_sentences(expressions: str | Sequence[str]) -> list[str]:
    """One sentence or several as a list.

    Raises:
        UserInputError: If there are none, or one is no text, empty, or holds half a character.
    """
    sentences = [expressions] if isinstance(expressions, str) else expressions
    if not isinstance(sentences, Sequence | np.ndarray) or isinstance(sentences, bytes):
        raise UserInputError.of(
            'expressions', f'a {type(expressions).__name__}', 'a sentence or a list of them', 'write a list'
        )
    if not len(sentences):
        raise UserInputError.of('expressions', 'none', 'at least one sentence', 'say what to look for')
    sentences = [str(each) if isinstance(each, str) else each for each in sentences]
    problem = expressions_problem(sentences)
    if problem:
        raise UserInputError.of('expressions', *problem)
    return sentences
