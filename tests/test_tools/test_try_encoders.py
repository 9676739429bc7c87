"""tools/misc/try_encoders.py: encoders train and predict (a sample; all in `make test-all`), its tables."""

import importlib.util
import re

import pytest
import torch
from mmengine.registry import DefaultScope
from sampling import ALL

from mmrefseg.experiments import encoder_trials
from mmrefseg.utils import UserInputError

SAMPLE = {'image encoders': ('siglip2', 'swin', 'hiera'), 'text encoders': ('bert', 'siglip')}


@pytest.fixture(scope='module')
def tool(repo_root):
    spec = importlib.util.spec_from_file_location('try_encoders', repo_root / 'tools/misc/try_encoders.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def trial(tmp_path_factory):
    with DefaultScope.overwrite_default_scope('mmdet'):
        return encoder_trials.Trial(tmp_path_factory.mktemp('trial'))


def rows_of(table):
    """Types of a table, without its head."""
    return re.findall(r'^\| `([\w-]+)` \|', table, re.MULTILINE)[1:]


@pytest.mark.parametrize('name', SAMPLE)
def test_they_train_and_predict(trial, name):
    """Five steps and a prediction; every parameter that learns has a gradient."""
    kinds = list(encoder_trials.TABLES[name][0]) if ALL else SAMPLE[name]
    table = encoder_trials.try_all(trial, name, kinds)
    assert rows_of(table) == list(kinds) and table.startswith(f'{len(kinds)} {name}')


def test_a_loss_that_teaches_nobody_is_an_error(trial):
    model = trial.seqtr()
    model.extra = torch.nn.Linear(1, 1)
    with pytest.raises(UserInputError, match=r"no gradient of .'extra.weight', 'extra.bias'"):
        trial.run(model)


def test_the_tables_are_of_these_encoders(tool):
    """As many as promised, and the page lists just them."""
    assert len(encoder_trials.IMAGE_ENCODERS) >= 20 and len(encoder_trials.TEXT_ENCODERS) >= 5
    page = tool.DOCS.read_text()
    for name, (encoders, _, _) in encoder_trials.TABLES.items():
        part = page.partition(f'<!-- {name}:')[2].partition(f'<!-- end of {name} -->')[0]
        assert rows_of(part) == list(encoders)
        assert tool.between_marks(page, name, 'new').count('new') == page.count('new') + 1 - part.count('new')
    with pytest.raises(UserInputError, match='no marks of'):
        tool.between_marks('', 'text encoders', 'new')


def test_an_unknown_type(tool, capsys):
    with pytest.raises(SystemExit, match='2'):
        tool.main(['--only', 'swinn'])
    assert "found 'swinn' (did you mean swin" in capsys.readouterr().err
