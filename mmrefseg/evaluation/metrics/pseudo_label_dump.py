"""Stage 3a: the predictions on the training split, written while they come."""

import glob
import json
import os
from collections.abc import Sequence
from typing import IO, Any, NamedTuple

from mmdet.registry import METRICS
from mmengine.dist import broadcast_object_list, get_rank

from ...datasets.predicted_pairs import Checkpoint, read_predicted_pairs
from ...utils import FileLock, UserInputError, parse_json
from ..calibration_file import load_calibration
from .ref_samples import UncutMetric, prediction_records, sample_ids, to_array


class _Claim(NamedTuple):
    """What the first process tells the others when a run begins: what refuses it, or what it goes on from."""

    refusal: str | None
    checkpoint: Checkpoint = Checkpoint()
    written: frozenset[tuple[int, int]] = frozenset()


@METRICS.register_module()
class PseudoLabelDump(UncutMetric):
    """Append each pair's prediction to ``<outfile_prefix>.rank{r}.jsonl``, flushed after every batch.

    One json object per line: ``ref_id, sent_id, image_id, expression, segmentation, points, bbox, score,
    checkpoint, checkpoint_sha256``, in the original frame; ``points`` (x, y, x, y, ...) of models that write
    contours; the last two say what was loaded (see :meth:`begin`), null where that is not known. Nothing of
    the ground truth is written.

    A run that was stopped goes on: pairs that are in any shard of the prefix are not written again (a data
    set with ``skip_predicted`` does not even predict them), and half a line at the end of the own shard is
    cut off first. Shards of other weights are refused, and so is a second run on the same prefix while one
    writes: the processes of a run hold ``<outfile_prefix>.lock``, a lock that ends with them.

    Args:
        outfile_prefix: Where the shards go, without ``.rank{r}.jsonl``.
        resume: Whether to keep the shards that are there; otherwise they are removed.
        calibration: A file of ``calibrate_scores.py``, by which the scores are calibrated.
        **kwargs: ``collect_device``, ``collect_dir``, ``prefix`` of mmengine's BaseMetric.
    """

    default_prefix = 'pseudo'

    def __init__(
        self, outfile_prefix: str, resume: bool = True, calibration: str | None = None, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.calibration = None if calibration is None else load_calibration(calibration)
        self.outfile_prefix = outfile_prefix
        self.resume = resume
        self.begun = False
        self._checkpoint = Checkpoint()
        self._lock = FileLock(f'{outfile_prefix}.lock')
        self._file: IO[str] | None = None
        self._written: set[tuple[int, int]] = set()

    @property
    def outfile(self) -> str:
        """This process's shard."""
        return f'{self.outfile_prefix}.rank{get_rank()}.jsonl'

    def shards(self) -> list[str]:
        """The shards that are there, of any number of processes."""
        return sorted(glob.glob(f'{glob.escape(self.outfile_prefix)}.rank*.jsonl'))

    def begin(self, checkpoint: str | None = None, sha256: str | None = None) -> None:
        """Take the prefix for this run; all its processes call it, before they predict.

        tools/test.py does so before it builds the data set, ``NameCheckpointHook`` before the first batch;
        where neither does, the first batch does, and nothing is known of the weights.

        Args:
            checkpoint: Where the weights are loaded from.
            sha256: Of that file, in hexadecimal digits; what the first process says counts.

        Raises:
            UserInputError: In all processes, if another run writes there, or the shards hold predictions of
                other weights or a line that is none.
        """
        claims = [self._claim(Checkpoint.of_file(checkpoint, sha256)) if get_rank() == 0 else None]
        broadcast_object_list(claims)
        claim = claims[0]
        if claim.refusal is not None:
            raise UserInputError(claim.refusal)
        self._lock.share()
        self._checkpoint, self._written = claim.checkpoint, set(claim.written)
        self.begun = True

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Write the predictions of one batch that no shard has."""
        file = self._file or self._open()
        lines = []
        for sample in data_samples:
            pairs = zip(
                prediction_records(sample, self.calibration),
                sample['expressions'],
                contours(sample),
                strict=True,
            )
            for record, expression, points in pairs:
                key = (record['ref_id'], record['sent_id'])
                if key in self._written:
                    continue
                self._written.add(key)
                record['expression'] = expression
                if points:
                    record['points'] = points
                record.update(self._checkpoint._asdict())
                lines.append(json.dumps(record) + '\n')
            self.results.append(sample_ids(sample))
        try:
            file.write(''.join(lines))
            file.flush()
        except OSError as error:
            error.filename = self.outfile  # a full disk names none
            raise

    def compute_metrics(self, results: list) -> dict[str, int]:
        """How many pairs this run has predicted."""
        return {'num_predictions': len({key for ids in results for key in ids})}

    def evaluate(self, size: int) -> dict:
        """Close the shard, let others write, and count."""
        if not self.begun:  # a process that had nothing to predict: the others wait for it
            self.begin()
        if self._file is not None:
            self._file.close()
            self._file = None
        self._lock.release()
        self.begun = False
        return super().evaluate(size)

    def _open(self) -> IO[str]:
        if not self.begun:
            self.begin()
        _cut_half_line(self.outfile)
        self._file = open(self.outfile, 'a', encoding='utf-8')  # noqa: SIM115 (open over many batches)
        return self._file

    def _claim(self, checkpoint: Checkpoint) -> _Claim:
        """Lock the prefix and see what is there, in the first process."""
        try:
            if not self._lock.take():
                raise UserInputError.of(
                    self.outfile_prefix,
                    f'another run that writes predictions there ({self._lock.holder()})',
                    'none',
                    'wait until it has finished, or choose another outfile_prefix',
                )
            self._lock.share()
            if not self.resume:
                for path in self.shards():
                    os.remove(path)
            self._refuse_other_weights(checkpoint)
            return _Claim(None, checkpoint, frozenset(read_predicted_pairs(self.shards())))
        except UserInputError as error:
            self._lock.release()
            return _Claim(str(error))

    def _refuse_other_weights(self, checkpoint: Checkpoint) -> None:
        for path in self.shards():
            found = _first_checkpoint(path)
            if found is not None and not found.is_same(checkpoint):
                raise UserInputError.of(
                    path,
                    f'predictions of {found}',
                    f'those of {checkpoint}',
                    'remove the shards, choose another outfile_prefix, or set test_evaluator.resume=False',
                )


def _first_checkpoint(path: str) -> Checkpoint | None:
    """What the first line of a shard was predicted by; None if there is no whole line."""
    with open(path, encoding='utf-8', errors='replace') as file:
        try:
            return Checkpoint.of_record(parse_json(file.readline(), path))
        except (ValueError, AttributeError):
            return None


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
