"""The table and the errors that all checkpoint converters share."""

import pytest
import torch

from mmrefseg.checkpoints.conversion_report import ConversionReport, write_checkpoint
from mmrefseg.compat.checkpoint import load_checkpoint_file
from mmrefseg.compat.key_map import KeyMap
from mmrefseg.utils import UserInputError
from mmrefseg.utils.errors import explain_os_error

KEYS = KeyMap([(r'enc\.(\d+)\.(w|b)', r'encoder.\1.\2')], drop=[r'enc\.buffer'])
EXPECTED = {'encoder.0.w': (2, 3), 'encoder.0.b': (2,), 'encoder.1.w': (2, 3), 'head.w': (4,)}


@pytest.fixture
def report():
    """One key of every fate: two go over, one is cut, one is fixed, one is unknown, one missing, one odd."""
    state = {
        'module.enc.0.w': torch.ones(2, 3),
        'module.enc.1.w': torch.ones(2, 3),
        'module.enc.0.b': torch.ones(5),
        'module.enc.buffer': torch.ones(1),
        'module.what': torch.ones(1),
        'module.enc.7.w': torch.ones(2, 3),
    }
    return ConversionReport.compare(KEYS(state), EXPECTED, notes={'encoder.1.w': 'turned round'})


def test_every_key_has_its_fate(report):
    assert set(report.state) == {'encoder.0.w', 'encoder.1.w'}
    assert report.origin['encoder.0.w'] == 'module.enc.0.w'
    assert report.left_over == ['module.what', 'module.enc.7.w'], 'no rule, and no such layer in our model'
    assert report.missing == ['head.w']
    assert report.mismatched == {'encoder.0.b': ((5,), (2,))}
    assert report.dropped == {'module.enc.buffer': 'fixed buffer'}
    assert report.summary() == '2 converted, 1 dropped, 1 missing, 1 mismatched, 2 left over; 12 numbers'


def test_table_names_every_fate(report):
    lines = report.table(every_key=True).splitlines()
    assert len(lines) == 1 + 7 + 1
    rows = {line.split()[0] + ' ' + line.split()[1]: ' '.join(line.split()[3:]) for line in lines[1:-1]}
    assert rows == {
        'module.enc.0.w encoder.0.w': '2x3',
        'module.enc.1.w encoder.1.w': '2x3 turned round',
        'module.enc.0.b encoder.0.b': '5 OTHER SHAPE, expected 2',
        'module.enc.buffer -': 'left out: fixed buffer',
        'module.what -': 'LEFT OVER',
        'module.enc.7.w -': 'LEFT OVER',
        '- head.w': 'MISSING',
    }


def test_families_of_keys_are_one_line():
    state = {f'enc.{layer}.{leaf}': torch.ones(2) for layer in range(12) for leaf in 'wb'}
    expected = {f'encoder.{layer}.{leaf}': (2,) for layer in range(12) for leaf in 'wb'}
    lines = ConversionReport.compare(KEYS(state), expected).table().splitlines()
    assert [line.split() for line in lines[1:-1]] == [
        ['enc.*.w', 'encoder.*.w', '12', '2'],
        ['enc.*.b', 'encoder.*.b', '12', '2'],
    ]


@pytest.mark.parametrize(
    ('allow', 'complaint'),
    [
        ([], r'2 keys without a place here \(module\.what, .*1 keys missing \(head\.w\), 1 keys of another'),
        (['module.*'], r'found 1 keys missing \(head\.w\), expected'),
        (
            ['module.enc.7.w', 'head.w', 'encoder.0.b'],
            r'found 1 keys without a place here \(module\.what\), e',
        ),
        (
            ['module.what', 'module.enc.7.w', 'hea?.w'],
            r'found 1 keys of another shape \(module\.enc\.0\.b \(5,',
        ),
        (['module.what', 'module.enc.7.w', 'head.*', 'encoder.0.b'], None),
        (['module.what', 'module.enc.7.w', 'head.*', '*enc.0.b'], None),
    ],
)
def test_what_is_not_named_is_an_error(report, allow, complaint):
    if complaint is None:
        report.require_complete('some.pth', allow)
        return
    with pytest.raises(UserInputError, match=rf'^some\.pth: .*{complaint}'):
        report.require_complete('some.pth', allow)


def test_written_checkpoints_load_safely(tmp_path):
    write_checkpoint(tmp_path / 'a' / 'b.pth', {'w': torch.arange(3)}, original='X', conventions={'a': True})
    back = load_checkpoint_file(tmp_path / 'a' / 'b.pth')
    assert back['state_dict']['w'].tolist() == [0, 1, 2]
    assert back['meta']['original'] == 'X' and back['meta']['conventions'] == {'a': True}
    with pytest.raises(UserInputError, match=r'found another ending, expected \.pth'):
        write_checkpoint(tmp_path / 'b.pt', {})
    (tmp_path / 'file').touch()
    with pytest.raises(OSError) as error:
        write_checkpoint(tmp_path / 'file' / 'b.pth', {})
    assert explain_os_error(error.value) == (
        f'{tmp_path / "file"}: found a file, expected a folder; name another place'
    )
