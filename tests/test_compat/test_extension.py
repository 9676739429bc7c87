"""Where the operators come from: compiled mmcv, torchvision, or the stand-ins."""

import importlib
import os
import subprocess
import sys
import textwrap
from types import ModuleType

import mmcv
import pytest
import torch
from mmcv.ops import DeformConv2d
from mmcv.utils.env import collect_env

from mmrefseg.compat import MissingOperatorError, compiled_operators_installed
from mmrefseg.compat.ops import install_operators, torchvision_kernels

stand_ins_only = pytest.mark.skipif(compiled_operators_installed(), reason='compiled mmcv is installed')


@stand_ins_only
def test_an_operator_without_stand_in_says_so_when_called():
    layer = DeformConv2d(4, 4, 3, padding=1)
    with pytest.raises(MissingOperatorError) as error:
        layer(torch.zeros(1, 4, 8, 8), torch.zeros(1, 18, 8, 8))
    message = str(error.value)
    assert "'deform_conv_forward'" in message and 'pip install' in message and 'mmcv==2.1.0' in message
    assert '\n' not in message


@stand_ins_only
def test_special_names_are_not_operators():
    extension = importlib.import_module('mmcv._ext')
    assert not hasattr(extension, '__wrapped__')
    assert not hasattr(extension, '__path__')
    assert extension.__spec__.name == 'mmcv._ext'
    assert mmcv._ext is extension


@stand_ins_only
def test_environment_report_works():
    assert 'mmcv-lite' in collect_env()['MMCV Compiler']


@pytest.fixture
def without_extension(monkeypatch):
    """As before anything has put a module in place of ``mmcv._ext``."""
    monkeypatch.delitem(sys.modules, 'mmcv._ext')
    monkeypatch.delattr(mmcv, '_ext')
    yield
    sys.modules.pop('mmcv._ext', None)


def test_compiled_operators_are_left_alone(monkeypatch):
    compiled = ModuleType('mmcv._ext')
    monkeypatch.setitem(sys.modules, 'mmcv._ext', compiled)
    assert compiled_operators_installed()
    assert install_operators() is compiled
    assert not hasattr(compiled, 'nms')


def test_compiled_operators_that_do_not_load_are_an_error(without_extension, monkeypatch, tmp_path):
    (tmp_path / '_ext.py').write_text("raise ImportError('_ext.so: undefined symbol: _ZN3c10')")
    monkeypatch.setattr(mmcv, '__path__', [*mmcv.__path__, str(tmp_path)])
    with pytest.raises(ImportError, match=r'undefined symbol.*expected a build for the installed torch'):
        install_operators()


def test_compiled_operators_on_disk_are_found(without_extension, monkeypatch, tmp_path):
    (tmp_path / '_ext.py').write_text('nms = "compiled"')
    monkeypatch.setattr(mmcv, '__path__', [*mmcv.__path__, str(tmp_path)])
    assert install_operators().nms == 'compiled'


def run_python(code, *path):
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join([*map(str, path), os.getcwd()])}
    return subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', textwrap.dedent(code)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_broken_torchvision_is_not_used(monkeypatch, tmp_path):
    """As the wheel on PyPI beside a CPU-only torch: it is there, and importing it raises a RuntimeError."""
    (tmp_path / 'torchvision.py').write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'torchvision', raising=False)
    torchvision_kernels._work_on.cache_clear()
    try:
        assert not torchvision_kernels.work_for(torch.zeros(1))
    finally:
        torchvision_kernels._work_on.cache_clear()


WORKING_TORCHVISION = """
import torch
calls = []
library = torch.library.Library('torchvision', 'DEF')
library.define('nms(Tensor boxes, Tensor scores, float threshold) -> Tensor')
library.define('roi_align(Tensor i, Tensor r, float s, int h, int w, int n, bool a) -> Tensor')
library.define('_roi_align_backward(Tensor g, Tensor r, float s, int h, int w, int b, int c, int y, int x, '
               'int n, bool a) -> Tensor')

def nms(boxes, scores, threshold):
    calls.append(('nms', boxes.tolist()))
    return scores.argmax()[None]

def roi_align(features, rois, scale, h, w, samples, aligned):
    calls.append(('roi_align', scale, h, w, samples, aligned))
    return features.new_full((len(rois), features.shape[1], h, w), 7.0)

def roi_align_backward(grad, rois, scale, h, w, b, c, y, x, samples, aligned):
    calls.append(('roi_align_backward', scale, h, w, samples, aligned))
    return grad.new_full((b, c, y, x), 5.0)

library.impl('nms', nms, 'CompositeExplicitAutograd')
library.impl('roi_align', roi_align, 'CompositeExplicitAutograd')
library.impl('_roi_align_backward', roi_align_backward, 'CompositeExplicitAutograd')
"""


@stand_ins_only
def test_a_working_torchvision_is_used(tmp_path):
    (tmp_path / 'torchvision.py').write_text(WORKING_TORCHVISION)
    done = run_python(
        """
        import torch
        from mmrefseg.compat.ops import install_operators
        from mmcv.ops import nms, roi_align

        boxes = torch.tensor([[0.0, 0, 1, 1], [5, 5, 6, 6]])
        _, kept = nms(boxes, torch.tensor([0.1, 0.2]), iou_threshold=0.5)
        assert kept.tolist() == [1], kept  # the fake keeps one box; two do not overlap
        import torchvision
        torchvision.calls.clear()
        nms(boxes, torch.tensor([0.1, 0.2]), iou_threshold=0.5, offset=1)
        assert torchvision.calls.pop() == ('nms', [[0, 0, 2, 2], [5, 5, 7, 7]])

        features = torch.zeros(2, 3, 4, 5, requires_grad=True)
        rois = torch.tensor([[0.0, 0, 0, 2, 2]])
        pooled = roi_align(features, rois, (2, 6), 0.25, 3, 'avg', False)
        assert pooled.shape == (1, 3, 2, 6) and (pooled == 7).all()
        pooled.sum().backward()
        assert (features.grad == 5).all()
        arguments = (0.25, 2, 6, 3, False)
        assert torchvision.calls == [('roi_align', *arguments), ('roi_align_backward', *arguments)]

        # torchvision has no max pooling
        assert (roi_align(features, rois, (2, 6), 0.25, 3, 'max', False) == 0).all()
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
