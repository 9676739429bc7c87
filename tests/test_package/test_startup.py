"""A light door: what `import mmrefseg` and the tools load before they have to."""

import json
import os
import subprocess
import sys

import pytest

HEAVY = (
    'torch', 'mmengine', 'mmcv', 'mmdet', 'transformers', 'matplotlib', 'sympy', 'spacy', 'scipy', 'pandas',
)  # fmt: skip
TOOLS = [
    'train', 'test', 'choose_pseudo_data', 'run_demo', 'run_experiment', 'run_lavt_demo',
    'run_instances_demo', 'run_transfer',
]  # fmt: skip
# Tools that need a network from their first line on: torchrun's front, which nobody calls by hand.
OTHERS = {'dist_run.py'}
PROBE = """
import json, runpy, sys
from pathlib import Path
sys.argv = json.loads(sys.argv[1])
code = 0
if sys.argv[0]:
    sys.path.insert(0, str(Path(sys.argv[0]).parent))
    try:
        runpy.run_path(sys.argv[0], run_name='__main__')
    except SystemExit as stop:
        code = stop.code
else:
    import mmrefseg
print(json.dumps([code, [name for name in {heavy} if name in sys.modules]]))
"""


def loaded(root, *argv):
    """Exit code of a tool called with arguments, and which heavy packages it has loaded by then."""
    done = subprocess.run(
        [sys.executable, '-c', PROBE.format(heavy=HEAVY), json.dumps([str(arg) for arg in argv])],
        cwd=root,
        env=os.environ | {'PYTHONPATH': str(root)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return *json.loads(done.stdout.splitlines()[-1]), done.stderr


def all_tools(root):
    """Every Python tool of the package, and the demo."""
    tools = [*(root / 'tools').rglob('*.py'), root / 'demo' / 'image_demo.py']
    return sorted(
        path for path in tools if path.name not in OTHERS and "__name__ == '__main__'" in path.read_text()
    )


def test_import(repo_root):
    code, modules, _ = loaded(repo_root, '')
    assert code == 0 and modules == []


def test_help_loads_nothing_heavy(repo_root):
    tools = all_tools(repo_root)
    assert len(tools) >= 25 and {f'{name}.py' for name in TOOLS} <= {path.name for path in tools}
    found = {}
    for path in tools:
        code, modules, _ = loaded(repo_root, path.relative_to(repo_root), '--help')
        assert code == 0, path
        found[path.name] = modules
    assert not {name: modules for name, modules in found.items() if modules}


@pytest.mark.parametrize(
    ('argv', 'said'),
    [
        (['tools/train.py', 'configs/none.py'], 'no such file'),
        (['tools/train.py', 'configs/seqtr/seqtr_darknet53_rec_mixed.py', '--load-from', 'no.pth'], 'no.pth'),
        (['tools/test.py', 'configs/seqtr/seqtr_darknet53_rec_mixed.py', 'no.pth'], 'no.pth'),
        (['tools/test.py', 'configs/seqtr/seqtr_darknet53_rec_mixed.py'], 'no checkpoint'),
        (['tools/train.py', 'configs/seqtr/seqtr_darknet53_rec_mixed.py', '--seeed', '1'], '--seeed'),
        (['tools/model_converters/seqtr.py', 'no.pth', 'out.pth'], 'no.pth'),
        (['tools/model_converters/lavt.py', 'no.pth', 'out.pth'], 'no.pth'),
        (['tools/model_converters/detectron2.py', 'no.pkl', 'out.pth'], 'no.pkl'),
        (['tools/model_converters/mmdet2.py', 'no.pth', 'out.pth'], 'no.pth'),
        (['tools/model_converters/swin.py', 'no.pth', 'out.pth'], 'no.pth'),
        (['tools/model_converters/bert.py', 'no.bin', 'out'], 'no.bin'),
        (['tools/model_converters/darknet.py', 'no.weights', 'out.pth'], 'no.weights'),
        (['demo/image_demo.py', '--config', 'none.py', '--input', 'a.jpg'], 'none.py'),
        (['demo/image_demo.py', 'a.jpg', 'config.py'], 'write --input IMAGE --config CONFIG'),
        (['demo/image_demo.py', '--input', 'a.jpg', '--out-dir', 'b'], 'write --output PATH'),
        (['tools/train.py', 'none.py', '--cfg-options', 'a=1,2'], 'none.py: found no such file'),
        (['tools/train.py', 'tests/conftest.py', '--log-to', 'wandbb'], 'did you mean wandb'),
        (['tools/train.py', 'a.py', '--resume-from', 'a.pth'], 'write --resume CHECKPOINT'),
        (['tools/train.py', 'a.py', '--options', 'a=1'], 'write --cfg-options KEY=VALUE'),
        (['tools/test.py', 'a.py', 'a.pth', '--eval', 'bbox'], 'a test computes the metrics of the config'),
    ],
)
def test_wrong_arguments_are_said_before_anything_heavy_is_loaded(repo_root, argv, said):
    code, modules, stderr = loaded(repo_root, *argv)
    assert code == 2 and modules == []
    assert said in stderr and 'Traceback' not in stderr


LIGHT_ROOMS = [
    'structures.masks', 'structures.boxes', 'datasets.annotations', 'datasets.validation', 'datasets.samples',
    'datasets.fields', 'datasets.images', 'datasets.predicted_pairs', 'datasets.vocabulary',
    'datasets.word_vectors', 'datasets.converters', 'datasets.refshapes', 'datasets.refshapes.render',
    'datasets.coco', 'codecs.contour_codec', 'evaluation.functional', 'evaluation.prediction_file',
    'analysis.codec_reach', 'pseudo_labels', 'utils',
]  # fmt: skip


def test_rooms_that_know_no_network_load_nothing_heavy(repo_root):
    """Nor rich, which the first progress bar brings."""
    code = f"""
import importlib, sys
for name in {LIGHT_ROOMS}:
    importlib.import_module('mmrefseg.' + name)
    heavy = [module for module in {(*HEAVY, 'rich')} if module in sys.modules]
    assert not heavy, (name, heavy)
importlib.import_module('mmrefseg.datasets.ref_seg_dataset')
assert 'torch' in sys.modules, 'the names above are those of packages'
"""
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=repo_root, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
