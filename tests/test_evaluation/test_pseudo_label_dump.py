"""Predictions written as they come, and going on after a stop."""

import json
from pathlib import Path

import pytest
import torch
from metric_samples import evaluate, make_samples

from mmrefseg.evaluation.metrics.pseudo_label_dump import PseudoLabelDump
from mmrefseg.structures.rle import decode_mask
from mmrefseg.utils import UserInputError


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def shard(tmp_path) -> Path:
    return tmp_path / 'run' / 'pseudo.rank0.jsonl'


def dump(shard: Path, **arguments) -> PseudoLabelDump:
    return PseudoLabelDump(str(shard.with_name('pseudo')), **arguments)


def test_records_carry_the_prediction_and_no_truth(shard):
    samples = make_samples(3)
    assert evaluate(dump(shard, checkpoint='best.pth'), samples) == {'pseudo/num_predictions': 6}
    records = read(shard)
    assert [record['expression'] for record in records] == [e for s in samples for e in s.expressions]
    assert set(records[0]) == {
        'ref_id', 'sent_id', 'image_id', 'segmentation', 'bbox', 'score', 'expression', 'checkpoint',
    }  # fmt: skip
    mask = decode_mask(records[-1]['segmentation'])
    assert (mask == samples[2].pred_instances.masks[2].numpy()).all()
    assert not (mask == samples[2].gt_instances.masks.masks[2]).all()


def test_contours_are_written_without_what_fills_them_up(shard):
    samples = make_samples(2)[1:]
    points = torch.full((len(samples[0].ref_ids), 4, 2), float('nan'))
    points[0, :3] = torch.tensor([[1.5, 2.0], [10.254, 2.0], [5.0, 9.0]])
    samples[0].pred_instances.points = points
    evaluate(dump(shard), samples)
    first, second = read(shard)
    assert first['points'] == [1.5, 2.0, 10.25, 2.0, 5.0, 9.0]
    assert 'points' not in second


def test_each_batch_is_on_disk_before_the_next(shard):
    metric = dump(shard)
    for number, sample in enumerate(make_samples(3), 1):
        metric.process(None, [sample.to_dict()])
        assert len({record['ref_id'] for record in read(shard)}) == number


def test_a_stopped_run_goes_on(shard):
    samples = make_samples(4)
    evaluate(dump(shard), samples)
    whole = shard.read_bytes()
    lines = whole.splitlines(keepends=True)
    # Stopped in the middle of a line; another process's shard holds two more pairs.
    shard.write_bytes(b''.join(lines[:3]) + lines[3][:40])
    other = shard.with_name('pseudo.rank3.jsonl')
    other.write_bytes(b''.join(lines[4:6]))
    evaluate(dump(shard), samples)
    assert shard.read_bytes() == b''.join([*lines[:3], lines[3], *lines[6:]])
    assert len(read(shard)) + len(read(other)) == len(lines) == 7
    # Nothing is left to do.
    evaluate(dump(shard), samples)
    assert len(read(shard)) == 5


def test_half_a_line_alone_is_removed(shard):
    shard.parent.mkdir()
    shard.write_bytes(b'{"ref_id": 0, "sent' * 10_000)
    evaluate(dump(shard), make_samples(1))
    assert len(read(shard)) == 1


def test_resume_false_starts_over(shard):
    evaluate(dump(shard), make_samples(3))
    shard.with_name('pseudo.rank5.jsonl').write_text('{}\n')
    evaluate(dump(shard, resume=False), make_samples(1))
    assert len(read(shard)) == 1 and not shard.with_name('pseudo.rank5.jsonl').exists()


def test_another_checkpoint_is_refused(shard):
    evaluate(dump(shard, checkpoint='a.pth'), make_samples(1))
    with pytest.raises(UserInputError, match=r'predictions of checkpoint a\.pth, expected b\.pth'):
        evaluate(dump(shard, checkpoint='b.pth'), make_samples(2))
    assert len(read(shard)) == 1
