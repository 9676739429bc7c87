"""Check that the pins of constraints.txt install without a compiler on every Python that the package accepts.

python requirements/check_pythons.py                  # all of them, for the platform that this runs on
python requirements/check_pythons.py --python 3.14

Asks the package index as pip is set up here, for each Python in turn, and installs nothing, but pip downloads
what it finds (torch alone is 527 MB for a Python). Two things make a Python fail: a pin without a wheel
for it, and a requirement of a pin that holds on it and is not pinned, or excludes the pinned version.
Exit code 1 if one fails, 2 if the index does not answer.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FOLDER = Path(__file__).resolve().parent
PYTHONS = ('3.11', '3.12', '3.13', '3.14')
# what `make install` and the tests install; together with all that these require, this is what must be pinned
WANTED = ('build', 'runtime', 'mminstall', 'optional', 'tests', 'docs')
# what torch brings for a GPU depends on the build of torch that pip finds
UNPINNED_PARENT = 'torch'
NO_WHEEL = 'No matching distribution found for '
RETRYING = 'Retrying (Retry('


class IndexUnreachable(RuntimeError):
    """pip ended for another reason than a missing wheel."""


def read_requirements(name: str) -> list[Requirement]:
    """The lines of ``requirements/NAME.txt``."""
    lines = (FOLDER / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.startswith('#')]


def pins_for(python: str) -> tuple[list[str], list[str]]:
    """The pins of every Python, and those that a marker adds on this one.

    Without the markers, which pip would read for the Python that runs it.
    """
    here = default_environment() | {'python_version': python, 'python_full_version': f'{python}.0'}
    pins = read_requirements('constraints')
    marked = [pin for pin in pins if pin.marker is not None and pin.marker.evaluate(here)]
    always = [pin for pin in pins if pin.marker is None]
    return [f'{pin.name}{pin.specifier}' for pin in always], [f'{pin.name}{pin.specifier}' for pin in marked]


def resolve(pins: list[str], python: str, *options: str) -> list[dict] | None:
    """What pip would install of ``name==version`` lines on a Python: wheels only, without their requirements.

    Args:
        pins: The lines.
        python: As ``'3.14'``.
        options: More of pip's.

    Returns:
        One dict per pin: ``download_info`` (its ``url`` ends in the name of the wheel) and ``metadata``, as
        in pip's installation report. None if a pin has no wheel.

    Raises:
        IndexUnreachable: pip failed for another reason; the message is its line that says which.
    """
    command = [sys.executable, '-m', 'pip', '--disable-pip-version-check', 'install', '--quiet', '--dry-run']
    command += ['--no-deps', '--only-binary=:all:', '--python-version', python]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, 'report.json')
        command += ['--target', folder, '--report', str(report), *options, *pins]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0:
            return json.loads(report.read_text(encoding='utf-8'))['install']
    # an index that cannot be reached has nothing either: pip's warnings tell the two apart
    if NO_WHEEL in done.stderr and RETRYING not in done.stderr:
        return None
    lines = done.stderr.splitlines() or [f'it ended with {done.returncode}']
    raise IndexUnreachable(next((line for line in lines if RETRYING in line), lines[-1]))


def required(metadata: dict, extras: set[str], python: str) -> list[Requirement]:
    """What a package with these extras requires on a Python."""
    here = default_environment() | {'python_version': python, 'python_full_version': f'{python}.0'}
    found = [Requirement(line) for line in metadata.get('requires_dist', [])]
    return [
        requirement
        for requirement in found
        if requirement.marker is None
        or any(requirement.marker.evaluate(here | {'extra': extra}) for extra in {'', *extras})
    ]


def find_gaps(wanted: list[Requirement], metadata: dict[str, dict], python: str) -> list[str]:
    """One line for each requirement that the pins do not meet, from what is wanted to all that it requires.

    Args:
        wanted: What is asked for by name.
        metadata: Of each pinned package, by its canonical name.
        python: As ``'3.14'``; decides which requirements hold.
    """
    gaps, seen = [], set()
    queue = [(requirement, 'requirements/') for requirement in wanted]
    while queue:
        requirement, parent = queue.pop()
        name = canonicalize_name(requirement.name)
        if name not in metadata:
            if parent != UNPINNED_PARENT:
                gaps.append(f'{requirement} (of {parent}) is not pinned')
            continue
        version = metadata[name]['version']
        if not requirement.specifier.contains(version, prereleases=True):
            gaps.append(f'{requirement} (of {parent}) excludes the pin {version}')
        if (key := (name, frozenset(requirement.extras))) not in seen:
            seen.add(key)
            queue += [(child, name) for child in required(metadata[name], requirement.extras, python)]
    return sorted(set(gaps))


def check(python: str) -> tuple[str, list[str]]:
    """A row of the table, and what fails on this Python, a line each."""
    start = time.monotonic()
    always, marked = pins_for(python)
    pins = always + marked
    # what is for later Pythons alone, pip would refuse for the one that runs it
    options = dict.fromkeys(marked, ('--ignore-requires-python',))
    found = resolve(always, python)
    if marked and found is not None:
        more = resolve(marked, python, *options[marked[0]])
        found = None if more is None else found + more
    if found is None:  # pip names the first pin only: ask for each
        problems = [
            f'{pin} has no wheel' for pin in pins if resolve([pin], python, *options.get(pin, ())) is None
        ]
        wheels, built = len(pins) - len(problems), '-'
    else:
        metadata = {canonicalize_name(item['metadata']['name']): item['metadata'] for item in found}
        wanted = [requirement for name in WANTED for requirement in read_requirements(name)]
        problems = find_gaps(wanted, metadata, python)
        wheels = len(found)
        built = sum(not item['download_info']['url'].endswith('-none-any.whl') for item in found)
    verdict = 'fails' if problems else 'ok'
    row = f'{python:6}  {len(pins):4}  {wheels:6}  {built:8}  {time.monotonic() - start:7.0f}  {verdict}'
    return row, problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--python', nargs='+', choices=PYTHONS, default=PYTHONS, help='only these')
    args = parser.parse_args()
    print('Python  pins  wheels  compiled  seconds')
    failed = []
    for python in args.python:
        try:
            row, problems = check(python)
        except IndexUnreachable as error:
            print(f'error: pip cannot ask the package index: {error}', file=sys.stderr)
            return 2
        print(row, flush=True)
        failed += [f'Python {python}: {problem}' for problem in problems]
    print(*failed, sep='\n', end='\n' if failed else '')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
