"""Checkpoints carry words, codec, classes and config: they run in any folder, beside any annotations."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from PIL import Image

import mmrefseg
from mmrefseg.apis import RefSegInferencer
from mmrefseg.cli import main as command
from mmrefseg.compat.carried import words_of
from mmrefseg.datasets.vocabulary import build_vocabulary
from mmrefseg.runs.config import load_config, start_from
from mmrefseg.utils import UserInputError

from .conftest import REPO

OPTIONS = ('train_cfg.max_epochs=1', 'train_dataloader.dataset.indices=4', 'val_dataloader.dataset.indices=2')


@pytest.fixture(scope='module')
def other_words(stages):
    """RefShapes with a new word before each sentence, and the others in another order of first use.

    The sentences of the first object of each split are too long for the model.
    """
    folder = stages.tools.folder / 'data/annotations'
    splits = json.loads((folder / 'refshapes_small/instances.json').read_text())
    for record in (record for records in splits.values() for record in records):
        record['expressions'] = [f'zebra {text}' for text in reversed(record['expressions'])]
    for first in (records[0] for records in splits.values()):
        first['expressions'] = [text + ' left' * 20 for text in first['expressions']]
    (folder / 'zebra.json').write_text(json.dumps(splits))
    keys = [f'{kind}_dataloader.dataset.ann_file' for kind in ('train', 'val', 'test')]
    return [
        *(f'{key}=annotations/zebra.json' for key in keys),
        'model.language_model.vocabulary.ann_file=data/annotations/zebra.json',
    ]


def test_a_checkpoint_runs_where_nothing_else_is(stages, tmp_path, monkeypatch):
    folder = stages.tools.folder
    image = next((folder / 'data/images/refshapes_small').glob('testA*.png'))
    monkeypatch.chdir(folder)
    expected = RefSegInferencer(stages.config('m100'), stages.best('m100'), 'cpu')(image, 'the red star')
    shutil.copy(stages.best('m100'), tmp_path / 'mine.pth')
    monkeypatch.chdir(tmp_path)
    infer = RefSegInferencer(checkpoint='mine.pth', device='cpu')
    found = infer(image, 'the red star')
    for name in ('bboxes', 'masks', 'scores'):
        assert torch.equal(found.pred_instances[name], expected.pred_instances[name]), name
    assert infer.model.head.codec.num_bins == 128
    infer(image, 'the red zebra')
    assert str(infer.model.language_model.vocabulary.usage).endswith('unknown: zebra')


def test_a_published_file_is_small_and_runs_alone(stages, tmp_path, monkeypatch):
    folder = stages.tools.folder
    image = next((folder / 'data/images/refshapes_small').glob('testA*.png'))
    expected = mmrefseg.load(folder / stages.best('m100'), device='cpu').predict(image, 'the red star')
    for name, more in (('whole', ()), ('half', ('--half',))):
        stages.tools.succeed('model_converters/publish.py', stages.best('m100'), f'{name}.safetensors', *more)
        (folder / f'{name}.safetensors').rename(tmp_path / f'{name}.safetensors')
    monkeypatch.chdir(tmp_path)
    found = mmrefseg.load('whole.safetensors', device='cpu').predict(image, 'the red star')
    assert np.array_equal(found.boxes, expected.boxes) and np.array_equal(found.masks, expected.masks)
    half = mmrefseg.load('half.safetensors', device='cpu').predict(image, 'the red star')
    assert np.allclose(half.scores, expected.scores, atol=0.01)
    sizes = [path.stat().st_size for path in (Path('half.safetensors'), Path('whole.safetensors'))]
    assert 1.9 * sizes[0] < sizes[1] < (folder / stages.best('m100')).stat().st_size
    (tmp_path / 'mine.safetensors').write_bytes(b'mine')
    command = ('model_converters/publish.py', folder / stages.best('m100'), tmp_path / 'mine.safetensors')
    sentence = stages.tools.fail(*command)
    assert 'mine.safetensors: found a file that is there' in sentence and 'add --overwrite' in sentence
    assert (tmp_path / 'mine.safetensors').read_bytes() == b'mine'
    stages.tools.succeed(*command, '--overwrite')
    assert (tmp_path / 'mine.safetensors').read_bytes() == (tmp_path / 'whole.safetensors').read_bytes()
    torch.save({'state_dict': {}}, tmp_path / 'bare.pth')
    sentence = stages.tools.fail(
        'model_converters/publish.py', tmp_path / 'bare.pth', tmp_path / 'a.safetensors'
    )
    assert 'bare.pth: found no config in it' in sentence


def test_a_detector_brings_its_classes(tmp_path, monkeypatch, capsys):
    """It finds all that it knows, and takes no sentences."""
    config = load_config(str(REPO / 'configs/mask_rcnn/mask-rcnn_tiny_refshapes.py'))
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    classes = tuple('abcdefghij')
    meta = {'cfg': config.pretty_text, 'dataset_meta': {'classes': classes}}
    torch.save({'meta': meta, 'state_dict': model.state_dict()}, tmp_path / 'detector.pth')
    monkeypatch.chdir(tmp_path)
    predictor = mmrefseg.load('detector.pth', device='cpu')
    pictures = [np.full((96, 128, 3), grey, np.uint8) for grey in (40, 200)]
    found = predictor.predict(pictures)
    assert len(found) == 2 and not predictor.refers and predictor.infer.classes == list(classes)
    for each in found:
        assert each.masks.shape == (len(each), 96, 128) and set(each.labels) <= set(classes)
    with pytest.raises(UserInputError, match='some for a detector'):
        predictor.predict(pictures[0], 'the red star')
    monkeypatch.setattr('sys.argv', ['mmrefseg', 'predict', 'a.png', '--weights', 'detector.pth', '--json'])
    Image.fromarray(pictures[0]).save('a.png')
    for threshold, least in (([], 0.5), (['--threshold', '0.06'], 0.06)):
        monkeypatch.setattr('sys.argv', [*sys.argv[:6], *threshold, '--out', f'out{least}'])
        with pytest.raises(SystemExit) as stop:
            command.main()
        assert not stop.value.code
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        expected = predictor.predict(pictures[0], threshold=least).found.sum()
        assert len(lines) == expected and all(line['found'] for line in lines)
        assert Path(f'out{least}/overlays/a.jpg').is_file()
    assert lines, 'an untrained network is unsure, but finds something'


def test_a_second_run_of_a_detector_leaves_no_mask_of_the_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config(str(REPO / 'configs/mask_rcnn/mask-rcnn_tiny_refshapes.py'))
    torch.manual_seed(0)
    meta = {'cfg': config.pretty_text, 'dataset_meta': {'classes': tuple('abcdefghij')}}
    torch.save({'meta': meta, 'state_dict': MODELS.build(config.model).state_dict()}, 'detector.pth')
    for name in 'pq':
        Image.fromarray(np.full((96, 128, 3), 40, np.uint8)).save(f'{name}.png')

    def names(*words):
        line = ['mmrefseg', 'predict', *words, '--weights', 'detector.pth', '--out', 'out']
        monkeypatch.setattr('sys.argv', line)
        with pytest.raises(SystemExit) as stop:
            command.main()
        assert not stop.value.code
        return {str(file.relative_to('out')) for file in Path('out').glob('*s/*')}

    both = names('p.png', 'q.png', '--threshold', '0.06')
    masks = {name for name in both if name.startswith('masks/p_')}
    assert len(masks) >= 2 and {'overlays/p.jpg', 'overlays/q.jpg'} <= both
    assert names('p.png', '--threshold', '1') == both - masks, 'those of q stay'
    assert names('p.png', '--threshold', '1', '--no-overlays') == both - masks - {'overlays/p.jpg'}
    assert names('p.png', '--threshold', '0.06', '--no-overlays') == both - {'overlays/p.jpg'}


def test_a_test_beside_other_annotations_keeps_the_words(stages, other_words):
    """With the words of the other file, each would have the vector of its neighbour."""
    address = 'mmrefseg://rec_tiny_refshapes'
    config = load_config(stages.config('rec'), dict(option.split('=') for option in other_words))
    start_from(config, address)
    assert config.model.language_model.vocabulary == {'file': address}
    done = stages.tools.succeed(
        'test.py', stages.config('rec'), address, '--cfg-options', 'test_dataloader.dataset.indices=5',
        *other_words,
    )  # fmt: skip
    said = [line for line in (done.stdout + done.stderr).splitlines() if 'are known to the model' in line]
    assert len(said) == 1 and 'test: ' in said[0] and 'unknown: zebra (' in said[0]
    pattern = r'test: (\d+) of (\d+) sentences w\w+ cut to 16 words; the longest has (\d+)'
    ((cut, total, longest),) = re.findall(pattern, done.stdout)
    assert 0 < int(cut) < int(total) and int(longest) > 20


def test_training_on_new_data_extends_the_words(stages, other_words):
    """Old words keep their vectors, new ones come behind them, and the log says so; resuming keeps both."""
    folder = stages.tools.folder
    command = ('train.py', stages.config('rec'), '--seed', '0', '--work-dir', 'extended')
    start = ('--load-from', stages.best('rec'))
    done = stages.tools.succeed(
        *command, *start, '--cfg-options', *OPTIONS, *other_words, 'optim_wrapper.optimizer.lr=0.0'
    )
    old, new = (words_of(folder / path)['words'] for path in (stages.best('rec'), 'extended/latest.pth'))
    assert new == [*old, 'zebra']
    assert (
        f'{len(old)} of the {len(old)} words of the checkpoint keep what they mean; 1 are new' in done.stdout
    )
    for kind in ('train', 'val'):
        assert len(re.findall(rf'{kind}: \d+ of \d+ sentences (?:was|were) cut to 16', done.stdout)) == 1
    key = 'language_model.embedding.weight'
    before, after = (
        torch.load(folder / path, weights_only=False)['state_dict'][key]
        for path in (stages.best('rec'), 'extended/latest.pth')
    )
    assert torch.equal(after[:-1], before) and len(after) == len(before) + 1
    assert 'is frozen in this run' not in done.stdout
    more = [option for option in OPTIONS if 'max_epochs' not in option]
    stages.tools.succeed(*command, '--resume', '--cfg-options', 'train_cfg.max_epochs=2', *more, *other_words)
    assert words_of(folder / 'extended/latest.pth')['words'] == new


def test_new_words_of_a_frozen_table_are_said(stages, other_words):
    done = stages.tools.succeed(
        'train.py', stages.config('m05-frozen'), '--work-dir', 'frozen', '--cfg-options', *OPTIONS,
        *other_words, 'train_cfg.val_interval=2',
    )  # fmt: skip
    said = '1 words are new to the checkpoint (zebra), but language_model is frozen in this run'
    assert said in done.stdout + done.stderr


def test_words_by_another_rule_are_not_extended():
    with pytest.raises(UserInputError, match="words by the tokenizer 'simple', expected the 'spacy' of"):
        build_vocabulary(words=['a'], tokenizer='spacy', extends='mmrefseg://rec_tiny_refshapes')


def with_meta(source, target, **meta):
    checkpoint = torch.load(source, weights_only=False)
    checkpoint['meta'] |= meta
    torch.save({'meta': checkpoint['meta'], 'state_dict': checkpoint['state_dict']}, target)
    return target


@pytest.mark.parametrize(
    ('edit', 'found'),
    [
        (lambda text: text + "\nimport os\nos.system('touch run')", 'more than plain values'),
        (lambda text: text.replace("type='SeqTR'", "type='os.system'"), "would build 'os.system'"),
        (lambda text: text.replace("type='SeqTR'", "type='mmdet.CameraMotionCompensation'"), 'would build'),
        (lambda text: text.replace("type='SeqTR'", 'type=3'), 'would build 3'),
        (lambda text: 'x = [' * 5000, 'more than plain values'),
        (lambda text: "model = dict(type='SeqTR')", 'a config without a model or a test pipeline'),
        (lambda text: '', 'no metadata that name a config'),
    ],
)  # fmt: skip
def test_a_strangers_config_is_data(stages, tmp_path, monkeypatch, edit, found):
    source = stages.tools.folder / stages.best('rec')
    text = torch.load(source, weights_only=False)['meta']['cfg']
    path = with_meta(source, tmp_path / 'a.pth', cfg=edit(text))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserInputError, match=found):
        RefSegInferencer(checkpoint=path, device='cpu')
    assert [file.name for file in tmp_path.iterdir()] == ['a.pth']


@pytest.mark.parametrize(
    'carried', [3, ['a'], {'a': 3}, {'a': {'words': ['b']}}, {'a': {'config': {}, 'words': [4]}}, []]
)
def test_broken_words_are_one_sentence(stages, tmp_path, carried):
    path = with_meta(stages.tools.folder / stages.best('rec'), tmp_path / 'a.pth', mmrefseg=carried)
    if carried:
        with pytest.raises(UserInputError, match='that do not say which words they know'):
            words_of(path)
    else:
        assert words_of(path) == {}
