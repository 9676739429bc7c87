"""tools/train.py and tools/test.py: what they write, how they go on, and what they say to wrong input."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from .conftest import NUM_VAL


def weights(path):
    """The state dict and the optimizer's of a checkpoint."""
    checkpoint = torch.load(path, map_location='cpu', weights_only=False)
    return checkpoint['state_dict'], checkpoint.get('optimizer')


def assert_same_weights(first, second):
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert torch.equal(value, second[key]), key


def test_train_writes_fixed_names(tools, trained):
    """latest.pth is the last checkpoint, best.pth the one that save_best chose; the config is kept."""
    assert (trained / 'last_checkpoint').read_text().endswith('epoch_3.pth')
    assert_same_weights(weights(trained / 'latest.pth')[0], weights(trained / 'epoch_3.pth')[0])
    best = list(trained.glob('best_res_miou_*.pth'))
    assert len(best) == 1
    assert_same_weights(weights(trained / 'best.pth')[0], weights(best[0])[0])
    assert (trained / 'toy_config.py').is_file()
    assert sorted(path.name for path in trained.glob('epoch_*.pth')) == ['epoch_3.pth']
    assert weights(trained / 'latest.pth')[1]['state'], 'the optimizer is kept for resuming'
    assert weights(trained / 'best.pth')[1] is None, 'and only there'


def test_resume_is_exact(tools, trained):
    """Killed in epoch 2 and resumed: weights, EMA and optimizer as in one go, dropout included."""
    killed = tools.run('train.py', tools.config, '--work-dir', 'resumed', TOY_DIE_AT='6')
    assert killed.returncode == 137
    before = weights(tools.folder / 'resumed' / 'latest.pth')[0]
    # A run killed while it wrote its next checkpoint: the file is passed over.
    (tools.folder / 'resumed' / 'epoch_2.pth').write_bytes(b'PK\x03\x04 and then the power went')
    (tools.folder / 'resumed' / 'last_checkpoint').write_text('elsewhere/resumed/epoch_2.pth')
    done = tools.succeed('train.py', tools.config, '--work-dir', 'resumed', '--resume')
    assert 'resumed epoch: 1, iter: 4' in done.stdout
    (state, optimizer), (expected, expected_optimizer) = (
        weights(folder / 'epoch_3.pth') for folder in (tools.folder / 'resumed', trained)
    )
    assert_same_weights(state, expected)
    for key, slots in expected_optimizer['state'].items():
        for name, value in slots.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(optimizer['state'][key][name]))
    assert any(not torch.equal(before[key], state[key]) for key in state), 'training must have gone on'


def test_resume_without_checkpoint_starts_from_load_from(tools, trained):
    """The same command serves for the first start and for going on: --resume does not drop --load-from."""
    done = tools.succeed(
        'train.py', tools.config, '--work-dir', 'next', '--resume', '--load-from', trained / 'best.pth',
        '--cfg-options', 'train_cfg.max_epochs=1', 'optim_wrapper.optimizer.lr=0.0', 'custom_hooks=[]',
    )  # fmt: skip
    assert '4 of the 5 tensors' not in done.stdout and '5 of the 5 tensors of the model' in done.stdout
    assert_same_weights(weights(tools.folder / 'next' / 'latest.pth')[0], weights(trained / 'best.pth')[0])


def test_seed(tools):
    """--seed reaches the runner and the training data; two seeds train differently, one seed the same."""
    states = []
    for number, seed in enumerate((5, 5, 6)):
        args = ('--seed', seed, '--work-dir', f'seed{number}', '--cfg-options', 'train_cfg.max_epochs=1')
        tools.succeed('train.py', tools.config, *args)
        states.append(weights(tools.folder / f'seed{number}' / 'latest.pth')[0]['vision.weight'])
        assert (
            f"seed={seed},\n        split='train'"
            in (tools.folder / f'seed{number}/toy_config.py').read_text()
        )
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])


def test_finetune_reports_what_does_not_fit(tools, trained):
    """A head of another shape starts anew, and the log says so."""
    checkpoint = torch.load(trained / 'best.pth', weights_only=False)
    checkpoint['state_dict']['head.weight'] = torch.zeros(3, 8, 1, 1)
    checkpoint['state_dict']['box_head.weight'] = torch.zeros(4, 8)
    torch.save(checkpoint, tools.folder / 'rec.pth')
    args = (
        '--finetune-from',
        'rec.pth',
        '--work-dir',
        'finetuned',
        '--cfg-options',
        'train_cfg.max_epochs=1',
    )
    done = tools.succeed('train.py', tools.config, *args)
    assert '4 of the 5 tensors of the model are among the 6 of the checkpoint' in done.stdout
    assert 'mismatched: head.weight: (3, 8, 1, 1) -> (1, 8, 1, 1)' in done.stdout
    assert 'unexpected: box_head.weight' in done.stdout


def test_test_reports_metrics(tools, trained):
    """A table that names protocol and frame, a json file with the same numbers, and all predictions."""
    done = tools.succeed(
        'test.py', tools.config, '--json', 'out/metrics.json', trained / 'best.pth', '--out', 'out/all.pkl',
        '--work-dir', 'tested',
    )  # fmt: skip
    assert 'RESMetric, protocol sentence, frame original, split val' in done.stdout
    metrics = json.loads((tools.folder / 'out/metrics.json').read_text())
    assert {'oiou', 'miou', 'p50', 'p60', 'p70', 'p80', 'p90', 'acc50', 'about'} == set(metrics)
    assert metrics['about']['split'] == ['val'] and metrics['about']['checkpoint'] == str(
        trained / 'best.pth'
    )
    with open(tools.folder / 'out/all.pkl', 'rb') as file:
        predictions = pickle.load(file)
    ious = []
    records = json.loads((tools.folder / 'data/instances.json').read_text())['val']
    for prediction in predictions:
        mask = coco_mask.decode(prediction['pred_instances']['masks'][0]).astype(bool)
        x, y, w, h = next(r for r in records if r['image_id'] == prediction['img_id'])['bbox']
        truth = np.zeros_like(mask)
        truth[y : y + h, x : x + w] = True
        ious.append((mask & truth).sum() / (mask | truth).sum())
    assert len(ious) == NUM_VAL
    assert metrics['miou'] == pytest.approx(100 * np.mean(ious), abs=2)  # polygon edges differ by a pixel
    assert f'{metrics["miou"]:.2f}' in done.stdout


def test_which_set_and_options(tools, trained):
    tools.succeed(
        'test.py', tools.config, '--load-from', trained / 'best.pth', '--which-set', 'testA',
        '--options', 'protocol=avg', '--json', 'testA.json', '--work-dir', 'tested',
    )  # fmt: skip
    about = json.loads((tools.folder / 'testA.json').read_text())['about']
    assert about['split'] == ['testA'] and about['metrics'] == ['RESMetric, protocol avg, frame original']


def test_format_only(tools, trained):
    """A submission for every expression of the split, and no metrics."""
    done = tools.succeed(
        'test.py', tools.config, trained / 'best.pth', '--format-only', '--work-dir', 'tested',
        '--options', 'jsonfile_prefix=sub/mine',
    )  # fmt: skip
    assert 'miou' not in done.stdout.split('dash')[-1].split('Epoch(test)')[-1]
    records = json.loads((tools.folder / 'sub/mine.res.json').read_text())
    assert len(records) == NUM_VAL == len({(record['ref_id'], record['sent_id']) for record in records})
    assert all(record['segmentation']['size'] == [64, 64] for record in records)


def test_show_dir(tools, trained):
    """One image an expression, though several expressions share an image."""
    tools.succeed('test.py', tools.config, trained / 'best.pth', '--show-dir', 'shown', '--work-dir', 'drawn')
    images = list((tools.folder / 'drawn').glob('*/shown/*.png'))
    assert len(images) == NUM_VAL
    assert all(path.stat().st_size > 1000 for path in images)


@pytest.fixture(scope='session')
def bad_files(tools, trained):
    """Checkpoints and configs that are wrong in one way each."""
    folder = tools.folder
    torch.save({'state_dict': {f'backbone.{k}': torch.zeros(k + 1) for k in range(9)}}, folder / 'other.pth')
    whole = (trained / 'best.pth').read_bytes()
    (folder / 'truncated.pth').write_bytes(whole[: len(whole) // 2])
    (folder / 'text.pth').write_text('not a checkpoint')
    (folder / 'broken.py').write_text('model = dict(\n')
    base = f"_base_ = ['{tools.config}']\n"
    (folder / 'no_base.py').write_text("_base_ = ['missing.py']\n")
    (folder / 'stage2.py').write_text(base + "load_from = 'work_dirs/stage1/best.pth'\n")
    (folder / 'no_split.py').write_text(
        base + "test_dataloader = dict(dataset=dict(_delete_=True, type='CocoDataset', ann_file='x.json'))\n"
    )
    shutil.copytree(folder / 'data', folder / 'bad_data')
    image = folder / 'bad_data/images/3.png'
    image.write_bytes(image.read_bytes()[:60])
    return folder


BEST = 'trained/best.pth'
BAD_TRAIN = {
    'missing config': (['toy_confg.py'], ('toy_confg.py', 'no such file')),
    'config with a syntax error': (['broken.py'], ('broken.py', 'SyntaxError')),
    'missing _base_': (['no_base.py'], ('no_base.py', 'missing.py')),
    'misspelt type': (
        [..., '--cfg-options', 'model.type=ToyRefModl'],
        ('ToyRefModl', 'did you mean ToyRefModel'),
    ),
    'misspelt hook': (
        [..., '--cfg-options', 'default_hooks.checkpoint.type=ChekpointHook'],
        ('ChekpointHook', 'did you mean CheckpointHook'),
    ),
    'misspelt argument': ([..., '--cfg-options', 'model.chanels=4'], ('chanels', 'did you mean channels')),
    'misspelt key': (
        [..., '--cfg-options', 'train_cgf.max_epochs=1'],
        ('train_cgf', 'did you mean train_cfg'),
    ),
    'option without value': ([..., '--cfg-options', 'work_dir'], ('work_dir', 'expected key=value')),
    'unbalanced option': ([..., '--cfg-options', 'custom_hooks=[1,2'], ('custom_hooks', 'brackets')),
    'option into a number': (
        [..., '--cfg-options', 'train_cfg.max_epochs.x=1'],
        ('max_epochs.x', 'does not fit'),
    ),
    'missing checkpoint': ([..., '--load-from', 'none.pth'], ('none.pth', 'no such file')),
    'missing previous stage': (['stage2.py'], ('stage1/best.pth', 'train the stage that writes it')),
    'truncated checkpoint': ([..., '--finetune-from', 'truncated.pth'], ('truncated.pth', 'truncated')),
    'text as checkpoint': ([..., '--load-from', 'text.pth'], ('text.pth', 'torch cannot read')),
    "another model's checkpoint": (
        [..., '--load-from', 'other.pth'],
        ('other.pth', '0 of the 5 tensors', 'ToyRefModel'),
    ),
    'resume from weights': ([..., '--resume', BEST], ('best.pth', 'optimizer', '--load-from')),
    'missing resume file': ([..., '--resume', 'none.pth'], ('none.pth', 'no such file')),
    'amp without a GPU': ([..., '--amp'], ('--amp', 'no GPU')),
    'negative seed': ([..., '--seed', '-1'], ('(--seed): found -1', '2**32 - 1')),
    'seed of the config': (
        [..., '--cfg-options', 'randomness.seed=x'],
        ("randomness.seed (--seed): found 'x'",),
    ),
    'auto-scale-lr without a base': ([..., '--auto-scale-lr'], ('auto_scale_lr.base_batch_size',)),
    'missing split': (
        [..., '--cfg-options', 'train_dataloader.dataset.split=trian'],
        ("'trian'", "'train', 'val', 'testA'"),
    ),
    'unknown metric to save by': (
        [..., '--cfg-options', 'default_hooks.checkpoint.save_best=mious', 'train_cfg.max_epochs=1'],
        ('mious', 'res/miou'),
    ),
    'truncated image in a worker': (
        [..., '--cfg-options', 'train_dataloader.num_workers=1', 'data_root=bad_data/'],
        ('3.png', 'truncated'),
    ),
}
BAD_TEST = {
    'no checkpoint': ([...], ('no checkpoint', 'expected one')),
    'two checkpoints': ([..., BEST, '--load-from', 'trained/latest.pth'], ('2 checkpoints',)),
    "another model's checkpoint": ([..., 'other.pth'], ('0 of the 5 tensors', '100%')),
    'unknown split': ([..., BEST, '--which-set', 'testB'], ("'testB'", "'train', 'val', 'testA'")),
    'set without splits': (['no_split.py', BEST, '--which-set', 'val'], ('CocoDataset', 'no splits')),
    'unknown option': ([..., BEST, '--options', 'protocl=avg'], ('protocl', 'did you mean protocol')),
    'option without value': ([..., BEST, '--options', 'protocol'], ('expected key=value',)),
    'wrong protocol': ([..., BEST, '--options', 'protocol=x'], ("protocol='x'", 'sentence')),
    'out as json': ([..., BEST, '--out', 'x.json'], ('x.json', '.pkl')),
    'tta without a definition': ([..., BEST, '--tta'], ('tta_model',)),
}


@pytest.mark.parametrize(
    ('script', 'case'), [('train.py', case) for case in BAD_TRAIN] + [('test.py', case) for case in BAD_TEST]
)
def test_bad_input_is_one_sentence(tools, bad_files, script, case):
    args, words = (BAD_TRAIN if script == 'train.py' else BAD_TEST)[case]
    environment = {}
    if 'data_root=bad_data/' in args:
        args = [arg for arg in args if arg != 'data_root=bad_data/']
        environment['TOY_DATA'] = str(bad_files / 'bad_data')
    args = [tools.config if arg is ... else arg for arg in args]
    sentence = tools.fail(script, *args, '--work-dir', 'bad', **environment)
    for word in words:
        assert word in sentence, sentence


def test_unwritable_work_dir(tools):
    (tools.folder / 'a_file').write_text('in the way')
    sentence = tools.fail('train.py', tools.config, '--work-dir', 'a_file/below')
    assert 'error: --work-dir a_file/below: found a file within the path, expected folders' in sentence
