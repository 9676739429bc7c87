"""Importing this registers into mmdet's registries every class of the package that a config can name."""

from .compat import quick_mmdet  # isort: skip  (before anything imports mmdet)
from mmdet.registry import TASK_UTILS

from . import engine  # noqa: F401
from .codecs.contour_codec import ContourCodec
from .datasets import coco_instance_dataset, ref_seg_dataset, transforms  # noqa: F401
from .evaluation import metrics  # noqa: F401
from .models import detectron2, necks, segmentors  # noqa: F401
from .models.backbones import (  # noqa: F401
    darknet53,
    efficientnet_lite,
    hf_backbone,
    hf_language_backbone,
    language_swin,
)
from .models.extended import (  # noqa: F401
    auxiliary_heads,
    box_frame,
    late_lavt,
    quality,
    refined_segmentor,
    refiner,
    teacher_refiner,
)
from .models.heads import lavt_head, partial_mask_head, seqtr_head  # noqa: F401
from .models.language_models import bert_encoder, gru_encoder, hf_text_encoder  # noqa: F401
from .models.layers import small_batch_norm  # noqa: F401
from .models.losses import pixel_losses, token_losses  # noqa: F401
from .visualization import backends, local_visualizer  # noqa: F401

# Not where it is written: a codec is used without any network, too.
TASK_UTILS.register_module(module=ContourCodec)

__all__ = ['quick_mmdet']
