"""A config's text is read as mmengine would run it, and nothing in it runs."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config

from mmrefseg.compat.config_text import read_config_text, untrusted_type
from mmrefseg.runs.config import load_config
from mmrefseg.utils import UserInputError
from mmrefseg.utils.places import shipped

SHIPPED = [
    'extended/box-refiner_tiny_m01_refshapes.py',
    'lavt/lavt_swin-b-w7_448_refcoco-unc.py',
    'mask_rcnn/mask-rcnn_r50-caffe_fpn_3x_coco.py',
    'partial_res/partial-res_darknet53_m05_refcoco-unc.py',
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)  # fmt: skip


@pytest.mark.parametrize('path', SHIPPED)
def test_shipped_configs_are_what_mmengine_reads(path):
    config = load_config(str(shipped(f'configs/{path}')))
    text = config.pretty_text
    found = read_config_text(text, path)
    assert found == Config.fromstring(text, '.py')._cfg_dict.to_dict() and len(found) > 10
    known = [found['model'], found['test_dataloader']]
    also = {'lavt', 'lavt_pytorch', 'RefSegDataset', 'CocoInstanceDataset', 'DefaultSampler'}
    assert untrusted_type(known, also) is None


@given(st.dictionaries(st.from_regex('[a-z_]{1,9}', fullmatch=True).map(lambda name: f'x{name}'), VALUES))
@settings(max_examples=30, deadline=None)
def test_plain_values_come_back(values):
    text = '\n'.join(f'{name} = {value!r}' for name, value in values.items())
    assert read_config_text(text, 'here') == values


@given(st.text(alphabet='dict(){}[]=,:\'"-+.x1\n #', max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_text_is_plain_values_or_one_sentence(text):
    try:
        assert isinstance(read_config_text(text, 'here'), dict)
    except UserInputError as error:
        assert '\n' not in str(error)


@pytest.mark.parametrize(
    'text',
    [
        'import os',
        "x = open('a')",
        'x = [a for a in y]',
        'x = (lambda: 1)()',
        "x = f'{1}'",
        'x = dict(**y)',
        "x = dict(__import__('os'))",
        'x.y = 1',
        'x = y = 1',
        'x = -"a"',
        'x = {[]: 1}',
        'x = 1 +',
        'x = b"a"',
        'x = 9 ** 9',
        'x = ' + '-' * 20_000 + '1',
        'x = ' + '(' * 20_000,
        "x = '" + 'a' * 5_000_001 + "'",
        "x = '\ud800'",
        "x = float('one')",
    ],
)
def test_more_than_plain_values_is_refused(text):
    with pytest.raises(UserInputError, match='more than plain values') as error:
        read_config_text(text, 'here')
    assert len(str(error.value)) < 400


def test_numbers_that_have_no_sign():
    found = read_config_text("x = [inf, -inf, nan, float('inf'), 1e9]", 'here')['x']
    assert found[:2] == [math.inf, -math.inf] and math.isnan(found[2]) and found[3:] == [math.inf, 1e9]


@pytest.mark.parametrize(
    ('wrong', 'said'),
    [
        ({'type': 'os.system'}, "'os.system'"),
        ({'a': [{'type': 'subprocess.run'}]}, "'subprocess.run'"),
        ({'type': 'mmdet.models.detectors.MaskRCNN'}, "'mmdet.models.detectors.MaskRCNN'"),
        ({'type': 'print'}, "'print'"),
        ({'type': 'CameraMotionCompensation', 'warp_mode': '1'}, "'CameraMotionCompensation'"),
        ({'type': None}, 'None'),
        ({'type': ['nms']}, "['nms']"),
        ({'type': 'os.nms'}, "'os.nms'"),
        ({'type': ''}, "''"),
    ],
)
def test_types_that_are_not_registered(wrong, said):
    assert untrusted_type({'model': {'type': 'MaskRCNN', 'inner': wrong}}) == said
    assert untrusted_type({'type': 'mmdet.MaskRCNN', 'nms': {'type': 'nms'}}) is None
