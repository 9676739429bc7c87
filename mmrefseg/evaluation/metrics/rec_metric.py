"""Referring expression comprehension."""

from collections.abc import Hashable

from mmdet.registry import METRICS

from ...utils import UserInputError
from ..functional import Pair
from .base import ReferringMetric
from .samples import describe, sample_pairs


@METRICS.register_module()
class RECMetric(ReferringMetric):
    """Box accuracy over expressions: ``rec/acc50`` (share with IoU >= 0.5) and ``rec/box_miou`` (mean IoU);
    percent.

    Boxes are compared in the original frame. (``save_best='rec/acc50'`` needs ``rule='greater'``.)

    Args:
        format_only: Write ``<outfile_prefix>.rec.json`` and compute nothing.
        outfile_prefix: Where the prediction file goes, without its ending.
        **kwargs: ``collect_device``, ``collect_dir``, ``prefix``.
    """

    default_prefix = 'rec'
    suffix = '.rec.json'

    def check_sample(self, sample: dict) -> None:
        if sample['pred_instances'].get('bboxes') is None:
            raise UserInputError.of(
                f'RECMetric, {describe(sample)}',
                'no predicted boxes',
                'a model that predicts boxes',
                'use RESMetric',
            )

    def pairs_of(self, sample: dict, batch: Hashable) -> list[Pair]:
        return sample_pairs(_without_masks(sample), 'original', batch)

    def records_of(self, sample: dict) -> list[dict]:
        return super().records_of(_without_masks(sample))


def _without_masks(sample: dict) -> dict:
    kept = {key: value for key, value in sample['pred_instances'].items() if key != 'masks'}
    return {**sample, 'pred_instances': kept}
