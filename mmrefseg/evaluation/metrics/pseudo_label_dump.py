"""Stage 3a: the predictions on the training split, written while they come."""

import glob
import json
import os
from collections.abc import Hashable, Sequence
from typing import IO, Any

from mmdet.registry import METRICS
from mmengine.dist import get_rank, get_world_size

from ...datasets.predicted_pairs import read_predicted_pairs
from ...utils import UserInputError
from .base import UncutMetric
from .samples import prediction_records, sample_ids, to_array


@METRICS.register_module()
class PseudoLabelDump(UncutMetric):
    """Append each pair's prediction to ``<outfile_prefix>.rank{r}.jsonl``, flushed after every batch.

    One json object per line: ``ref_id, sent_id, image_id, expression, segmentation, points, bbox, score,
    checkpoint``, in the original frame; ``points`` (x, y, x, y, ...) of models that write contours. Nothing
    of the ground truth is written. A run that was stopped goes on: pairs that are in any shard of the prefix
    are not written again (a data set with ``skip_predicted`` does not even predict them), and half a line at
    the end of the own shard is cut off first.

    Args:
        outfile_prefix: Where the shards go, without ``.rank{r}.jsonl``.
        resume: Whether to keep the shards that are there; otherwise they are removed.
        checkpoint: Name of the weights that predict, written into every record. Shards of another
            checkpoint are refused.
        **kwargs: ``collect_device``, ``collect_dir``, ``prefix`` of mmengine's BaseMetric.
    """

    default_prefix = 'pseudo'

    def __init__(
        self, outfile_prefix: str, resume: bool = True, checkpoint: str | None = None, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.outfile_prefix = outfile_prefix
        self.resume = resume
        self.checkpoint = checkpoint
        self._file: IO[str] | None = None
        self._written: set[tuple[Hashable, Hashable]] = set()

    @property
    def outfile(self) -> str:
        """This process's shard."""
        return f'{self.outfile_prefix}.rank{get_rank()}.jsonl'

    def shards(self) -> list[str]:
        """The shards that are there, of any number of processes."""
        return sorted(glob.glob(f'{glob.escape(self.outfile_prefix)}.rank*.jsonl'))

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Write the predictions of one batch that no shard has."""
        file = self._file or self._open()
        lines = []
        for sample in data_samples:
            pairs = zip(prediction_records(sample), sample['expressions'], contours(sample), strict=True)
            for record, expression, points in pairs:
                key = (record['ref_id'], record['sent_id'])
                if key in self._written:
                    continue
                self._written.add(key)
                record['expression'] = expression
                if points:
                    record['points'] = points
                if self.checkpoint is not None:
                    record['checkpoint'] = self.checkpoint
                lines.append(json.dumps(record) + '\n')
            self.results.append(sample_ids(sample))
        file.write(''.join(lines))
        file.flush()

    def compute_metrics(self, results: list) -> dict[str, int]:
        """How many pairs this run has predicted."""
        return {'num_predictions': len({key for ids in results for key in ids})}

    def evaluate(self, size: int) -> dict:
        """Close the shard and count."""
        if self._file is not None:
            self._file.close()
            self._file = None
        return super().evaluate(size)

    def _open(self) -> IO[str]:
        folder = os.path.dirname(self.outfile_prefix)
        if folder:
            os.makedirs(folder, exist_ok=True)
        if self.resume:
            self._check_checkpoint()
            _cut_half_line(self.outfile)
            self._written = read_predicted_pairs(self.shards())
        else:
            self._remove_shards()
        self._file = open(self.outfile, 'a', encoding='utf-8')  # noqa: SIM115 (open over many batches)
        return self._file

    def _remove_shards(self) -> None:
        """Each process removes its own shard, and the first those of processes that are no more."""
        own = {self.outfile}
        if get_rank() == 0:
            alive = {f'{self.outfile_prefix}.rank{rank}.jsonl' for rank in range(get_world_size())}
            own |= set(self.shards()) - alive
        for path in own:
            if os.path.exists(path):
                os.remove(path)
        self._written = set()

    def _check_checkpoint(self) -> None:
        for path in self.shards() if self.checkpoint is not None else ():
            with open(path, encoding='utf-8', errors='replace') as file:
                try:
                    found = json.loads(file.readline()).get('checkpoint')
                except (ValueError, AttributeError):
                    continue
            if found != self.checkpoint:
                raise UserInputError.of(
                    path,
                    f'predictions of checkpoint {found}',
                    f'{self.checkpoint}',
                    'remove the shards, choose another outfile_prefix, or set resume=False',
                )


def contours(sample: dict) -> list[list[float]]:
    """Each pair's vertices x, y, x, y, ... to a hundredth of a pixel; empty lists where there are none."""
    points = sample['pred_instances'].get('points')
    if points is None:
        return [[]] * len(sample['ref_ids'])
    return [[round(float(value), 2) for value in row.ravel() if value == value] for row in to_array(points)]


def _cut_half_line(path: str) -> None:
    """Cut off what follows the last newline, which a stopped run left behind."""
    if not os.path.exists(path):
        return
    with open(path, 'rb+') as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            newline = file.read(end - start).rfind(b'\n')
            if newline >= 0:
                file.truncate(start + newline + 1)
                return
            end = start
        file.truncate(0)
