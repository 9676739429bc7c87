"""The rows of the rivals' table: what each trains on, in which order, and what the table says."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config
from PIL import Image

from mmrefseg.experiments.few_masks import leaves_of
from mmrefseg.experiments.rivals import BOXES, BY_NAME, CEILING, MASKS, METHODS, SHARES, RivalStudy, folder_of
from mmrefseg.experiments.rivals_table import read_rivals, rivals_table, write_rivals
from mmrefseg.utils import UserInputError


@pytest.fixture
def study(tmp_path, repo_root, monkeypatch) -> RivalStudy:
    monkeypatch.chdir(repo_root)
    return RivalStudy(tmp_path / 'rivals', 0, 'tiny', rec='mmrefseg://rec_tiny_refshapes', shared=tmp_path)


def options_of(command: list[str]) -> dict:
    pairs = command[command.index('--cfg-options') + 1 :]
    return dict(pair.split('=', 1) for pair in pairs)


def test_whose_pseudo_masks_are_needed_comes_first(study):
    stages = list(study.stages())
    names = [stage.name for stage in stages]
    assert len(set(names)) == len(names)
    assert names[0] == 'm100_ceiling'
    rows = [(share, method) for share in (100, *SHARES) for method in METHODS if share in method.shares]
    trained = [folder_of(method, share) for share, method in rows]
    assert set(trained) == {name for name in names if name.startswith('m') and ',' not in name}
    for share, method in rows:
        teacher = method.teacher(share)
        if teacher is not None:
            name = f'm{share:02d}_{method.name}'
            order = [
                f'm{share:02d}_{teacher}',
                f'pseudo masks of m{share:02d}_{teacher}',
                f'select {name}',
                name,
            ]
            places = [names.index(each) for each in order]
            assert places == sorted(places)


def test_with_no_masks_at_all_boxes_teach_first(study):
    names = [stage.name for stage in study.stages((0,), ('rpp',))]
    assert [name for name in names if ',' not in name] == [
        'm00_boxes',
        'pseudo masks of m00_boxes',
        'select m00_rpp',
        'm00_rpp',
    ]
    for method in METHODS:
        assert method.teacher(0) == (BOXES if method.start == MASKS else method.start)


def test_a_second_round_predicts_again(study):
    """Of the network that the first round has given."""
    names = [stage.name for stage in study.stages((1,), ('rounds',)) if ',' not in stage.name]
    rounds = [
        (f'm01_{name}', f'pseudo masks of m01_{name}', f'select m01_{after}')
        for name, after in (('masks', 'rpp'), ('rpp', 'rounds'))
    ]
    assert names == [*rounds[0], *rounds[1], 'm01_rounds']


def test_every_training_reads_its_own_file(study):
    """The options of a command reach each data set that its config trains on, and nothing else."""
    seen = 0
    for stage in study.stages():
        command = list(map(str, stage.command))
        if not command[1].endswith('train.py'):
            continue
        config = Config.fromfile(command[2])
        config.merge_from_dict(options_of(command))
        leaves = leaves_of(Path(command[2]))
        files = {_at(config, leaf)['ann_file'] for leaf in leaves}
        assert len(files) == 1
        share, method = stage.name[1:].split('_', 1)
        share, method = int(share), BY_NAME[method]
        assert Path(command[2]).stem.startswith(f'box-refiner_tiny_m{share:02d}')
        expected = f'{stage.name}.json' if method.start else f'instances_sample_{share}.json'
        if share == 100:
            expected = 'instances.json'
        assert Path(files.pop()).name == expected
        assert all(_at(config, leaf)['data_prefix']['img_path'].endswith('_tiny') for leaf in leaves)
        seen += 1
    assert seen == sum(len(method.shares) for method in METHODS)


def _at(config: Config, key: str):
    node = config
    for part in key.split('.'):
        node = node[int(part)] if part.isdigit() else node[part]
    return node


def test_the_table(study, tmp_path):
    """Means and spreads of the seeds that are done; shares of the ceiling over the seeds that both have."""
    studies = [study, RivalStudy(tmp_path / 'other', 1, 'tiny', rec='mmrefseg://rec_tiny_refshapes')]
    for place, each in enumerate(studies):
        for name, value in ((f'm100_{CEILING}', 80 + place), ('m01_rounds', 60 + 2 * place)):
            for split in ('val', 'testA'):
                path = each.scores(name, 'mask', split)
                if (place, name) != (1, 'm01_rounds'):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(json.dumps({'miou': value, 'p90': value / 2}))
    text = write_rivals(studies, tmp_path)
    lines = text.splitlines()
    assert len(lines) == 4
    assert '| 100 % | all masks, 24 epochs (ceiling) | 80.5 ± 0.7 | 40.2 ± 0.3 |' in lines[2] and lines[
        2
    ].endswith('| - | 2 |')
    assert lines[3].startswith('| 1 % | + RPP, twice | 60.0 | 30.0 |')
    assert lines[3].endswith('| 75 / 75 | 1 |')
    assert json.loads((tmp_path / 'rivals.json').read_text())['rows'][1]['method'] == 'rounds'
    assert (tmp_path / 'rivals.md').read_text() == text
    with Image.open(tmp_path / 'rivals.png') as plot:
        drawn = set(plot.convert('RGB').getdata())
    assert {(224, 108, 0), (34, 34, 34)} <= drawn  # rounds and the ceiling


def test_seeds_that_ran_elsewhere(study, tmp_path):
    """They join the table; of a seed that both have, the study's own counts."""
    for split, value in (('val', 60), ('testA', 58)):
        path = study.scores('m01_masks', 'mask', split)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({'miou': value, 'p90': value / 2}))
    scores = {'miou': {'values': [10, 64]}, 'p90': {'values': [10, 32]}}
    rows = [
        {'masks': 1, 'method': 'masks', 'seeds': [0, 1], 'val': scores, 'testA': scores},
        {'masks': 5, 'method': 'masks', 'seeds': [0, 1], 'val': scores, 'testA': scores},
    ]
    earlier = tmp_path / 'earlier.json'
    earlier.write_text(json.dumps({'size': 'tiny', 'rows': rows}))
    write_rivals([study], tmp_path, earlier)
    first, second = read_rivals(tmp_path / 'rivals.json', study)
    assert first['seeds'] == [0, 1] and first['val']['miou']['values'] == [60, 64]
    assert first['testA']['p90'] == {'mean': 30.5, 'std': 2.12, 'values': [29, 32]}
    assert (second['masks'], second['val']['miou']['values']) == (5, [10, 64])


def test_a_row_of_which_only_the_mean_is_known(study, tmp_path):
    """It stays until as many seeds have run again."""
    for split in ('val', 'testA'):
        path = study.scores('m05_boxes', 'mask', split)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({'miou': 60, 'p90': 30}))
    known = {'mean': 62.0, 'std': 0.5, 'values': None}
    splits = {split: {'miou': known, 'p90': known} for split in ('val', 'testA')}
    earlier = tmp_path / 'earlier.json'
    for seeds, expected in (([0, 1], 62.0), ([1], 60.0)):
        rows = [{'masks': 5, 'method': 'boxes', 'seeds': seeds, **splits}]
        earlier.write_text(json.dumps({'size': 'tiny', 'rows': rows}))
        write_rivals([study], tmp_path, earlier)
        (row,) = read_rivals(tmp_path / 'rivals.json', study)
        assert row['val']['miou']['mean'] == expected


@pytest.mark.parametrize(
    'content',
    [
        '[]',
        '{}',
        '{"rows": [{"method": "none", "masks": 1}]}',
        '{"rows": [{"method": "masks", "masks": 1, "seeds": [0]}]}',
        '{"rows": [{"method": "masks", "masks": 1, "seeds": [0], "val": {}}]}',
        '{"rows": [{"method": "masks", "masks": 1, "seeds": [0], "val": {"miou": {}, "p90": {}}}]}',
    ],
)
def test_what_is_no_table(study, tmp_path, content):
    (tmp_path / 'rivals.json').write_text(content)
    with pytest.raises(UserInputError, match=r'expected a rivals\.json'):
        read_rivals(tmp_path / 'rivals.json', study)


@pytest.mark.parametrize(
    'spoil',
    [
        lambda row: row.pop('testA'),
        lambda row: row.update(seeds=[]),
        lambda row: row.update(seeds='01'),
        lambda row: row['val']['miou'].update(values=[60]),
        lambda row: row['val']['miou'].update(values=[60, 'many']),
        lambda row: row['testA']['p90'].update(values=None, mean=None),
        lambda row: row['testA']['p90'].update(values=None) or row['testA']['p90'].pop('std'),
    ],
)
def test_rows_that_no_table_can_be_made_of(study, tmp_path, spoil):
    """Told before the trainings: the table comes after hours of them."""

    def split() -> dict:
        return {key: {'mean': 61.0, 'std': 1.4, 'values': [60, 62]} for key in ('miou', 'p90')}

    row = {'masks': 1, 'method': 'masks', 'seeds': [0, 1], 'val': split(), 'testA': split()}
    path = tmp_path / 'rivals.json'
    path.write_text(json.dumps({'size': 'tiny', 'rows': [row]}))
    assert len(read_rivals(path, study)) == 1
    spoil(row)
    path.write_text(json.dumps({'size': 'tiny', 'rows': [row]}))
    with pytest.raises(UserInputError, match=r'expected a rivals\.json'):
        read_rivals(path, study)


def test_seeds_of_another_size_do_not_join(study, repo_root):
    with pytest.raises(UserInputError, match=r"of RefShapes 'small', expected those of 'tiny'"):
        read_rivals(repo_root / 'docs/results/rivals.json', study)


def test_nothing_is_done(study, tmp_path):
    assert write_rivals([study], tmp_path) == rivals_table([]) == 'nothing is done yet\n'
