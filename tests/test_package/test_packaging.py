"""What pip makes of the package, and that the commands of the README are wired as they say."""

import re
import shutil
import subprocess
import sys
import zipfile

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import mmrefseg

PACKAGED = ('mmrefseg', 'configs', 'tools', 'requirements')
PYTHONS = ('3.11', '3.12', '3.13', '3.14')


@pytest.fixture
def source_tree(repo_root, tmp_path):
    """A copy of what is packaged, so that building leaves nothing in the checkout."""
    tree = tmp_path / 'tree'
    for name in PACKAGED:
        ignore = shutil.ignore_patterns('__pycache__', '.mim')
        shutil.copytree(repo_root / name, tree / name, ignore=ignore)
    for file in repo_root.iterdir():
        if file.is_file():
            shutil.copy2(file, tree)
    return tree


def pip(*arguments):
    offline = ('--no-deps', '--no-build-isolation', '--no-index', '--disable-pip-version-check', '--quiet')
    done = subprocess.run(
        [sys.executable, '-m', 'pip', *arguments, *offline], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def test_the_wheel_carries_configs_and_tools(source_tree, tmp_path):
    pip('wheel', str(source_tree), '--wheel-dir', str(tmp_path))
    (wheel,) = tmp_path.glob('mmrefseg-*.whl')
    assert wheel.name == f'mmrefseg-{mmrefseg.__version__}-py3-none-any.whl'
    with zipfile.ZipFile(wheel) as file:
        packed = {name: file.read(name) for name in file.namelist()}
    for folder in ('configs', 'tools'):
        sources = [path for path in (source_tree / folder).rglob('*') if path.is_file()]
        assert len(sources) >= (1 if folder == 'configs' else 5)
        for path in sources:
            name = f'mmrefseg/.mim/{path.relative_to(source_tree)}'
            assert packed.get(name) == path.read_bytes(), name
    assert 'mmrefseg/.mim/model-index.yml' in packed
    (scripts,) = (text.decode() for name, text in packed.items() if name.endswith('entry_points.txt'))
    assert scripts.split() == ['[console_scripts]', 'mmrefseg', '=', 'mmrefseg.cli.main:main']
    weights = list((source_tree / 'mmrefseg/weights').iterdir())
    assert len(weights) == 3
    for path in weights:
        assert packed.get(f'mmrefseg/weights/{path.name}') == path.read_bytes()
    modules = {str(path.relative_to(source_tree)) for path in (source_tree / 'mmrefseg').rglob('*.py')}
    assert modules <= packed.keys(), modules - packed.keys()
    templates = {
        str(path.relative_to(source_tree)) for path in (source_tree / 'mmrefseg').glob('*/templates/*')
    }
    assert len(templates) >= 5 and templates <= packed.keys(), templates - packed.keys()
    assert not [
        name for name in packed if name.startswith(('tests', 'configs', 'tools')) or name.endswith('.pyc')
    ]
    (metadata,) = (text.decode() for name, text in packed.items() if name.endswith('dist-info/METADATA'))
    assert 'Requires-Dist: mmdet' in metadata and 'License: Apache-2.0' in metadata
    assert re.findall(r'^Classifier: Programming Language :: Python :: (.*)$', metadata, re.MULTILINE) == [
        *PYTHONS
    ]
    (accepted,) = re.findall(r'^Requires-Python: (.*)$', metadata, re.MULTILINE)
    assert [f'3.{minor}' for minor in range(20) if f'3.{minor}.1' in SpecifierSet(accepted)] == [*PYTHONS]
    required = re.findall(r'^Requires-Dist: (mmcv\S*)$', metadata, re.MULTILINE)
    assert required == [], 'either mmcv, compiled or lite, would overwrite the other'


def test_an_editable_install_links_configs_and_tools(source_tree, tmp_path):
    target = tmp_path / 'site'
    pip('install', '--editable', str(source_tree), '--target', str(target))
    mim = source_tree / 'mmrefseg' / '.mim'
    assert (mim / 'configs').resolve() == source_tree / 'configs'
    assert (mim / 'tools' / 'train.py').is_file()
    assert (mim / 'model-index.yml').is_file()


def test_setup_needs_nothing_that_it_installs(repo_root):
    """In an isolated build there is no torch, no numpy and no mmrefseg."""
    code = (
        'import runpy, sys\n'
        "for name in ('torch', 'numpy', 'mmrefseg', 'mmengine', 'mmcv', 'mmdet'): sys.modules[name] = None\n"
        "sys.argv = ['setup.py', '--version']\n"
        "runpy.run_path('setup.py', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        cwd=repo_root,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.split()[-1] == mmrefseg.__version__, done.stderr


def requirements(repo_root, name):
    lines = (repo_root / 'requirements' / f'{name}.txt').read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith('#')]


def canonical(name):
    return re.sub(r'[-_.]+', '-', name).lower()


@pytest.mark.parametrize('python', PYTHONS)
def test_every_requirement_is_pinned_once_for_every_python(repo_root, python):
    pins = {}
    for pin in requirements(repo_root, 'constraints'):
        if pin.marker is None or pin.marker.evaluate({'python_version': python}):
            assert canonical(pin.name) not in pins, f'{pin.name} is pinned twice'
            (specifier,) = pin.specifier
            assert specifier.operator == '=='
            pins[canonical(pin.name)] = specifier.version
    wanted = [
        requirement
        for name in ('build', 'runtime', 'mminstall', 'tests', 'optional', 'huggingface', 'app')
        for requirement in requirements(repo_root, name)
    ]
    assert len(wanted) >= 20
    for requirement in wanted:
        assert requirement.specifier.contains(pins[canonical(requirement.name)]), requirement
    assert pins['torch'] == '2.13.0'


def test_no_package_index_is_named(repo_root):
    files = [*(repo_root / 'requirements').iterdir()]
    files += [repo_root / name for name in ('Makefile', 'setup.py', 'pyproject.toml', '.ci/run')]
    assert len(files) >= 10
    for file in files:
        assert not re.search(r'https?://|index-url|find-links', file.read_text()), file


def test_the_default_target_lists_every_command(repo_root):
    # the tests themselves run below `make test`, whose make says which folder it enters
    command = ['make', '--no-print-directory']
    done = subprocess.run(command, cwd=repo_root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (phony,) = re.findall(r'^\.PHONY: (.*)$', (repo_root / 'Makefile').read_text(), re.MULTILINE)
    listed = [line.split()[1] for line in done.stdout.splitlines()]
    assert sorted(listed) == sorted(phony.split())


def test_ci_runs_make_test_and_nothing_else(repo_root):
    script = repo_root / '.ci' / 'run'
    assert script.stat().st_mode & 0o111
    lines = [
        line for line in script.read_text().splitlines() if line and not line.startswith(('#', 'export '))
    ]
    # a browser is installed where there is none, beside what `make test` would install
    assert lines[-1] == 'exec make test' and len(lines) == 6
    assert 'chromium' in lines[2] and lines[3] == 'make install' and lines[4].startswith('wait $!')
