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
    metric = dump(shard)
    metric.begin('best.pth', 'f' * 64)
    assert evaluate(metric, samples) == {'pseudo/num_predictions': 6}
    records = read(shard)
    assert [record['expression'] for record in records] == [e for s in samples for e in s.expressions]
    assert set(records[0]) == {
        'ref_id', 'sent_id', 'image_id', 'segmentation', 'bbox', 'score', 'expression', 'checkpoint',
        'checkpoint_sha256',
    }  # fmt: skip
    assert {(r['checkpoint'], r['checkpoint_sha256']) for r in records} == {('best.pth', 'f' * 16)}
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


def test_what_is_not_known_is_null(shard):
    evaluate(dump(shard), make_samples(1))
    assert [record['checkpoint'] for record in read(shard)] == [None]
    assert [record['checkpoint_sha256'] for record in read(shard)] == [None]


# Name and hash of the weights that predicted, of those that predict, and whether the run goes on.
CASES = [
    (('a', '1'), ('a', '1'), True),
    (('a', '1'), ('b', '1'), True),  # moved
    (('a', '1'), ('a', '2'), False),  # trained anew
    (('a', '1'), ('a', None), False),  # cannot be told
    (('a', None), ('a', '1'), False),
    (('a', None), ('a', None), True),
    (('a', None), ('b', None), False),
    ((None, None), ('b', None), False),
    ((None, None), (None, None), True),
]


@pytest.mark.parametrize(('before', 'now', 'same'), CASES)
def test_shards_of_other_weights_are_refused(shard, before, now, same):
    first, second = dump(shard), dump(shard)
    first.begin(before[0], before[1] and before[1] * 64)
    evaluate(first, make_samples(1))
    text = shard.read_text()
    if same:
        second.begin(now[0], now[1] and now[1] * 64)
        evaluate(second, make_samples(2))
        assert len(read(shard)) == 3
        return
    with pytest.raises(UserInputError, match=r'rank0\.jsonl: found predictions of .*, expected those of'):
        second.begin(now[0], now[1] and now[1] * 64)
    assert shard.read_text() == text
    third = dump(shard, resume=False)
    third.begin(now[0], now[1] and now[1] * 64)
    evaluate(third, make_samples(1))
    assert [record['checkpoint'] for record in read(shard)] == [now[0]]


def test_other_weights_are_seen_in_any_shard(shard):
    """Half a line says nothing; the shard of a process that is no more does."""
    shard.parent.mkdir()
    shard.write_text('{"ref_id": 0, "sent')
    metric = dump(shard)
    metric.begin('a', '1' * 64)
    evaluate(metric, make_samples(1))
    shard.rename(shard.with_name('pseudo.rank3.jsonl'))
    with pytest.raises(
        UserInputError, match=r'rank3\.jsonl: found .*, expected those of an unknown checkpoint'
    ):
        dump(shard).process(None, [make_samples(1)[0].to_dict()])
    assert not shard.exists()
