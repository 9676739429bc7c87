"""Hand every reader of strangers' files what strangers' files may hold, for as long as wanted.

    python benchmarks/fuzz.py --examples 100000
    python benchmarks/fuzz.py --examples 5000 "json lines" masks

A finding is any exception but UserInputError, a process that dies, an example that takes longer than 20 s, or
an accepted record that cannot be used. Examples come from hypothesis; a finding is reduced to the smallest
example that still shows it. What was tried and found goes to the screen and to ``--log``.

Exit code 0 without a finding, 1 with one. The same ``--seed`` gives the same examples.
"""

import argparse
import collections
import gc
import json
import logging
import os
import pickle
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mmrefseg.utils import UserInputError, cli
from mmrefseg.utils.progress import progress_bar

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tests' / 'test_fuzzing'))
# A process of its own for so many examples: a reader that leaks or dies takes no others with it.
CHUNK = 1000
MEMORY = 8 << 30
# Seconds of CPU after which an example that nothing else can stop is ended by its process's death.
LONGEST = 90
# So many characters of an example are shown.
SHOWN = 2000

log = logging.getLogger('fuzz')


class Found(NamedTuple):
    """A finding with the smallest example that shows it, as text, and how often it was met."""

    kind: str
    place: str
    message: str
    example: str
    times: int


class Chunk:
    """Examples of one target, tried in this process.

    Args:
        name: The target.
        folder: Where it may write.
        apart: Try each example in a process of its own, so that a death is a finding like others.
    """

    def __init__(self, name: str, folder: Path, apart: bool) -> None:
        from fuzz_targets import TARGETS

        gc.freeze()  # a data set collects garbage when it is made; not what torch and mmdet consist of
        self.target = TARGETS[name]
        self.folder = folder
        self.apart = apart
        self.tally: collections.Counter[str] = collections.Counter()
        self.found: dict[tuple[str, str], Found] = {}
        self.reduced: set[tuple[str, str]] = set()

    def run(self, count: int, seed: int) -> None:
        """Try ``count`` examples; hypothesis goes on behind a finding once it has reduced it."""
        while count > 0:
            before = self.tally.total()
            new = self._until_a_new_finding(count, seed)
            if new is None:
                break
            self.reduced.add(new)
            count -= max(1, self.tally.total() - before)
            seed += 1

    def _until_a_new_finding(self, count: int, seed: int) -> tuple[str, str] | None:
        """Kind and place of the next finding, once it is reduced; None if there is no other."""
        import hypothesis

        chosen: list[tuple[str, str]] = []

        def body(example: Any) -> None:
            verdict, finding = self._attempt(example)
            if not chosen:
                self.tally[verdict] += 1
            if finding is None:
                return
            key = finding.kind, finding.place
            chosen[:] = chosen or ([] if key in self.reduced else [key])
            self._note(key, finding.message, repr(example), chosen == [key])
            if chosen == [key]:
                raise _NewFinding

        settings = hypothesis.settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
            suppress_health_check=list(hypothesis.HealthCheck),
            verbosity=hypothesis.Verbosity.quiet,
        )
        test = hypothesis.seed(seed)(settings(hypothesis.given(self.target.strategy)(body)))
        try:
            test()
        except _NewFinding:
            pass  # noted when it was raised, in self.found
        except hypothesis.errors.Flaky:
            log.info('the finding %s at %s does not come each time', *chosen[0])
        return chosen[0] if chosen else None

    def _note(self, key: tuple[str, str], message: str, example: str, reducing: bool) -> None:
        """Keep the shortest example, or hypothesis's last, which is its smallest."""
        old = self.found.get(key)
        if old is None or reducing or len(example) < len(old.example):
            self.found[key] = Found(*key, message, example, 1 + (old.times if old else 0))
        else:
            self.found[key] = old._replace(times=old.times + 1)

    def _attempt(self, example: Any) -> tuple[str, Any]:
        from fuzz_base import Finding, attempt

        signal.setitimer(signal.ITIMER_PROF, LONGEST)  # SIGPROF ends the process
        if not self.apart:
            return attempt(self.target, self.folder, example)
        status, answer = in_child(lambda: attempt(self.target, self.folder, example))
        return answer if status == 0 else ('finding', Finding('death', f'exit code {status}', ''))


class _NewFinding(Exception):
    """Tells hypothesis that this example is to be made smaller."""


def in_child(call: Any) -> tuple[int, Any]:
    """Exit code and return value of ``call`` in a forked process; a signal's code is negative."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            with os.fdopen(write, 'wb') as pipe:
                pickle.dump(call(), pipe)
            code = 0
        except BaseException:  # this process ends here, and its parent must not see it go on
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read, 'rb') as pipe:
        content = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status, pickle.loads(content) if status == 0 else None


def run_chunk(name: str, folder: Path, count: int, seed: int) -> tuple[collections.Counter, list[Found]]:
    """Try examples in a process of its own; if that dies, again with one process an example."""

    def work(apart: bool) -> tuple:
        chunk = Chunk(name, folder, apart)
        chunk.run(count, seed)
        return chunk.tally, list(chunk.found.values())

    status, answer = in_child(lambda: work(False))
    if status:
        log.info('%s: a process ended with exit code %d; its examples again, one by one', name, status)
        status, answer = in_child(lambda: work(True))
    if status:
        return collections.Counter(finding=1), [Found('death', f'exit code {status}', '', f'seed {seed}', 1)]
    return answer


def shares(names: list[str], examples: int) -> dict[str, int]:
    """How many examples each target gets: at least one, in all ``examples`` or a few more."""
    from fuzz_targets import TARGETS

    total = sum(TARGETS[name].share for name in names)
    return {name: max(1, round(examples * TARGETS[name].share / total)) for name in names}


def run_target(name: str, count: int, seed: int) -> Iterator[tuple[int, list[Found]]]:
    """Try ``count`` examples of a target, chunk by chunk: how many were tried, and the findings so far."""
    from fuzz_base import lay_out

    folder = Path(tempfile.mkdtemp(prefix='fuzz'))
    tally: collections.Counter[str] = collections.Counter()
    findings: dict[tuple[str, str], Found] = {}
    start = time.perf_counter()
    try:
        lay_out(folder / 'files')
        for first in range(0, count, CHUNK):
            number = min(CHUNK, count - first)
            counted, found = run_chunk(name, folder / 'files', number, seed + first)
            tally.update(counted)
            for one in found:
                old = findings.get(one[:2])
                times = one.times + (old.times if old else 0)
                smaller = one if old is None or len(one.example) < len(old.example) else old
                findings[one[:2]] = smaller._replace(times=times)
            yield number, list(findings.values())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    log.info('%s: %s in %.0f s', name, json.dumps(dict(sorted(tally.items()))), time.perf_counter() - start)


def fuzz(names: list[str], examples: int, seed: int) -> int:
    """Try all targets; returns the number of different findings, which are logged."""
    counts, different = shares(names, examples), 0
    log.info('%d examples of %d targets, seed %d', sum(counts.values()), len(counts), seed)
    with progress_bar() as bar:
        task = bar.add_task('examples', total=sum(counts.values()))
        for name, count in counts.items():
            bar.update(task, description=name)
            findings: list[Found] = []
            for number, findings in run_target(name, count, seed):  # noqa: B007 (the last ones are told)
                bar.advance(task, number)
            for one in findings:
                log.error(
                    '%s: %s at %s, %d times: %s\n    example: %s',
                    *(name, one.kind, one.place, one.times, one.message, one.example[:SHOWN]),
                )
            different += len(findings)
    log.info('%d findings', different)
    return different


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument('targets', nargs='*', metavar='target', help='only these (default: all)')
    parser.add_argument('--examples', type=int, default=20_000, help='over all targets (20000)')
    parser.add_argument('--seed', type=int, default=0, help='other numbers give other examples (0)')
    parser.add_argument('--log', default='work_dirs/fuzz/fuzz.log', metavar='FILE', help='(%(default)s)')
    return parser.parse_args()


@cli
def main() -> int:
    args = parse_args()
    if args.examples < 1:
        raise UserInputError.of('--examples', str(args.examples), 'at least 1', 'give a larger number')
    try:
        from fuzz_targets import TARGETS
    except ModuleNotFoundError as error:
        if error.name != 'hypothesis':
            raise
        raise UserInputError.of(
            'fuzz.py', 'no hypothesis', 'the packages of requirements/tests.txt', 'pip install hypothesis'
        ) from None
    for name in args.targets:
        if name not in TARGETS:
            raise UserInputError.of('target', repr(name), f'some of {list(TARGETS)}', 'name one of them')
    Path(args.log).parent.mkdir(parents=True, exist_ok=True)
    handlers = [logging.StreamHandler(sys.stdout), logging.FileHandler(args.log, 'w', encoding='utf-8')]
    for handler in handlers:
        handler.setFormatter(logging.Formatter('%(asctime)s %(message)s'))
    log.handlers = handlers
    log.setLevel(logging.INFO)
    return int(fuzz(args.targets or list(TARGETS), args.examples, args.seed) > 0)


if __name__ == '__main__':
    main()
