"""``--cfg-options``: values as they are written, and variables that reach what is computed from them."""

import pytest
from mmengine.config import Config, DictAction

from mmrefseg.runs.options import parse_value
from mmrefseg.runs.overrides import read_config
from mmrefseg.utils import UserInputError

REFSHAPES = 'configs/extended/box-frame_tiny_m100_refshapes.py'
WRITTEN = (
    *('1', '1,2', '(1,2)', '[1,2]', '[(1,2),(3,4)]', '[[a,b],c]', '', '[]', '()', '(1,)', '1,', 'None'),
    *('true', '1e-3', 'x.y/z', "'q'", '[a,[b,(c,1.5)]]', ',', 'none', 'nan', 'a(b', '-3', '[None,True]'),
    '"[1,2]"',
)  # fmt: skip


def resizes(config, loader='train_dataloader'):
    return [step.scale for step in config[loader].dataset.pipeline if step.type == 'RefResize']


@pytest.mark.parametrize('text', WRITTEN)
def test_values_are_those_of_mmengine(text):
    assert repr(parse_value(text)) == repr(DictAction._parse_iterable(text))


def test_values_that_mmengine_reads_otherwise():
    assert parse_value('my photos/') == 'my photos/' and parse_value('(1,2),(3,4)') == [(1, 2), (3, 4)]
    for text in ('[1,2', '1,2)', '[1,2)'):
        with pytest.raises(ValueError, match='brackets'):
            parse_value(text)


def test_a_variable_reaches_the_pipelines(repo_root):
    """One number for a square, ``a,b`` for a tuple, in a base of the config; a key below a variable, too."""
    path = str(repo_root / REFSHAPES)
    config = read_config(path, {'image_size': 320, 'max_epochs': 3, 'codec.num_points': 12})
    assert resizes(config) == resizes(config, 'val_dataloader') == [(320, 320)]
    assert config.train_cfg.max_epochs == config.param_scheduler[1].T_max == 3
    assert config.model.head.codec.num_points == 12
    assert resizes(read_config(path, {'image_size': [96, 64]})) == [(96, 64)]
    step = {'train_dataloader.dataset.pipeline.3.scale': [96, 64]}
    assert resizes(read_config(path, step)) == [(96, 64)] and resizes(read_config(path, {})) == [(128, 128)]


def test_statements_of_a_config(tmp_path):
    """In branches, several names at once, and a value that a later line changes; functions have their own."""
    path = tmp_path / 'c.py'
    path.write_text(
        'size: int = 1\nif size == 5:\n    lr, depth = 1, 2\nelse:\n    lr, depth = 3, 4\n'
        'def double(value):\n    size = value\n    return 2 * size\n'
        'lr += 1\nmodel = dict(depth=depth, lr=lr, width=double(7), size=size)\n'
    )
    assert read_config(str(path), {}).model == dict(depth=4, lr=4, width=14, size=1)
    assert read_config(str(path), {'size': 5}).model == dict(depth=2, lr=2, width=14, size=5)
    assert read_config(str(path), {'lr': 9}).model.lr == 9
    Config.fromfile(path)  # nothing stays behind
    assert Config.fromfile(path).size == 1


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        ({'imge_size': 3}, r"no 'imge_size' \(did you mean image_size\?\), and nothing would read it"),
        ({'zzz': 3}, "no 'zzz', and nothing would read it"),
        (
            {'few_masks.optimizer.lr': 1},
            r'no setting of this run is computed from.*optim_wrapper\.optimizer\.lr=\.\.\.',
        ),
        ({'image_size': 'x', 'lr': 1e-4, 'few_masks_loop': 1}, 'few_masks_loop: found a variable'),
        ({'env_cfg.cudnn_benchmrk': True}, r'did you mean cudnn_benchmark\?'),
    ],
)
def test_what_nothing_reads_is_refused(repo_root, options, said):
    with pytest.raises(UserInputError, match=said):
        read_config(str(repo_root / REFSHAPES), options)


def test_a_value_that_cannot_be_computed_with(repo_root):
    with pytest.raises(UserInputError, match=r"lr='x': .* cannot be computed with it \(TypeError"):
        read_config(str(repo_root / 'configs/mask_rcnn/mask-rcnn_tiny_refshapes.py'), {'lr': 'x'})
