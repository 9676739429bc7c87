"""Pictures and sentences in, boxes and masks out."""

import os
from collections.abc import Sequence

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope

from ..compat.checkpoint import load_checkpoint_file
from ..runs.config import set_fuse_conv_bn
from ..utils import UserInputError

# What needs annotations has no place in inference.
TRAINING_ONLY = {'DrawExpression', 'LoadRefAnnotations', 'EncodeContour', 'LoadRefImage'}


class RefSegInferencer:
    """Find what expressions refer to in a picture.

    Example::

        inferencer = RefSegInferencer('configs/partial_res/....py', 'work_dirs/.../best.pth')
        sample = inferencer('street.jpg', ['the red car', 'man on the left'])
        sample.pred_instances.masks    # (2, H, W) bool

    Args:
        config: Config file, or a config that is loaded.
        checkpoint: Weights of the config's model.
        device: Torch device; a GPU if there is one.
        fuse_conv_bn: Run SeqTR's convolutions with folded batch norms: faster, the same results.

    Raises:
        UserInputError: If the checkpoint does not fit the model.
    """

    def __init__(
        self,
        config: str | os.PathLike | Config,
        checkpoint: str | os.PathLike,
        device: str | None = None,
        fuse_conv_bn: bool = False,
    ) -> None:
        self.config = config if isinstance(config, Config) else Config.fromfile(config)
        init_default_scope(self.config.get('default_scope', 'mmdet'))
        if fuse_conv_bn:
            set_fuse_conv_bn(self.config)
        device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
        self.model = MODELS.build(self.config.model)
        state = load_checkpoint_file(checkpoint)
        missing, unexpected = self.model.load_state_dict(state.get('state_dict', state), strict=False)
        if missing:
            raise UserInputError.of(
                str(checkpoint),
                f'no weights for {len(missing)} of the model (the first is {missing[0]}) and '
                f'{len(unexpected)} that it lacks',
                "a checkpoint of the config's model",
                'give the config and the checkpoint of one training',
            )
        self.model.to(device).eval()
        pipeline = self.config.test_dataloader.dataset.pipeline
        self.pipeline = Compose([step for step in pipeline if step['type'] not in TRAINING_ONLY])
        self.load = Compose([dict(type='LoadRefImage')])

    def __call__(self, image: str | os.PathLike | np.ndarray, expressions: Sequence[str]) -> DetDataSample:
        """Predict for every expression of one picture.

        Args:
            image: A file, or (H, W, 3) uint8 BGR.
            expressions: What to look for.

        Returns:
            The sample with ``pred_instances`` in the picture's own frame, one row per expression.
        """
        if not expressions:
            raise UserInputError.of('expressions', 'none', 'at least one sentence', 'say what to look for')
        results = {'expressions': list(expressions), 'ref_ids': list(range(len(expressions))), 'img_id': 0}
        results['sent_ids'] = list(results['ref_ids'])
        if isinstance(image, np.ndarray):
            results |= {'img': image, 'img_shape': image.shape[:2], 'ori_shape': image.shape[:2]}
        else:
            results = self.load({**results, 'img_path': str(image)})
        with torch.no_grad():
            return self.model.test_step(pseudo_collate([self.pipeline(results)]))[0]
