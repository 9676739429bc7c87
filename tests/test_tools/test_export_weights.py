"""Weights of the package through the tools: exported, scored, trained from."""

import json

import pytest
import torch

from mmrefseg.checkpoints.shipped import Provenance
from mmrefseg.compat.checkpoint import load_checkpoint_file

REC = 'mmrefseg://rec_tiny_refshapes'
WORDS = ('model.language_model.vocabulary.ann_file=None', f'model.language_model.vocabulary.file={REC}')
FIVE = ('--cfg-options', 'test_dataloader.dataset.indices=5')
EXPORT = 'model_converters/export_weights.py'


@pytest.fixture(scope='module')
def exported(stages):
    """The trained network of boxes as the package would carry it."""
    source = (stages.config('rec'), stages.best('rec'), 'out/rec.safetensors')
    said = stages.tools.succeed(
        EXPORT, *source, '--network', 'Toy', '--commit', 'abcdef0', '--split', 'testB', *FIVE
    ).stdout
    return stages.tools.folder / 'out/rec.safetensors', said


def test_an_export_says_what_test_finds(stages, exported):
    path, said = exported
    provenance = Provenance.of_file(path)
    assert (provenance.network, provenance.commit, provenance.split) == ('Toy', 'abcdef0', 'testB')
    assert provenance.readout == 'none' and provenance.command.startswith('python tools/train.py ')
    stages.tools.succeed(
        'test.py', stages.config('rec'), path, '--which-set', 'testB', '--json', 'rec.json', *FIVE
    )
    found = json.loads((stages.tools.folder / 'rec.json').read_text())
    assert provenance.metrics == {f'rec/{name}': round(found[name], 2) for name in ('acc50', 'box_miou')}
    assert f'rec/acc50 {found["acc50"]:.2f}' in said and 'on testB' in said
    state = load_checkpoint_file(path)['state_dict']
    original = load_checkpoint_file(stages.tools.folder / stages.best('rec'))['state_dict']
    assert state.keys() == original.keys()
    assert {str(value.dtype) for value in state.values()} >= {'torch.float16', 'torch.int64'}


def test_what_cannot_be_exported_is_one_sentence(stages):
    source = (stages.config('rec'), stages.best('rec'))
    sentence = stages.tools.fail(EXPORT, *source, 'out/a.safetensors', '--network', 'Toy', '--keys', 'tail')
    assert '--keys tail: found no weights of that name' in sentence
    sentence = stages.tools.fail(EXPORT, *source, 'out/a.pth', '--network', 'Toy', '--commit', 'a', *FIVE)
    assert 'out/a.pth: found another ending, expected .safetensors' in sentence
    assert not (stages.tools.folder / 'out/a.safetensors').exists()


@pytest.mark.parametrize('tool', ['train.py', 'test.py'])
def test_an_unknown_name_is_said_before_anything_is_built(stages, tool):
    sentence = stages.tools.fail(tool, stages.config('rec'), '--load-from', 'mmrefseg://rec')
    assert 'mmrefseg://rec: found no weights of that name' in sentence and REC in sentence


def test_masks_are_trained_on_weights_that_stay_as_they_were(stages):
    options = (
        *stages.tiny,
        *WORDS,
        'train_dataloader.dataset.ann_file=annotations/refshapes_small/instances.json',
    )
    config = stages.config('m05-frozen')
    log = stages.tools.succeed('train.py', config, '--work-dir', 'frozen', '--cfg-options', *options).stdout
    assert f'checkpoint {REC}: ' in log
    base = load_checkpoint_file(REC)['state_dict']
    trained = load_checkpoint_file(stages.tools.folder / 'frozen/best.pth')['state_dict']
    kept = [key for key in trained if key in base and key != 'head.decoder.position.weight']
    assert len(kept) > 150 and all(torch.equal(trained[key], base[key].to(trained[key])) for key in kept)
    assert not trained['head.task_embedding.weight'].any()
    again = stages.tools.succeed(
        'train.py',
        config,
        '--work-dir',
        'frozen_again',
        '--load-from',
        'frozen/best.pth',
        '--cfg-options',
        *options,
    ).stdout
    assert '0 missing, 0 unexpected, 0 of another shape' in again
    moved = load_checkpoint_file(stages.tools.folder / 'frozen_again/best.pth')['state_dict']
    changed = {key for key in moved if not torch.equal(moved[key], trained[key])}
    assert changed and all(key.startswith(('head.roi_memory.', 'head.mask_cell_head.')) for key in changed)
