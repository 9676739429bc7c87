"""No file makes a reader fail in another way than with one sentence, and what is accepted can be used."""

import collections
import gc

import hypothesis
import pytest
from fuzz_targets import TARGETS, attempt, lay_out

# Half of a target's examples would be enough to meet each fault that a run of 100,000 had found.
EXAMPLES = 300


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    gc.freeze()  # a data set collects garbage when it is made; not what torch and mmdet consist of
    yield lay_out(tmp_path_factory.mktemp('fuzz') / 'files')
    gc.unfreeze()


@pytest.mark.parametrize('name', TARGETS)
def test_a_file_is_used_or_refused_in_one_sentence(folder, name):
    target, tally = TARGETS[name], collections.Counter()

    # Derandomised: the same examples each time, so that a change is to blame for a failure.
    @hypothesis.settings(
        max_examples=max(50, round(EXAMPLES * min(1, target.share))),
        derandomize=True,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(target.strategy)
    def try_one(example):
        verdict, finding = attempt(target, folder, example)
        tally[verdict] += 1
        assert finding is None, f'{name}: {finding}'

    try_one()
    # A target that accepts nothing, or everything, looks at nothing.
    assert tally['accepted'] >= 3 and tally['refused'] >= 3, tally
