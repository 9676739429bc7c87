"""The Dockerfile, as far as it can be checked without Docker."""

import re
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

FETCHES = r'\b(curl|wget|git|https?|ftp)\b'


@pytest.fixture
def instructions(repo_root: Path) -> list[str]:
    """The Dockerfile's instructions, each in one line."""
    lines = (repo_root / 'Dockerfile').read_text(encoding='utf-8').splitlines()
    text = '\n'.join(line for line in lines if not line.startswith('#'))
    return [line for line in text.replace('\\\n', ' ').splitlines() if line.strip()]


def test_versions_are_those_of_the_package(instructions, repo_root):
    torch = re.search(
        r'^torch==(\S+)$', (repo_root / 'requirements' / 'constraints.txt').read_text(), re.MULTILINE
    )
    assert any(f'torch=={torch[1]}' in line for line in instructions)
    (base,) = (line for line in instructions if line.startswith('ARG BASE='))
    python = re.search(r'python:(\d\.\d+)-', base)[1]
    accepted = re.search(r"python_requires='([^']+)'", (repo_root / 'setup.py').read_text())[1]
    assert python in SpecifierSet(accepted)


def test_only_pip_and_apt_fetch(instructions):
    runs = [line for line in instructions if line.startswith('RUN')]
    assert len(runs) == 3
    assert not [line for line in runs if re.search(FETCHES, line)]
    assert re.search(FETCHES, 'RUN curl -O x') and re.search(FETCHES, 'RUN pip install git+https://x')
    assert not [line for line in instructions if line.startswith('ADD')]


def test_what_install_needs_is_copied(instructions, repo_root):
    """`make install` comes after the files are there, and .dockerignore leaves them in."""
    assert instructions.index('COPY . .') < instructions.index('RUN make install')
    ignored = (repo_root / '.dockerignore').read_text().split()
    needed = {
        'Makefile',
        'setup.py',
        'pyproject.toml',
        'README.md',
        'requirements',
        'configs',
        'tools',
        'demo',
        'mmrefseg',
    }
    assert all((repo_root / name).exists() for name in needed) and not needed & set(ignored)


def test_it_says_that_it_was_not_built(repo_root):
    for page in ('Dockerfile', 'docs/install.md'):
        assert 'not built' in (repo_root / page).read_text(encoding='utf-8').lower()
