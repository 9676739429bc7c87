"""Chosen masks against masks at random: what each row trains on and for how long, and what the table says."""

import json

import pytest

from mmrefseg.experiments.choice import COVERED, RANDOM, ROWS, SPREAD, ChoiceStudy, choice_table, write_choice


@pytest.fixture
def studies(tmp_path, repo_root, monkeypatch) -> list[ChoiceStudy]:
    monkeypatch.chdir(repo_root)
    made = []
    for seed in (0, 1):
        shared, chooser = tmp_path / f'seed{seed}', made[0] if made else None
        study = ChoiceStudy(
            shared / 'rivals', seed, rec='mmrefseg://rec_tiny_refshapes', shared=shared, chooser=chooser
        )
        made.append(study)
    return made


def test_the_first_network_chooses_for_all_seeds(studies):
    first, second = ([stage.name for stage in study.stages()] for study in studies)
    rest = ['m01_masks', f'choose {RANDOM}', RANDOM, f'choose {SPREAD}', SPREAD, f'choose {COVERED}', COVERED]
    assert [name for name in first if ',' not in name] == ['m00_boxes', 'pseudo masks of m00_boxes', *rest]
    assert [name for name in second if ',' not in name] == rest
    chosen = [{s.name: s for s in study.stages()}[f'choose {SPREAD}'].command for study in studies]
    assert {command[command.index('--predictions') + 1] for command in chosen} == {
        str(studies[0].work_dir('m00_boxes') / 'pseudo')
    }
    assert [command[command.index('--seed') + 1] for command in chosen] == ['0', '1']


def test_half_of_the_masks_come_twice_as_often(studies):
    stages = {stage.name: stage for stage in studies[0].stages()}
    for name in (RANDOM, SPREAD, COVERED):
        choice, training = stages[f'choose {name}'], stages[name].command
        assert choice.command[choice.command.index('--budget') + 1] == '0.5%'
        assert ('--random' in choice.command) == (name == RANDOM)
        assert '--overwrite' in choice.command  # what a stopped run has left
        assert (
            f'train_dataloader.dataset.dataset.ann_file={choice.command[choice.command.index("--apply") + 1]}'
            in training
        )
        assert 'train_dataloader.dataset.times=80' in training
        assert stages['m01_masks'].epochs == stages[name].epochs
    assert not [option for option in stages['m01_masks'].command if 'times' in option]


def test_the_table_has_the_rows_that_are_done(studies, tmp_path):
    assert write_choice(studies, tmp_path) == choice_table([]) == 'nothing is done yet\n'
    for study, miou in zip(studies, (80.0, 82.0), strict=True):
        for name in ROWS if study.seed == 0 else (COVERED,):
            for split in ('val', 'testA'):
                path = study.scores(name, 'mask', split)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps({'miou': miou, 'p90': 70.0}))
    table = write_choice(studies, tmp_path).splitlines()
    assert table[2].startswith('| 1 % at random | 80.0 |') and table[2].endswith('| 1 |')
    assert table[5].startswith('| 0.5 % chosen, facility | 81.0 ± 1.4 | 70.0 ± 0.0 |') and table[5].endswith(
        '| 2 |'
    )
    rows = json.loads((tmp_path / 'choice.json').read_text())['rows']
    assert [row['seeds'] for row in rows] == [[0], [0], [0], [0, 1]]
