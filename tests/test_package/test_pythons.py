"""Every file suits the oldest Python that is accepted, and all places name the same Pythons."""

import ast
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
import warnings

import pytest

PYTHONS = ('3.11', '3.12', '3.13', '3.14')
FOLDERS = ('benchmarks', 'configs', 'demo', 'mmrefseg', 'requirements', 'tests', 'tools')
# modules that Python had in 3.11 and has no longer in 3.12, 3.13 or 3.14
GONE = {
    *(
        'asynchat',
        'asyncore',
        'distutils',
        'imp',
        'smtpd',
        'aifc',
        'audioop',
        'cgi',
        'cgitb',
        'chunk',
        'crypt',
    ),
    *('imghdr', 'lib2to3', 'mailcap', 'msilib', 'nis', 'nntplib', 'ossaudiodev', 'pipes', 'sndhdr', 'spwd'),
    *('sunau', 'telnetlib', 'uu', 'xdrlib', 'pkg_resources'),
}
# says its version and suits by it as Python does; asked for a venv, it notes its name and fails
FAKE_PYTHON = """#!/bin/sh
case "$1" in
  -V) echo Python 3.{minor}.0 ;;
  -m) echo "$0 $*" >> {log}; exit 1 ;;
  *) exec {real} -c 'import sys; sys.version_info = (3, {minor}, 0, "final", 0); exec(sys.argv[2])' "$@" ;;
esac
"""


def parse(text, name):
    with warnings.catch_warnings():
        # what is a warning of the grammar becomes an error of a later Python; others may be another test's,
        # whose sockets and loops are collected while this one parses
        for category in (SyntaxWarning, DeprecationWarning):
            warnings.simplefilter('error', category)
        warnings.simplefilter('ignore', ResourceWarning)
        return ast.parse(text, name, feature_version=(3, 11))


@pytest.fixture(scope='module')
def trees(repo_root):
    files = [repo_root / 'setup.py', *(path for name in FOLDERS for path in (repo_root / name).rglob('*.py'))]
    return {str(path): parse(path.read_text(encoding='utf-8'), str(path)) for path in files}


def gone_imports(tree):
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.split('.')[0])
    return names & GONE


def test_every_file_is_of_the_oldest_grammar(trees):
    assert len(trees) >= 300


@pytest.mark.parametrize('line', ['type Name = int', 'def first[T](x: T) -> T: ...', "'\\d'"])
def test_a_newer_grammar_or_a_bad_escape_is_noticed(line):
    with pytest.raises(SyntaxError):
        parse(line, 'file.py')


def test_no_file_imports_what_a_newer_python_lacks(trees):
    assert {name: gone for name, tree in trees.items() if (gone := gone_imports(tree))} == {}
    assert gone_imports(ast.parse('from distutils.util import strtobool\nimport imp, ast')) == {
        'distutils',
        'imp',
    }


def test_all_places_name_the_same_pythons(repo_root):
    ruff = tomllib.loads((repo_root / 'pyproject.toml').read_text())['tool']['ruff']
    assert ruff['target-version'] == 'py' + PYTHONS[0].replace('.', '')
    script = runpy.run_path(str(repo_root / 'requirements' / 'check_pythons.py'), run_name='script')
    assert script['PYTHONS'] == PYTHONS
    sentence = f'Linux(?:,| with) Python {", ".join(PYTHONS[:-1])} or {PYTHONS[-1]} '
    assert re.search(sentence, (repo_root / 'README.md').read_text())
    install = (repo_root / 'docs' / 'install.md').read_text()
    assert re.search(sentence, install)
    assert f'| Python | {", ".join(PYTHONS)} ' in install
    assert re.findall(r'^\| (3\.\d+) \| \d+ of \d+ \|', install, re.MULTILINE) == [*PYTHONS]
    makefile = (repo_root / 'Makefile').read_text()
    assert f'Python {PYTHONS[0]}-{PYTHONS[-1]} with' in makefile
    assert f'# What `make install` installs, to the version: Python {PYTHONS[0]} to {PYTHONS[-1]},' in (
        (repo_root / 'requirements' / 'constraints.txt').read_text()
    )


@pytest.fixture
def install_with(repo_root, tmp_path):
    """`make install` with Pythons of given versions; returns its sentence and what each Python was asked."""
    shutil.copy(repo_root / 'Makefile', tmp_path)
    for name in ('setup.py', 'pyproject.toml'):
        (tmp_path / name).touch()
    log = tmp_path / 'log.txt'

    def write(path, minor):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FAKE_PYTHON.format(minor=minor, log=log, real=sys.executable))
        path.chmod(0o755)

    def run(*arguments, python3=10, venv=None, **named):
        """``python3`` and ``named`` are minor versions; a command that is not named is of Python 3.9."""
        for name in ('python3.11', 'python3.12', 'python3.13', 'python3.14'):
            write(tmp_path / 'bin' / name, named.get(name.replace('.', '_'), 9))
        write(tmp_path / 'bin' / 'python3', python3)
        if venv:
            write(tmp_path / '.venv' / 'bin' / 'python', venv)
        done = subprocess.run(
            ['make', '--no-print-directory', 'install', *arguments],
            cwd=tmp_path,
            env={'PATH': f'{tmp_path}/bin:/usr/bin:/bin'},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 2  # no Python here makes a venv
        asked = log.read_text().splitlines() if log.exists() else []
        return done.stderr.splitlines()[0], [line.removeprefix(f'{tmp_path}/') for line in asked]

    return run


@pytest.mark.parametrize(
    ('pythons', 'chosen'),
    [
        *(({'python3': minor, 'python3_14': 14}, 'python3') for minor in (11, 12, 13, 14)),
        ({'python3': 10, 'python3_11': 11, 'python3_13': 13}, 'python3.13'),
        ({'python3': 15, 'python3_12': 12}, 'python3.12'),
    ],
)
def test_python3_comes_first_then_the_newest_that_suits(install_with, pythons, chosen):
    _, asked = install_with(**pythons)
    assert asked == [f'bin/{chosen} -m venv .venv']


def test_no_python_that_suits_is_one_sentence(install_with):
    error, asked = install_with(python3=15)
    assert asked == []
    assert error == (
        'error: found none, expected Python 3.11 to 3.14 with venv and pip; '
        'name one: make install PYTHON=/path/to/python3.13'
    )


def test_a_python_that_was_named_and_does_not_suit_is_one_sentence(install_with):
    error, asked = install_with('PYTHON=python3.11', python3=11, python3_11=10)
    assert asked == []
    assert error.startswith('error: found Python 3.10.0 at python3.11, expected Python 3.11 to 3.14 ')


def test_a_venv_of_an_old_python_is_one_sentence(install_with):
    error, asked = install_with(python3=11, venv=10)
    assert asked == []
    assert error.startswith('error: found Python 3.10.0 at .venv/bin/python, expected Python 3.11 to 3.14 ')
    assert error.endswith('; remove it (make clean) and run this again')


def test_a_venv_that_suits_is_kept(install_with):
    _, asked = install_with(python3=10, venv=13)
    assert len(asked) == 1 and asked[0].startswith('.venv/bin/python -m pip ')
