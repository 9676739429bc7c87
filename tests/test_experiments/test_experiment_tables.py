"""Tables and plots of the experiment, from hand-made scores."""

import json

import pytest
from PIL import Image

from mmrefseg.experiments.ablation import BOTH, BOX_PARTS, MASK_PARTS, Ablation
from mmrefseg.experiments.experiment_tables import write_experiment_report
from mmrefseg.experiments.few_masks import BOX_FRAME, PARTIAL_RES, PartialStudy, Variant
from mmrefseg.utils import UserInputError
from mmrefseg.utils.files import PICKLE


def write_scores(path, **scores):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(scores))


def make_studies(folder, network):
    """Seeds 0 and 1 of a network, as the experiment lays them out."""
    return [
        PartialStudy(
            folder / f'seed{seed}' / network.name, seed, network=network, shared=folder / f'seed{seed}'
        )
        for seed in (0, 1)
    ]


@pytest.fixture
def summary(tmp_path):
    """Two networks, two seeds; on val the cells read few masks better than the decoder does, and RPP worse.

    On testA it is the other way round, which must not count.
    """
    studies = [study for network in (PARTIAL_RES, BOX_FRAME) for study in make_studies(tmp_path, network)]
    variants = [Variant(5), Variant(5, 'rpp'), Variant(100)]
    for study in studies:
        write_scores(study.rec_scores, acc50=80 + 2 * study.seed)
        for variant, decoder, cells in zip(variants[:2], (56, 60), (54, 62), strict=True):
            for readout in study.network.readouts:
                miou = (decoder if readout == 'decoder' else cells) + 2 * study.seed
                write_scores(study.scores(variant.name, readout), miou=miou, oiou=40, p50=70, p90=10)
                write_scores(study.scores(variant.name, readout, 'val'), miou=150 - miou)
    write_scores(studies[0].scores(variants[2].name, 'decoder'), miou=75, oiou=70, p50=90, p90=20)
    return write_experiment_report(studies, variants, tmp_path)


def test_summary_keeps_networks_and_readouts_apart(summary, tmp_path):
    assert json.loads((tmp_path / 'summary.json').read_text()) == summary
    keys = [(row['network'], row['readout'], row['ratio'], row['selection']) for row in summary['rows']]
    assert len(keys) == len(set(keys)) == 3 + 4
    assert ('partial-res', 'cells', 5, 'rpp') not in keys and ('box-frame', 'cells', 5, 'rpp') in keys
    few = summary['rows'][0]
    assert few['miou'] == {'mean': 57.0, 'std': pytest.approx(1.41), 'values': [56, 58]}
    ceiling = next(row for row in summary['rows'] if row['ratio'] == 100)
    assert ceiling['seeds'] == [0]
    assert summary['rec_acc50'] == {'mean': 81.0, 'std': pytest.approx(1.41), 'values': [80, 82]}


def test_table_names_network_and_readout(summary, tmp_path):
    table = (tmp_path / 'table.md').read_text().splitlines()
    assert table[0].startswith(
        '| network | masks | trained on | mIoU, decoder | P@0.9, decoder | mIoU, cells |'
    )
    assert len({line.count('|') for line in table if line.startswith('|')}) == 1
    assert '| Partial-RES | 5 % | + RPP | 61.0 ± 1.4 | 10.0 ± 0.0 | - | - | 2 |' in table
    assert '| BoxFrame | 5 % | + RPP | 61.0 ± 1.4 | 10.0 ± 0.0 | 63.0 ± 1.4 | 10.0 ± 0.0 | 2 |' in table
    assert '| Partial-RES | 100 % | all masks (ceiling) | 75.0 | 20.0 | - | - | 1 |' in table
    said = '5 % of the masks: masks only'
    assert f'- Partial-RES, {said} 57.0 (decoder), + RPP 61.0 (decoder), +4.0 (seeds 0, 1)' in table
    assert f'- BoxFrame, {said} 55.0 (cells), + RPP 61.0 (decoder), +6.0 (seeds 0, 1)' in table


def test_no_readout_is_called_best_before_val_has_said_so(summary, tmp_path):
    study = make_studies(tmp_path, BOX_FRAME)[1]
    variants = [Variant(5), Variant(5, 'rpp')]
    study.scores('m05_rpp', 'cells', 'val').unlink()
    found = write_experiment_report([study], variants, tmp_path)
    assert [row['val_miou'] is None for row in found['rows']] == [False, False, False, True]
    assert 'Best readout' not in (tmp_path / 'table.md').read_text()


def test_stages_are_compared_over_the_seeds_that_both_have(tmp_path):
    studies = make_studies(tmp_path, PARTIAL_RES)
    for study in studies:
        found = study.scores('m05_masks_only', 'decoder')
        write_scores(found, miou=50 + 20 * study.seed, oiou=40, p50=70, p90=10)
    write_scores(studies[0].scores('m05_rpp', 'decoder'), miou=60, oiou=40, p50=70, p90=10)
    write_experiment_report(studies, [Variant(5), Variant(5, 'rpp')], tmp_path)
    expected = 'masks only 50.0 (decoder), + RPP 60.0 (decoder), +10.0 (seeds 0)'
    assert expected in (tmp_path / 'table.md').read_text()


def test_plot_has_a_panel_for_each_readout(summary, tmp_path):
    with Image.open(tmp_path / 'miou.png') as image:
        assert image.width > 3 * 400 and len(set(image.convert('L').getdata())) > 50


def test_one_checkpoint_for_all_seeds_counts_once(tmp_path):
    rec = tmp_path / 'rec.pth'
    rec.write_bytes(PICKLE)
    studies = [PartialStudy(tmp_path / str(seed), seed, rec=str(rec)) for seed in (0, 1)]
    for study in studies:
        write_scores(study.rec_scores, acc50=80)
    found = write_experiment_report(studies, [], tmp_path)['rec_acc50']
    assert found == {'mean': 80, 'std': None, 'values': [80]}


@pytest.mark.parametrize('network', [PARTIAL_RES, BOX_FRAME])
def test_no_stage_of_the_experiment_keeps_its_log_where_another_does(tmp_path, network):
    stages = PartialStudy(tmp_path, 0, network=network).stages([1, 5, 10, 100])
    slugs, outputs = {stage.slug for stage in stages}, {stage.output for stage in stages}
    tests = len(network.readouts) if len(network.readouts) == 1 else 2 * len(network.readouts)  # val, testA
    # ten trainings, each tested by every readout; for each share, predictions and two selections
    assert len(stages) == len(slugs) == len(outputs) == 10 * (1 + tests) + 3 * 3


def test_ratios_and_selections_run_in_the_order_they_are_named(tmp_path):
    study = PartialStudy(tmp_path, 0, network=PARTIAL_RES)

    def trained(*args):
        return [stage.name for stage in study.stages(*args) if stage.epochs]

    assert trained([100, 5], ['rpp']) == ['all masks', '5 % of the masks', '5 % of the masks + RPP']
    assert trained([1], ['unselected', 'rpp'])[1:] == [
        '1 % of the masks + all pseudo masks', '1 % of the masks + RPP'
    ]  # fmt: skip
    assert trained([5], ['masks_only']) == ['5 % of the masks']
    assert not any('pseudo' in stage.name for stage in study.stages([5], ['masks_only']))


def test_networks_differ_in_config_and_readout_and_share_all_else(tmp_path):
    plain, boxes = (make_studies(tmp_path, network)[0] for network in (PARTIAL_RES, BOX_FRAME))
    assert plain.rec_checkpoint == boxes.rec_checkpoint and plain.sample(5) == boxes.sample(5)
    assert plain.folder != boxes.folder
    tests = [stage.command for stage in boxes.variant(Variant(5)) if stage.name.startswith('test')]
    assert ['model.head.contours_from=cells' in command for command in tests] == [False, True]
    commands = ' '.join(word for stage in plain.stages([5]) for word in stage.command)
    assert 'contours_from' not in commands and 'box-frame_tiny' not in commands
    assert list(plain.rec()) == list(boxes.rec())


def test_a_boxes_only_network_that_is_given_is_tested_and_not_trained(tmp_path):
    rec = tmp_path / 'rec.pth'
    with pytest.raises(UserInputError, match=r'--rec .*rec\.pth: found no such file'):
        PartialStudy(tmp_path, 0, rec=str(rec))
    rec.touch()
    with pytest.raises(UserInputError, match=r'--rec .*rec\.pth: found an empty file'):
        PartialStudy(tmp_path, 0, rec=str(rec))
    rec.write_bytes(PICKLE)
    study = PartialStudy(tmp_path, 0, rec=str(rec))
    assert [stage.name for stage in study.rec()] == ['test: boxes only']
    train = next(stage for stage in study.variant(Variant(5)) if 'train.py' in stage.command[1])
    assert train.command[train.command.index('--load-from') + 1] == str(rec)


def test_ablation_trains_and_tests_every_part_on_both_splits(tmp_path):
    rec = tmp_path / 'rec.pth'
    rec.write_bytes(PICKLE)
    ablation = Ablation(PartialStudy(tmp_path, 0, rec=str(rec)), rec_epochs=3)
    stages = list(ablation.stages())
    slugs, outputs = {stage.slug for stage in stages}, {stage.output for stage in stages}
    tests = 2 * (sum(len(part.readouts) for part in MASK_PARTS) + len(BOX_PARTS))
    assert len(stages) == len(slugs) == len(outputs) == len(MASK_PARTS) + len(BOX_PARTS) + tests
    starts = ['--load-from' in stage.command for stage in stages if stage.epochs]
    assert starts == [True] * len(MASK_PARTS) + [False] * len(BOX_PARTS)
    for part in (*MASK_PARTS, *BOX_PARTS):
        for split in ('val', 'testA'):
            for readout in part.readouts or (None,):
                write_scores(ablation.scores(part, split, readout), miou=60, p90=5, acc50=80)
    table = ablation.write_report()
    assert (tmp_path / 'ablation.md').read_text() == table + '\n'
    lines = table.splitlines()
    assert '| all of it | 60.0 | 5.0 | 60.0 | 5.0 | 60.0 | 5.0 | 60.0 | 5.0 |' in lines
    assert '| no dense mask of the cells | 60.0 | 5.0 | - | - | 60.0 | 5.0 | - | - |' in lines
    assert '| no word loss | 80.0 | 80.0 |' in lines
    rows = json.loads((tmp_path / 'ablation.json').read_text())['rows']
    assert len(rows) == len(MASK_PARTS) + len(BOX_PARTS) and set(BOTH) == {'decoder', 'cells'}
