"""mmengine's files, whole or not at all."""

import pytest
import torch
from mmengine.runner import runner


class Unwritable:
    def __reduce__(self):
        raise ValueError('in the middle')


def test_a_checkpoint_is_whole_or_the_one_that_was_there(tmp_path):
    path = tmp_path / 'made' / 'a.pth'
    runner.save_checkpoint({'weight': torch.arange(3)}, str(path), file_client_args=None, backend_args=None)
    assert torch.load(path, weights_only=True)['weight'].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match='in the middle'):
        runner.save_checkpoint({'weight': torch.arange(4), 'other': Unwritable()}, str(path))
    assert torch.load(path, weights_only=True)['weight'].tolist() == [0, 1, 2]
    assert [file.name for file in path.parent.iterdir()] == ['a.pth']


def test_a_backend_of_the_users_is_mmengines_affair(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        'mmrefseg.compat.whole_files._save_checkpoint', lambda *args, **kw: asked.append(args)
    )
    runner.save_checkpoint({}, 's3://bucket/a.pth')
    runner.save_checkpoint({}, str(tmp_path / 'a.pth'), backend_args={'backend': 'local'})
    assert [args[1] for args in asked] == ['s3://bucket/a.pth', str(tmp_path / 'a.pth')]
