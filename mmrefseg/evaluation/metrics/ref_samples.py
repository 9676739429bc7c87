"""What the metrics of referring expressions share: samples as pairs, exact sums over processes, files."""

import sys
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from mmengine.dist import get_rank
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from ...structures.boxes import xywh_to_xyxy, xyxy_to_xywh
from ...structures.rle import decode_mask, encode_mask, resize_mask
from ...utils import UserInputError, dump_json
from ..calibration_file import load_calibration
from ..functional.protocols import Pair, Scores, score_pairs, unique_pairs
from ..functional.scores import Calibration


class UncutMetric(BaseMetric):
    """A metric that recognises repeated samples by their ids.

    mmengine cuts what it collects to the data set's length, on the assumption that a sampler's padding comes
    last; here nothing is cut, and ``compute_metrics`` drops the repetitions.
    """

    def evaluate(self, size: int) -> dict:
        """Collect over processes and compute; ``size``, the length of the data set, is not used."""
        return super().evaluate(sys.maxsize)


class ReferringMetric(UncutMetric):
    """Scores pairs of one expression's prediction and its target.

    One item per sample is collected (a list over its N pairs) and every (ref_id, sent_id) counts once: the
    numbers are exact over any number of processes and any sampler's padding.

    Args:
        format_only: Write the prediction file and compute nothing (the split may have no ground truth).
        outfile_prefix: Where the prediction file goes, without its ending. ``format_only`` needs
            it; without ``format_only``, giving it writes the file besides computing.
        calibration: A file of ``calibrate_scores.py``, by which the scores of the prediction file are
            calibrated.
        **kwargs: ``collect_device``, ``collect_dir``, ``prefix`` of mmengine's BaseMetric.
    """

    suffix: str

    def __init__(
        self,
        format_only: bool = False,
        outfile_prefix: str | None = None,
        calibration: str | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.calibration = None if calibration is None else load_calibration(calibration)
        if format_only and outfile_prefix is None:
            raise UserInputError.of(
                type(self).__name__,
                'format_only without outfile_prefix',
                'a place for the prediction file',
                'set outfile_prefix (test.py: --options jsonfile_prefix=PATH)',
            )
        self.format_only = format_only
        self.outfile_prefix = outfile_prefix
        self._num_batches = 0

    @property
    def outfile(self) -> str:
        """The prediction file that is written when ``outfile_prefix`` is set."""
        return f'{self.outfile_prefix}{self.suffix}'

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the predictions (and targets) of one batch, one item per sample."""
        batch = (get_rank(), self._num_batches)
        self._num_batches += 1
        for sample in data_samples:
            self.check_sample(sample)
            pairs = [] if self.format_only else self.pairs_of(sample, batch)
            records = [] if self.outfile_prefix is None else self.records_of(sample)
            self.results.append((sample_ids(sample), pairs, records))

    def check_sample(self, sample: dict) -> None:
        """Raise UserInputError if the model lacks the output that this metric is about."""

    def pairs_of(self, sample: dict, batch: Hashable) -> list[Pair]:
        """The sample's pairs to score."""
        return sample_pairs(sample, 'original', batch)

    def records_of(self, sample: dict) -> list[dict]:
        """The sample's lines of the prediction file."""
        return prediction_records(sample, self.calibration)

    def score(self, pairs: list[Pair]) -> Scores:
        """Distinct pairs -> numbers."""
        return score_pairs(pairs)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Collected items -> the table, in percent; writes the prediction file if one is wanted."""
        if self.outfile_prefix is not None:
            self._write_predictions(results)
        if self.format_only:
            return {}
        pairs = [pair for _, of_sample, _ in results for pair in of_sample]
        return dict(self.score(unique_pairs(pairs)).summary)

    def _write_predictions(self, results: list) -> None:
        records: dict[tuple, dict] = {}
        for ids, _, of_sample in results:
            for key, record in zip(ids, of_sample, strict=True):
                records.setdefault(key, record)
        dump_json(list(records.values()), self.outfile)
        MMLogger.get_current_instance().info(f'{len(records)} predictions written to {self.outfile}')


def to_array(values: Any) -> np.ndarray:
    """A tensor, mmdet box structure, mask structure or sequence as an array on the CPU."""
    values = getattr(values, 'tensor', values)
    if hasattr(values, 'masks'):
        values = values.masks
    if hasattr(values, 'detach'):
        values = values.detach().cpu().numpy()
    return np.asarray(values)


def plain_id(value: Any) -> Hashable:
    """An id as json would give it back: numpy and torch integers become int, lists become tuples."""
    if hasattr(value, 'item'):
        value = value.item()
    return tuple(map(plain_id, value)) if isinstance(value, (list, tuple)) else value


def sample_ids(sample: dict) -> list[tuple[Hashable, Hashable]]:
    """(ref_id, sent_id) of the sample's pairs, in order."""
    return [
        (plain_id(ref), plain_id(sent))
        for ref, sent in zip(sample['ref_ids'], sample['sent_ids'], strict=True)
    ]


def describe(sample: dict) -> str:
    """How an error names the sample."""
    return f'image {sample.get("img_id")}, ref_id {list(sample["ref_ids"])}'


def predicted_masks(sample: dict) -> np.ndarray | None:
    """(N, H, W) bool, or None if the model predicts no masks."""
    masks = sample['pred_instances'].get('masks')
    if masks is None:
        return None
    masks = to_array(masks).astype(bool, copy=False)
    if masks.ndim != 3 or len(masks) != len(sample['ref_ids']):
        raise ValueError(
            f'{describe(sample)}: found predicted masks of shape {masks.shape}, '
            f'expected ({len(sample["ref_ids"])}, H, W), one per expression'
        )
    return masks


def predicted_boxes(sample: dict) -> np.ndarray | None:
    """(N, 4) float64 x, y, w, h as in a prediction file, or None; a box with NaN becomes an empty one."""
    boxes = sample['pred_instances'].get('bboxes')
    if boxes is None:
        return None
    boxes = xyxy_to_xywh(to_array(boxes))
    if boxes.shape != (len(sample['ref_ids']), 4):
        raise ValueError(
            f'{describe(sample)}: found predicted boxes of shape {boxes.shape}, expected one per expression'
        )
    return np.where(np.isfinite(boxes).all(axis=1, keepdims=True), boxes, 0.0)


def prediction_records(sample: dict, calibration: Calibration | None = None) -> list[dict]:
    """The sample's predictions in the layout of a prediction file, in the original frame.

    Args:
        sample: A ``DetDataSample.to_dict()``.
        calibration: Of the scores, if they shall be calibrated.

    Returns:
        One dict per pair: ``ref_id, sent_id, image_id, segmentation`` (RLE with text counts), ``bbox`` [x,
        y, w, h], ``score``; what the model does not predict is absent.
    """
    masks, boxes = predicted_masks(sample), predicted_boxes(sample)
    scores = sample['pred_instances'].get('scores')
    scores = None if scores is None else np.nan_to_num(to_array(scores).astype(np.float64))
    if scores is not None and calibration is not None:
        scores = calibration(scores)
    height, width = sample['ori_shape'][:2]
    records = []
    for index, (ref_id, sent_id) in enumerate(sample_ids(sample)):
        record = {'ref_id': ref_id, 'sent_id': sent_id, 'image_id': plain_id(sample.get('img_id'))}
        if masks is not None:
            record['segmentation'] = encode_mask(resize_mask(masks[index], height, width))
        if boxes is not None:
            record['bbox'] = boxes[index].tolist()
        if scores is not None:
            record['score'] = float(scores[index])
        records.append(record)
    return records


def sample_pairs(sample: dict, frame: str, batch: Hashable, legacy: bool = False) -> list[Pair]:
    """The sample's predictions beside their targets.

    Args:
        sample: A ``DetDataSample.to_dict()`` with ``gt_instances`` in the original frame. What its
            ``ignore`` holds is taken out of prediction and target. Without true boxes none are scored.
        frame: ``'original'`` or ``'network'``: the size (``ori_shape`` or ``img_shape``) at which masks are
            compared. A mask of another size is resized by nearest neighbour; boxes are always compared in
            the original frame.
        batch: Name of the batch, kept for the legacy metric.
        legacy: Whether ``gt_instances.multi_part`` is needed.

    Raises:
        UserInputError: If a true mask is withheld, or ``multi_part`` is needed and missing.
    """
    truth = sample['gt_instances']
    masks, boxes = predicted_masks(sample), predicted_boxes(sample)
    targets = _target_masks(sample) if masks is not None else None
    if truth.get('bboxes') is None:  # truth of masks alone
        boxes = None
    # Rounded to the pipeline's precision, so that a prediction file scores the same to the last digit.
    target_boxes = None if boxes is None else to_array(truth['bboxes']).astype(np.float32).astype(np.float64)
    crowd = _crowd(sample) if legacy and masks is not None else [False] * len(sample['ref_ids'])
    size = tuple(sample['img_shape' if frame == 'network' else 'ori_shape'][:2])
    ignored = truth.get('ignore') or [None] * len(sample['ref_ids'])
    pairs = []
    for index, (ref_id, sent_id) in enumerate(sample_ids(sample)):
        pairs.append(
            Pair(
                ref_id,
                sent_id,
                None if masks is None else _scored(masks[index], size, ignored[index]),
                None if targets is None else _scored(targets[index], size, ignored[index]),
                None if boxes is None else xywh_to_xyxy(boxes[index]).tolist(),
                None if target_boxes is None else target_boxes[index].tolist(),
                bool(crowd[index]),
                batch,
            )
        )
    return pairs


def _scored(mask: np.ndarray, size: tuple[int, int], ignored: dict | None) -> dict:
    """(H, W) bool as the RLE that is compared: of (height, width), less what the annotation ignores."""
    mask = resize_mask(mask, *size)
    if ignored is not None:
        mask = mask & ~resize_mask(decode_mask(ignored), *size)
    return encode_mask(mask)


def _target_masks(sample: dict) -> np.ndarray:
    truth = sample['gt_instances']
    has_mask = truth.get('has_mask')
    if has_mask is not None and not to_array(has_mask).all():
        raise UserInputError.of(
            describe(sample),
            'an object whose true mask is withheld',
            'masks for all objects that are evaluated',
            'evaluate on a split with masks, or use RECMetric',
        )
    return to_array(truth['masks']).astype(bool, copy=False)


def _crowd(sample: dict) -> np.ndarray:
    crowd = sample['gt_instances'].get('multi_part')
    if crowd is None:
        raise UserInputError.of(
            'RESMetric(legacy=True)',
            'no gt_instances.multi_part',
            'for each object whether its true mask has several polygons',
            'let the pipeline pack multi_part, or use evaluate_predictions.py --legacy',
        )
    return to_array(crowd)
