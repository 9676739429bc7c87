"""requirements/check_pythons.py, with a pip that answers from a table instead of asking an index."""

import json
import os
import subprocess
import sys

import pytest

PYTHONS = ['3.11', '3.12', '3.13', '3.14']
# answers like pip: a report of all that was asked for, or what it says of the first that it does not have
FAKE_PIP = """
import json, os, sys
from pathlib import Path

arguments = sys.argv[1:]
answers = json.loads(Path(os.environ['ANSWERS']).read_text())
with open(os.environ['ASKED'], 'a') as log:
    log.write(json.dumps(arguments) + '\\n')
if answers['broken']:
    print(answers['broken'], file=sys.stderr)
python = arguments[arguments.index('--python-version') + 1]
report = Path(arguments[arguments.index('--report') + 1])
items = []
for pin in (argument for argument in arguments if '==' in argument):
    if answers['broken'] or [pin, python] in answers['no_wheel']:
        sys.exit(f'ERROR: No matching distribution found for {pin}')
    name, version = pin.split('==')
    metadata = {'name': name, 'version': version, 'requires_dist': answers['requires'].get(name, [])}
    items.append({'metadata': metadata, 'download_info': {'url': f'{name}-{version}-py3-none-any.whl'}})
report.write_text(json.dumps({'install': items}))
"""


@pytest.fixture
def run_check(repo_root, tmp_path):
    """Run the script; returns its exit code, stdout, stderr, and the arguments of every call of pip."""
    (tmp_path / 'pip').mkdir()
    (tmp_path / 'pip' / '__init__.py').touch()  # else the pip that is installed comes first
    (tmp_path / 'pip' / '__main__.py').write_text(FAKE_PIP)
    answers, asked = tmp_path / 'answers.json', tmp_path / 'asked.txt'

    def run(*options, no_wheel=(), requires=None, broken=''):
        answers.write_text(json.dumps({'no_wheel': no_wheel, 'requires': requires or {}, 'broken': broken}))
        done = subprocess.run(
            [sys.executable, str(repo_root / 'requirements' / 'check_pythons.py'), *options],
            env={**os.environ, 'PYTHONPATH': str(tmp_path), 'ANSWERS': str(answers), 'ASKED': str(asked)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        calls = [json.loads(line) for line in asked.read_text().splitlines()]
        return done.returncode, done.stdout, done.stderr, calls

    return run


def rows(stdout):
    """First and last column of each row: which Python, and how it went."""
    return {line.split()[0]: line.split()[-1] for line in stdout.splitlines()[1:] if ':' not in line}


def test_every_pin_is_asked_for_once_for_every_python(run_check, repo_root):
    code, stdout, stderr, calls = run_check()
    assert code == 0, stdout + stderr
    assert rows(stdout) == dict.fromkeys(PYTHONS, 'ok')
    asked = [call[call.index('--python-version') + 1] for call in calls]
    assert list(dict.fromkeys(asked)) == PYTHONS
    lines = (repo_root / 'requirements/constraints.txt').read_text().splitlines()
    pins = [line for line in lines if '==' in line]
    always, later = [line for line in pins if ';' not in line], [line for line in pins if ';' in line]
    assert len(always) >= 80 and [line.split('; ')[1] for line in later] == ['python_version >= "3.13"']
    assert all({'--dry-run', '--no-deps', '--only-binary=:all:'} <= set(call) for call in calls)
    for python in PYTHONS:
        more = [line.split(';')[0] for line in later] if python in ('3.13', '3.14') else []
        named = [
            (argument, '--ignore-requires-python' in call)
            for call, of in zip(calls, asked, strict=True)
            if of == python
            for argument in call
            if '==' in argument
        ]
        assert named == [(pin, False) for pin in always] + [(pin, True) for pin in more]


def test_pins_without_a_wheel_are_all_named(run_check):
    code, stdout, _, _ = run_check(no_wheel=[['spacy==3.8.18', '3.14'], ['torch==2.13.0', '3.14']])
    assert code == 1
    assert rows(stdout) == dict.fromkeys(PYTHONS, 'ok') | {'3.14': 'fails'}
    assert 'Python 3.14: spacy==3.8.18 has no wheel\n' in stdout
    assert 'Python 3.14: torch==2.13.0 has no wheel\n' in stdout
    assert stdout.count('has no wheel') == 2


def test_what_a_pin_requires_must_be_pinned_where_it_is_required(run_check):
    requires = {
        'spacy': ['another-module; python_version >= "3.13"', 'never; extra == "never"', 'thinc[fast]<9'],
        'thinc': ['quick==1; extra == "fast"', 'never; extra == "slow"'],
        'transformers': ['numpy<2; python_version >= "3.14"'],
        'torch': ['triton==3.7.1', 'numpy>=2'],
    }
    code, stdout, _, _ = run_check(requires=requires)
    assert code == 1
    assert rows(stdout) == dict.fromkeys(PYTHONS, 'fails')
    said = [line for line in stdout.splitlines() if line.startswith('Python 3.')]
    assert said == [
        *(f'Python 3.{minor}: quick==1; extra == "fast" (of thinc) is not pinned' for minor in (11, 12)),
        'Python 3.13: another-module; python_version >= "3.13" (of spacy) is not pinned',
        'Python 3.13: quick==1; extra == "fast" (of thinc) is not pinned',
        'Python 3.14: another-module; python_version >= "3.13" (of spacy) is not pinned',
        'Python 3.14: numpy<2; python_version >= "3.14" (of transformers) excludes the pin 2.4.6',
        'Python 3.14: quick==1; extra == "fast" (of thinc) is not pinned',
    ]


def test_an_index_that_does_not_answer_is_no_missing_wheel(run_check):
    broken = 'WARNING: Retrying (Retry(total=1)) after connection broken by NewConnectionError'
    code, stdout, stderr, calls = run_check('--python', '3.13', '3.14', broken=broken)
    assert code == 2
    assert stderr == f'error: pip cannot ask the package index: {broken}\n'
    assert rows(stdout) == {} and len(calls) == 1


def test_a_python_that_is_not_accepted(run_check, tmp_path):
    (tmp_path / 'asked.txt').touch()
    code, _, stderr, calls = run_check('--python', '3.10')
    assert code == 2 and calls == []
    assert "invalid choice: '3.10'" in stderr
