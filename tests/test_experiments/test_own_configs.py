"""From what a folder holds to choices and configs."""

import dataclasses
from pathlib import Path

import pytest

from mmrefseg.datasets.converters.own_folder import OwnData
from mmrefseg.experiments.own_folder import (
    choose,
    free_memory,
    hint,
    keep_choices,
    kept_choices,
    own_stages,
    write_own_run,
)
from mmrefseg.runs.config import load_config
from mmrefseg.utils import UserInputError

GB = 1e9
SQUARE = [[10, 10, 40, 10, 40, 40, 10, 40]]


def data(masks, objects=20, box=(10, 10, 30, 30), height=128, width=128, categories=1, val_masks=2):
    def record(number, with_mask):
        known = {'image_id': number, 'file_name': f'{number}.jpg', 'height': height, 'width': width}
        known.update(ref_id=number, sent_ids=[number], category_id=1 + number % categories, bbox=list(box))
        return {**known, 'expressions': ['the cup on it'], **({'mask': SQUARE} if with_mask else {})}

    train = [record(number, number < masks) for number in range(objects)]
    val = [record(100 + number, number < val_masks) for number in range(4)]
    return OwnData({'train': train, 'val': val}, Path('photos'), 'a test')


def test_choices_follow_the_data():
    few = choose(data(2), 16 * GB)
    assert (few.image_size, few.batch_size, few.repeats, few.num_categories) == (128, 8, 1, 0)
    assert few.max_tokens == 6
    assert choose(data(20), 16 * GB).repeats is None and choose(data(0), 16 * GB).repeats == 0
    assert choose(data(1, objects=100), 16 * GB).repeats == 15
    assert choose(data(2, categories=3), 16 * GB).num_categories == 4
    # small things need large images: 30 pixels of 1280 are 3 of 128, and 7.5 of the largest size
    assert choose(data(2, height=1280), 16 * GB).image_size == 320
    assert choose(data(2, height=230), 16 * GB).image_size == 128
    assert choose(data(2, height=256), 16 * GB).image_size == 192
    assert choose(data(2), 16 * GB, image_size=256).image_size == 256


def test_choices_follow_the_memory():
    sizes = [choose(data(2), memory * GB, 320).batch_size for memory in (1.65, 2.0, 4.0, 16.0)]
    assert sizes == sorted(sizes) and sizes[0] == 1 and sizes[-1] == 8
    with pytest.raises(
        UserInputError, match=r'memory: found 1\.0 GB free, expected 1\.\d GB for images of 128'
    ):
        choose(data(2), 1.0 * GB)
    assert free_memory() > 1e8
    for wrong in (100, 32):
        with pytest.raises(UserInputError, match='--image-size'):
            choose(data(2), 16 * GB, image_size=wrong)


def test_as_many_steps_whatever_the_number_of_images():
    short, long = choose(data(2, objects=40), 16 * GB), choose(data(2, objects=4000), 16 * GB)
    assert short.box_epochs == 200 and long.box_epochs == 2
    assert choose(data(2, objects=400), 16 * GB, steps=0.5).box_epochs == 10


def test_steps_lengthen_a_training_on_few_images_too():
    assert [choose(data(2, objects=8), 16 * GB, steps=times).box_epochs for times in (0.5, 1, 2)] == [
        150,
        300,
        600,
    ]
    for wrong, said in (
        (-1.0, '-1'),
        (0.0, '0'),
        (float('nan'), 'nan'),
        (float('inf'), 'inf'),
        (1e308, '1e+308'),
    ):
        with pytest.raises(UserInputError) as refused:
            choose(data(2), 16 * GB, steps=wrong)
        assert f'--steps: found {said}, expected a number above 0' in str(refused.value)


def test_a_hint_where_nothing_is_found():
    assert 'those that it has learned from' in hint({'res/miou': 0.0, 'res/acc50': 0.0, 'samples': 3})
    assert hint({'res/miou': 0.0, 'res/acc50': 2.5}) is None and hint({}) is None


@pytest.mark.parametrize(
    ('masks', 'val_masks', 'metric', 'dataset'),
    [
        (0, 0, 'RECMetric', 'RefSegDataset'),
        (2, 1, 'RESMetric', 'ConcatDataset'),
        (20, 0, 'RECMetric', 'RefSegDataset'),
    ],
)
def test_configs_can_be_read(tmp_path, masks, val_masks, metric, dataset):
    own = data(masks, val_masks=val_masks, categories=3)
    choices = choose(own, 16 * GB)
    boxes, mask = (load_config(str(path)) for path in write_own_run(own, choices, tmp_path))
    assert boxes.model.type == 'SeqTR' and len(boxes.model.auxiliary_heads) == 4
    assert boxes.model.auxiliary_heads[0].num_categories == 4
    assert boxes.model.language_model.max_tokens == boxes.model.language_model.vocabulary.max_tokens == 6
    assert boxes.train_cfg.max_epochs == choices.box_epochs
    assert mask.model.type == 'RefinedSegmentor' and 'auxiliary_heads' not in mask.model.segmentor
    assert mask.model.refiner.get('box_weight') == (None if masks == 20 else 1.0)
    assert mask.train_dataloader.dataset.type == dataset
    assert mask.val_evaluator.type == mask.test_evaluator.type == metric
    assert mask.test_dataloader.dataset.require_masks == (metric == 'RESMetric')
    assert mask.load_from == str(tmp_path / 'boxes' / 'best.pth')
    assert mask.train_cfg.max_epochs == choices.mask_epochs


def test_stages_lead_from_one_to_the_next(tmp_path):
    choices = dataclasses.replace(choose(data(2), 16 * GB), box_epochs=7, mask_epochs=9)
    stages = own_stages(tmp_path, choices, seed=3, options=['a.b=1'])
    assert [stage.epochs for stage in stages] == [7, 9, 0]
    assert [stage.output.relative_to(tmp_path).as_posix() for stage in stages] == [
        'boxes/best.pth', 'masks/best.pth', 'val.json',
    ]  # fmt: skip
    assert all(stage.command[-2:] == ('--cfg-options', 'a.b=1') for stage in stages[:2])
    assert str(stages[1].output) in stages[2].command
    assert not any('--log-to' in stage.command for stage in stages)
    watched = own_stages(tmp_path, choices, 3, ['a.b=1'], ['wandb', 'mlflow'])
    assert [stage.command[-4:-2] == ('--log-to', 'wandb,mlflow') for stage in watched] == [True, True, False]


def test_a_training_goes_on_with_what_it_began_with(tmp_path):
    own, asked = data(2), {'image_size': None, 'steps': 1.0}
    choices = choose(own, 16 * GB)
    write_own_run(own, choices, tmp_path)
    keep_choices(choices, tmp_path, asked)
    write_own_run(data(3), choices, tmp_path)  # nothing has begun
    assert kept_choices(tmp_path, asked) is None
    write_own_run(own, choices, tmp_path)
    (tmp_path / 'boxes').mkdir()
    assert kept_choices(tmp_path, asked) == choices and kept_choices(tmp_path, {'steps': 2}) is None
    write_own_run(own, choices, tmp_path)
    for other, others in ((data(3), choices), (own, dataclasses.replace(choices, batch_size=1))):
        with pytest.raises(
            UserInputError, match=r'found a training with another (instances\.json|boxes\.py)'
        ):
            write_own_run(other, others, tmp_path)
    commands = [stage.command for stage in own_stages(tmp_path, choices, 0)]
    assert [('--resume' in command) for command in commands] == [True, True, False]
