"""Pure functions: pairs of masks or boxes -> numbers. They know nothing of models, configs or processes."""

from ...structures.boxes import clip_boxes, paired_box_iou, xywh_to_xyxy, xyxy_to_xywh
from ...structures.masks import to_rle
from ...structures.rle import decode_mask, encode_mask, resize_mask, resize_rle, to_json_rle, vote
from .generalized import (
    GeneralizedCounts,
    ciou,
    generalized_counts,
    giou,
    n_acc,
    summarise_generalized,
    t_acc,
)
from .protocols import PROTOCOLS, Pair, Scores, apply_protocol, score_pairs, unique_pairs
from .summary import (
    IOU_THRESHOLDS,
    intersection_and_union,
    iou_of_counts,
    legacy_iou_of_counts,
    mean,
    mean_of_batch_means,
    precision_at,
    summarise_boxes,
    summarise_legacy,
    summarise_masks,
    validate_counts,
)

__all__ = [
    'IOU_THRESHOLDS',
    'PROTOCOLS',
    'GeneralizedCounts',
    'Pair',
    'Scores',
    'apply_protocol',
    'ciou',
    'clip_boxes',
    'decode_mask',
    'encode_mask',
    'generalized_counts',
    'giou',
    'intersection_and_union',
    'iou_of_counts',
    'legacy_iou_of_counts',
    'mean',
    'mean_of_batch_means',
    'n_acc',
    'paired_box_iou',
    'precision_at',
    'resize_mask',
    'resize_rle',
    'score_pairs',
    'summarise_boxes',
    'summarise_generalized',
    'summarise_legacy',
    'summarise_masks',
    't_acc',
    'to_json_rle',
    'to_rle',
    'unique_pairs',
    'validate_counts',
    'vote',
    'xywh_to_xyxy',
    'xyxy_to_xywh',
]
