"""What the metrics of referring expressions share: pairs in, deduplicated, a file or a table out."""

import sys
from collections.abc import Hashable, Sequence
from typing import Any

from mmengine.dist import get_rank
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from ...utils import UserInputError, dump_json
from ..functional import Pair, Scores, score_pairs, unique_pairs
from .samples import prediction_records, sample_ids, sample_pairs


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
        **kwargs: ``collect_device``, ``collect_dir``, ``prefix`` of mmengine's BaseMetric.
    """

    suffix: str

    def __init__(self, format_only: bool = False, outfile_prefix: str | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
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
        return prediction_records(sample)

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
