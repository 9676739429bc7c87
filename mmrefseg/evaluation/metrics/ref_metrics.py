"""REC and RES: metrics of boxes and of masks of referring expressions."""

from collections.abc import Hashable

from mmdet.registry import METRICS

from ...utils import UserInputError
from ..functional.protocols import PROTOCOLS, Pair, Scores, score_pairs
from .ref_samples import ReferringMetric, describe, sample_pairs


@METRICS.register_module()
class RECMetric(ReferringMetric):
    """Box accuracy over expressions: ``rec/acc50`` (share with IoU >= 0.5) and ``rec/box_miou`` (mean IoU);
    percent.

    Boxes are compared in the original frame. (``save_best='rec/acc50'`` needs ``rule='greater'``.)

    Args:
        format_only: Write ``<outfile_prefix>.rec.json`` and compute nothing.
        outfile_prefix: Where the prediction file goes, without its ending.
        **kwargs: ``calibration``, ``collect_device``, ``collect_dir``, ``prefix`` of the base class.
    """

    default_prefix = 'rec'
    suffix = '.rec.json'

    def check_sample(self, sample: dict) -> None:
        """See that there are boxes on both sides.

        Raises:
            UserInputError: If there are none.
        """
        if sample['pred_instances'].get('bboxes') is None:
            raise UserInputError.of(
                f'RECMetric, {describe(sample)}',
                'no predicted boxes',
                'a model that predicts boxes',
                'use RESMetric',
            )
        if not self.format_only and sample['gt_instances'].get('bboxes') is None:
            raise UserInputError.of(
                f'RECMetric, {describe(sample)}',
                'no true boxes',
                'gt_instances.bboxes',
                'load them (LoadRefAnnotations(with_bbox=True)), or use RESMetric',
            )

    def pairs_of(self, sample: dict, batch: Hashable) -> list[Pair]:
        return sample_pairs(_without_masks(sample), 'original', batch)

    def records_of(self, sample: dict) -> list[dict]:
        return super().records_of(_without_masks(sample))


def _without_masks(sample: dict) -> dict:
    kept = {key: value for key, value in sample['pred_instances'].items() if key != 'masks'}
    return {**sample, 'pred_instances': kept}


@METRICS.register_module()
class RESMetric(ReferringMetric):
    """oIoU, mIoU and P@0.5..0.9 of masks, and Acc@0.5 of boxes where there are true ones and
    the model predicts them; percent.

    Keys: ``res/oiou res/miou res/p50 res/p60 res/p70 res/p80 res/p90`` and ``res/acc50``.
    (``save_best='res/oiou'`` needs ``rule='greater'``, as mmengine does not know the name.)
    Needs ``gt_instances`` in the original frame and ``pred_instances.masks`` (N, H, W). Pixels of
    ``gt_instances.ignore`` (a record's ``ignore_mask``, as ReasonSeg has it) count neither way. See
    :mod:`mmrefseg.evaluation.functional` for the definitions.

    Args:
        protocol: ``'sentence'`` (each expression counts), ``'avg'`` (each object counts, by the vote of its
            expressions, or by the mean of its outputs where the model takes it) or ``'cat'`` (each object
            counts, and the model has read all its expressions at once).
        frame: ``'original'`` (the image's own size) or ``'network'`` (``img_shape``; predictions and
            targets that are not of that size are resized by nearest neighbour), as LAVT is scored in its
            paper.
        legacy: SeqTR's and Partial-RES's numbers: on targets of several polygons "IoU" is intersection over
            the *predicted* area (``gt_instances.multi_part`` must tell which), P@X and Acc@0.5 are means of
            batch means.
        empty_union: What two empty masks score: ``'zero'`` or ``'one'``.
        format_only: Write ``<outfile_prefix>.res.json`` and compute nothing.
        outfile_prefix: Where the prediction file goes, without its ending.
        **kwargs: ``calibration``, ``collect_device``, ``collect_dir``, ``prefix`` of the base class.
    """

    default_prefix = 'res'
    suffix = '.res.json'

    def __init__(
        self,
        protocol: str = 'sentence',
        frame: str = 'original',
        legacy: bool = False,
        empty_union: str = 'zero',
        format_only: bool = False,
        outfile_prefix: str | None = None,
        **kwargs,
    ) -> None:
        super().__init__(format_only, outfile_prefix, **kwargs)
        for name, value, choices in (
            ('protocol', protocol, PROTOCOLS),
            ('frame', frame, ('original', 'network')),
            ('empty_union', empty_union, ('zero', 'one')),
        ):
            if value not in choices:
                raise UserInputError.of(
                    'RESMetric', f'{name}={value!r}', f'one of {choices}', 'correct the config'
                )
        self.protocol = protocol
        self.frame = frame
        self.legacy = legacy
        self.empty_union = empty_union

    def check_sample(self, sample: dict) -> None:
        """Raise :class:`UserInputError` where the model predicts no masks."""
        if sample['pred_instances'].get('masks') is None:
            raise UserInputError.of(
                f'RESMetric, {describe(sample)}',
                'no predicted masks',
                'a model that predicts masks',
                'use RECMetric',
            )

    def pairs_of(self, sample: dict, batch: Hashable) -> list[Pair]:
        return sample_pairs(sample, self.frame, batch, self.legacy)

    def score(self, pairs: list[Pair]) -> Scores:
        scores = score_pairs(pairs, self.protocol, self.legacy, self.empty_union)
        scores.summary.pop('box_miou', None)
        return scores
