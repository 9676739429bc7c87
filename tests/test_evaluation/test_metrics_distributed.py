"""Two real processes: the numbers are those of one, whatever the sampler repeats."""

import json
import os
from pathlib import Path

import pytest
import torch.distributed as dist
import torch.multiprocessing as mp

from mmrefseg.evaluation.metrics.pseudo_label_dump import PseudoLabelDump
from mmrefseg.evaluation.metrics.ref_metrics import RECMetric, RESMetric
from mmrefseg.utils import FileLock, UserInputError


def work(rank: int, folder: str) -> None:
    """Evaluate one process's share of 7 samples, with two ways of padding to 8."""
    from metric_samples import evaluate, make_samples

    dist.init_process_group('gloo', init_method=f'file://{folder}/meet', rank=rank, world_size=2)
    samples = make_samples(7)
    interleaved = [0, 2, 4, 6] if rank == 0 else [1, 3, 5, 0]
    # Blocks, the padding not at the end: what mmengine's cut to the length of the data set gets wrong.
    blocks = [0, 1, 2, 3] if rank == 0 else [4, 4, 5, 6]
    results = {}
    for name, indices in (('interleaved', interleaved), ('blocks', blocks)):
        share = [samples[index] for index in indices]
        for metric in (RESMetric(), RESMetric(protocol='avg'), RECMetric()):
            metric.collect_dir = f'{folder}/{name}'
            key = f'{name} {type(metric).__name__} {getattr(metric, "protocol", "")}'
            results[key] = evaluate(metric, share, size=7)
    dump = PseudoLabelDump(f'{folder}/pseudo', collect_dir=f'{folder}/dump')
    # Only the first process knows the hash.
    dump.begin('best.pth', '1' * 64 if rank == 0 else None)
    results['dump'] = evaluate(dump, [samples[index] for index in interleaved], size=7)
    results['lock'] = locks(rank, folder)
    results['refusal'] = refusal(folder)
    # A process without a batch begins, too.
    idle = PseudoLabelDump(f'{folder}/idle', collect_dir=f'{folder}/idle_dump')
    results['idle'] = evaluate(idle, samples[:1] if rank else [], size=1)
    Path(folder, f'results{rank}.json').write_text(json.dumps(results))
    dist.destroy_process_group()


def locks(rank: int, folder: str) -> list[bool]:
    """Whether another process could write: while both hold the prefix, while the second does, and then."""
    dump = PseudoLabelDump(f'{folder}/held')
    dump.begin()
    found = []
    for leaves in (0, 1, None):
        dist.barrier()
        child = os.fork()
        if child == 0:
            os._exit(FileLock(f'{folder}/held.lock').take() if rank == 0 else 0)
        found.append(bool(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
        dist.barrier()
        if rank == leaves:
            dump._lock.release()
    return found


def refusal(folder: str) -> str:
    """What both processes say to other weights."""
    try:
        PseudoLabelDump(f'{folder}/pseudo').begin('best.pth', '2' * 64)
    except UserInputError as error:
        return str(error)
    return ''


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('gloo')
    mp.start_processes(work, args=(str(path),), nprocs=2, start_method='fork')
    return path


def test_two_processes_equal_one(folder):
    from metric_samples import evaluate, make_samples

    ranks = [json.loads((folder / f'results{rank}.json').read_text()) for rank in (0, 1)]
    for results in ranks:
        del results['lock']
    assert ranks[0] == ranks[1]
    one = {
        'RESMetric sentence': evaluate(RESMetric(), make_samples(7)),
        'RESMetric avg': evaluate(RESMetric(protocol='avg'), make_samples(7)),
        'RECMetric ': evaluate(RECMetric(), make_samples(7)),
    }
    assert len(one['RESMetric sentence']) == 8
    for name in ('interleaved', 'blocks'):
        for key, expected in one.items():
            assert ranks[0][f'{name} {key}'] == expected


def test_each_process_dumps_its_share(folder):
    shards = [(folder / f'pseudo.rank{rank}.jsonl').read_text().splitlines() for rank in (0, 1)]
    pairs = [
        {(json.loads(line)['ref_id'], json.loads(line)['sent_id']) for line in shard} for shard in shards
    ]
    # Object 0 is in both shares.
    refs = [{ref for ref, _ in shard} for shard in pairs]
    assert refs == [{0, 2, 4, 6}, {0, 1, 3, 5}]
    sources = {json.loads(line)['checkpoint_sha256'] for shard in shards for line in shard}
    assert sources == {'1' * 16}
    assert len(pairs[0] | pairs[1]) == 1 + 2 + 3 + 1 + 2 + 3 + 1
    results = json.loads((folder / 'results0.json').read_text())
    assert results['dump'] == {'pseudo/num_predictions': len(pairs[0] | pairs[1])}
    assert results['idle'] == {'pseudo/num_predictions': 1}


def test_the_processes_of_a_run_share_its_prefix(folder):
    """Nobody else may write until the last has gone; other weights are refused in all of them."""
    ranks = [json.loads((folder / f'results{rank}.json').read_text()) for rank in (0, 1)]
    assert ranks[0]['lock'] == [False, False, True]
    for results in ranks:
        assert (
            'pseudo.rank0.jsonl: found predictions of best.pth (sha256 1111111111111111)'
            in results['refusal']
        )
