"""Tables and plots of the experiment, from hand-made scores."""

import json

import pytest
from PIL import Image

from mmrefseg.experiments.report import write_experiment_report
from mmrefseg.experiments.stages import Stage
from mmrefseg.experiments.study import PartialStudy, Variant


def write_scores(study, name, **scores):
    path = study.scores(name)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(scores))


def test_mean_spread_table_and_plot(tmp_path):
    studies = [PartialStudy(tmp_path / f'seed{seed}', seed) for seed in (0, 1)]
    variants = [Variant(5), Variant(5, 'rpp'), Variant(100)]
    for study, shift in zip(studies, (0, 2), strict=True):
        write_scores(study, 'rec', acc50=80 + shift)
        for variant, miou in zip(variants[:2], (50, 60), strict=True):
            write_scores(study, variant.name, miou=miou + shift, oiou=40, p50=70, p90=10)
    write_scores(studies[0], variants[2].name, miou=75, oiou=70, p50=90, p90=20)

    summary = write_experiment_report(studies, variants, tmp_path)
    assert json.loads((tmp_path / 'summary.json').read_text()) == summary
    few = summary['variants']['m05_masks_only']
    assert few['miou'] == {'mean': 51.0, 'std': pytest.approx(1.41), 'values': [50, 52]}
    assert summary['variants']['m100_masks_only']['seeds'] == [0]
    assert summary['rec_acc50']['mean'] == 81
    table = (tmp_path / 'table.md').read_text()
    assert '| 5 % | + RPP | 61.0 ± 1.4 |' in table
    assert '| 100 % | all masks (ceiling) | 75.0 |' in table
    with Image.open(tmp_path / 'miou.png') as picture:
        assert picture.width > 500


def test_what_sees_all_pictures_can_train_for_longer(tmp_path):
    study = PartialStudy(tmp_path, 0, options=('train_cfg.val_interval=1',), long_epochs=9)

    def training(variant: Variant) -> Stage:
        return next(stage for stage in study.variant(variant) if 'tools/train.py' in stage.command)

    for variant in (Variant(100), Variant(5, 'rpp'), Variant(5, 'unselected')):
        stage = training(variant)
        assert 'train_cfg.max_epochs=9' in stage.command and stage.epochs == 9
        assert stage.command.index('train_cfg.val_interval=9') < stage.command.index(
            'train_cfg.val_interval=1'
        )
    few = training(Variant(5))
    assert 'train_cfg.max_epochs=9' not in few.command and few.epochs > 0
    assert 'train_cfg.max_epochs=9' not in next(iter(study.rec())).command


def test_no_stage_of_the_experiment_keeps_its_log_where_another_does(tmp_path):
    stages = PartialStudy(tmp_path, 0).stages([1, 5, 10])
    slugs, outputs = {stage.slug for stage in stages}, {stage.output for stage in stages}
    assert len(stages) == len(slugs) == len(outputs) == 6 + 3 * 9
