"""A folder of photos, ten masks, and nothing else said: configs that train."""

import json
import shutil

import pytest
from PIL import Image

from mmrefseg.experiments.own_folder import named_scores


@pytest.fixture
def mine(tools, tmp_path):
    """A folder with the training images of the tools' data set as photos, most masks taken away."""
    source, folder = tools.folder / 'data', tmp_path / 'mine'
    records = json.loads((source / 'instances.json').read_text())['train']
    (folder / 'images').mkdir(parents=True)
    for record in records:
        record['file_name'] = f'{record["image_id"]}.png'
        shutil.copy(source / 'images' / record['file_name'], folder / 'images')
    for record in records[4:]:
        del record['mask']
    (folder / 'instances.json').write_text(json.dumps({'train': records}))
    return folder


def test_from_a_folder_to_masks(tools, mine, tmp_path):
    run = tmp_path / 'run'
    done = tools.succeed(
        'train_folder.py', mine, '--folder', run, '--dry-run', '--steps', '0.001', '--image-size', '64'
    )
    assert 'held out for it' in done.stdout and 'vocabulary=dict(ann_file=ann_file' in done.stdout
    assert '4 masks' in done.stdout and '1 epochs for boxes, 1 for masks' in done.stdout
    for name in ('boxes', 'masks'):
        log = tools.succeed('train.py', run / f'{name}.py', '--work-dir', run / name).stdout
        assert 'rec/acc50' in log and (run / name / 'best.pth').exists()


def test_what_is_wrong_is_said_first(tools, tmp_path):
    assert 'found no folder' in tools.fail('train_folder.py', tmp_path / 'none')
    (tmp_path / 'empty').mkdir()
    assert 'found no annotations' in tools.fail(
        'train_folder.py', tmp_path / 'empty', '--folder', tmp_path / 'x'
    )
    words = (tmp_path / 'none', '--folder', tmp_path / 'x', '--log-to')
    assert 'did you mean wandb?' in tools.fail('train_folder.py', *words, 'wandbb')
    assert not (tmp_path / 'x').exists()


def test_the_folder_of_the_photos_stays_as_it_is(tools, mine):
    before = sorted(mine.rglob('*'))
    assert 'found the folder of the photos' in tools.fail(
        'train_folder.py', mine, '--folder', mine, '--dry-run'
    )
    assert sorted(mine.rglob('*')) == before


def test_files_of_a_labeller_beside_the_ones_that_count_are_named(tools, mine, tmp_path):
    (mine / 'a.json').write_text(json.dumps({'shapes': [], 'imagePath': 'a.png'}))
    (mine / 'b.json').write_text(json.dumps({'shapes': [], 'imagePath': 'b.png'}))
    done = tools.succeed('train_folder.py', mine, '--folder', tmp_path / 'run', '--dry-run')
    assert 'instances.json was read, 2 other annotation files not (a.json, ...)' in done.stdout


def test_scores_say_what_was_scored():
    boxes = {'acc50': 100.0, 'box_miou': 85.0, 'about': {}}
    said = (
        'boxes with IoU ≥ 0.5 100.0 %, mean IoU of boxes 85.0 %; no mask of val is known, so none was scored'
    )
    assert named_scores(boxes) == said
    assert named_scores({'miou': 61.25, 'p50': 70.0}) == 'mean IoU 61.2 %, p50 70.0 %'


def test_photos_are_looked_at_first(tools, mine, tmp_path):
    words = ('train_folder.py', mine, '--folder', tmp_path / 'x', '--dry-run')
    photos = sorted((mine / 'images').iterdir(), key=lambda path: path.name)
    whole = photos[1].read_bytes()
    photos[1].write_bytes(whole[: len(whole) // 2])
    said = tools.fail(*words)
    assert (
        f'error: {photos[1]}: found a truncated image ({len(whole) // 2} bytes), expected a complete' in said
    )
    photos[0].write_text('no image')
    said = tools.fail(*words)
    assert (
        f'2 of {len(photos)} images cannot be trained on, the first is {photos[0]}: found a file that' in said
    )
    photos[1].write_bytes(whole)
    photos[0].write_bytes(b'')
    assert f'{photos[0]}: found an empty file (0 bytes)' in tools.fail(*words)
    Image.new('RGB', (20, 10)).save(photos[0])
    assert f'{photos[0]}: found an image of 20 x 10 pixels, expected ' in tools.fail(*words)
    assert not (tmp_path / 'x').exists()


def test_config_options_are_looked_at_first(tools, mine, tmp_path):
    run = tmp_path / 'run'
    words = ('train_folder.py', mine, '--folder', run, '--cfg-options')
    assert "--cfg-options foo: the config has no 'foo', and nothing would read it" in tools.fail(
        *words, 'foo=1'
    )
    assert 'optim_wraper.optimizer.lr: the config has no' in tools.fail(*words, 'optim_wraper.optimizer.lr=1')
    assert "--cfg-options a: found '[1,2', which cannot be read" in tools.fail(*words, 'a=[1,2', '--dry-run')
    assert not (run / 'boxes').exists() and not (run / 'stages').exists()
    done = tools.succeed(*words, 'train_cfg.max_epochs=1', 'batch_size=2', '--dry-run')
    assert 'epochs for boxes' in done.stdout
