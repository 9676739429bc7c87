"""`import mmrefseg.registration` is all that a config needs to name any class of the package."""

import json
import subprocess
import sys

import pytest

import mmrefseg

LIST_REGISTERED = """
import json, importlib, pkgutil, sys
import mmrefseg.registration
from mmdet import registry
from mmengine.registry import Registry

def ours():
    return sorted(
        f'{name}.{kind}'
        for name, entry in vars(registry).items() if isinstance(entry, Registry)
        for kind, cls in entry.module_dict.items() if cls.__module__.startswith('mmrefseg.')
    )

at_import = ours()
for module in pkgutil.walk_packages(mmrefseg.__path__, 'mmrefseg.'):
    importlib.import_module(module.name)
print(json.dumps([at_import, ours()]))
"""


@pytest.fixture(scope='module')
def registered(repo_root):
    done = subprocess.run(
        [sys.executable, '-W', 'error::UserWarning', '-c', LIST_REGISTERED],
        cwd=repo_root,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_every_class_is_known_after_the_import(registered):
    at_import, after_importing_everything = registered
    assert at_import == after_importing_everything


def test_each_kind_of_class_is_there(registered):
    kinds = {name.split('.')[0] for name in registered[0]}
    assert {'MODELS', 'DATASETS', 'TRANSFORMS', 'METRICS', 'HOOKS', 'TASK_UTILS', 'VISUALIZERS'} <= kinds
    assert len(registered[0]) >= 20


def test_registering_twice_changes_nothing():
    mmrefseg.register_all_modules()
