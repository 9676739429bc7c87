"""tools/model_converters/detectron2.py on files with the names and shapes of detectron2's."""

import io
import json
import os
import pickle

import numpy as np
import pytest
import torch

from mmrefseg.checkpoints.from_detectron2 import CAFFE2_KEYS, DETECTRON2_KEYS, read_detectron2
from mmrefseg.compat.checkpoint import load_checkpoint_file
from mmrefseg.utils import UserInputError

HOSTS = ('R-50_d2_host', 'R-50_detectron1_host', 'R-101_d2_host', 'R-101_detectron1_host')
TOOL = 'model_converters/detectron2.py'


@pytest.fixture(scope='module')
def lavt(golden_dir):
    return golden_dir / 'lavt'


def caffe2(lavt, host):
    return json.loads((lavt / f'd2_c2_{host}.json').read_text())


def made_up(spec):
    """Arrays of a key list: each holds its number in the list."""
    return {key: np.full(shape, number, dtype) for number, (key, (shape, dtype)) in enumerate(spec.items())}


def write(content, path):
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path


@pytest.mark.parametrize('host', HOSTS)
def test_caffe2_names_meet_those_of_detectron2(lavt, host):
    """Both ways to our names lead to the same: Caffe2's directly, and by detectron2's own renaming."""
    facts = caffe2(lavt, host)
    assert len(facts['to_detectron2']) > 150
    for theirs, detectron2 in facts['to_detectron2'].items():
        assert CAFFE2_KEYS.rename(theirs) == DETECTRON2_KEYS.rename(detectron2) is not None
    mapped = CAFFE2_KEYS(dict.fromkeys(facts['spec']))
    assert sorted(mapped.dropped) == sorted(facts['unused']) and not mapped.left_over


def test_zoo_pickle(tools, lavt):
    """The file of the model zoo: every key of ours gets one of theirs; buffers of old files are dropped."""
    spec = json.loads((lavt / 'spec_d2_maskrcnn_r50_fpn_1x.json').read_text())
    state = made_up(spec)
    extra = {'pixel_mean': np.zeros((3, 1, 1), 'float32')}
    extra |= {
        f'proposal_generator.anchor_generator.cell_anchors.{n}': np.zeros((3, 4), 'float32') for n in range(5)
    }
    formats = json.loads((lavt / 'd2_checkpoint_format.json').read_text())
    content = {'model': state | extra, '__author__': formats['zoo_author']}
    assert list(content) == formats['zoo_pkl_top_keys']
    file = write(content, tools.folder / 'model_final_a54504.pkl')
    done = tools.succeed(TOOL, file, 'r50.pth')
    file.unlink()
    assert '360 converted, 6 dropped, 0 missing, 0 mismatched, 0 left over' in done.stdout
    assert 'detector of 80 classes' in done.stdout and 'mask-rcnn_r50-caffe_fpn_3x_coco.py' in done.stdout
    found = load_checkpoint_file(tools.folder / 'r50.pth')['state_dict']
    numbers = {key: int(value.flatten()[0]) for key, value in found.items() if 'num_batches' not in key}
    assert sorted(numbers.values()) == list(range(len(spec)))
    names = list(spec)
    for ours, theirs in {
        'neck.fpn_convs.3.conv.bias': 'backbone.fpn_output5.bias',
        'backbone.layer3.5.bn2.running_var': 'backbone.bottom_up.res4.5.conv2.norm.running_var',
        'rpn_head.rpn_reg.weight': 'proposal_generator.rpn_head.anchor_deltas.weight',
        'roi_head.bbox_head.fc_reg.weight': 'roi_heads.box_predictor.bbox_pred.weight',
        'roi_head.mask_head.convs.0.conv.weight': 'roi_heads.mask_head.mask_fcn1.weight',
    }.items():
        assert names[numbers[ours]] == theirs
    (tools.folder / 'r50.pth').unlink()


@pytest.mark.parametrize('host', ['R-50_detectron1_host', 'R-101_d2_host'])
def test_backbone_pickle(tools, lavt, host):
    """ImageNet weights become what ``init_cfg=dict(type='Pretrained')`` reads; statistics are made."""
    facts = caffe2(lavt, host)
    file = write(made_up(facts['spec']), tools.folder / 'R.pkl')
    done = tools.succeed(TOOL, file, 'R.pth')
    file.unlink()
    assert f'{len(facts["unused"])} dropped, 0 missing' in done.stdout and 'backbone, for' in done.stdout
    found = load_checkpoint_file(tools.folder / 'R.pth')['state_dict']
    (tools.folder / 'R.pth').unlink()
    assert not any(key.startswith('backbone.') for key in found)
    names = list(facts['spec'])
    assert names[int(found['layer1.0.downsample.0.weight'].flatten()[0])] == 'res2_0_branch1_w'
    variance = facts['running_var_when_absent_from_pickle']
    if variance is not None:
        assert (found['bn1.running_var'] == variance).all() and not found['bn1.running_mean'].any()


def test_other_files_are_read(tmp_path):
    """Detectron's ``blobs`` with the state of its optimizer; a backbone's names without prefix, of a .pth."""
    blocks = {f'res4_{n}_branch2a_w': np.ones((1, 1, 1, 1), 'float32') for n in range(6)}
    blobs = {'conv1_w': np.ones((1, 1, 1, 1), '>f4'), 'conv1_w_momentum': np.ones(1, 'float32'), **blocks}
    found = read_detectron2(write({'blobs': blobs}, tmp_path / 'old.pkl'))
    assert (
        found.depth == 50 and found.backbone_only and 'backbone.layer3.5.conv1.weight' in found.mapped.state
    )
    assert found.mapped.state['backbone.conv1.weight'].tolist() == [[[[1.0]]]]
    state = {f'res4.{n}.conv1.weight': torch.ones(1) for n in range(23)}
    torch.save({'model': state, 'iteration': 3}, tmp_path / 'x.pth')
    assert read_detectron2(tmp_path / 'x.pth').depth == 101


class Evil:
    def __reduce__(self):
        return os.system, ('touch /tmp/never',)


def test_bad_files(tools):
    """One sentence each, and nothing is run."""
    objects = io.BytesIO()
    pickle.dump({'model': {'a': np.array([{}], dtype=object)}}, objects, protocol=2)
    cases = {
        'system': (pickle.dumps({'model': {'a': Evil()}}), 'system'),
        'objects': (objects.getvalue(), 'a pickle that would call'),
        'nothing': (pickle.dumps({'model': {}}), 'no weights by name'),
        'text': (pickle.dumps({'model': {'a': 'b'}}), 'a of type str'),
        'depth': (pickle.dumps({'model': {'res4.0.conv1.weight': np.zeros(1)}}), '1 blocks in res4'),
    }
    for name, (content, words) in cases.items():
        (tools.folder / f'{name}.pkl').write_bytes(content)
        assert words in tools.fail(TOOL, f'{name}.pkl', 'out.pth'), name
    blocks = {f'res4.{n}.conv1.weight': np.zeros((1, 1, 1, 1), 'float32') for n in range(6)}
    write({'model': {**blocks, 'roi_heads.other': np.zeros(1, 'float32')}}, tools.folder / 'rest.pkl')
    error = tools.fail(TOOL, 'rest.pkl', 'out.pth')
    assert '1 keys without a place here (roi_heads.other)' in error and 'missing' in error
    assert not (tools.folder / 'out.pth').exists()


def test_errors_name_the_file(tmp_path):
    with pytest.raises(UserInputError, match=r'nowhere\.pkl: found no such file'):
        read_detectron2(tmp_path / 'nowhere.pkl')
