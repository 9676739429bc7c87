"""The study of held-out words: what each reader is trained and tested on, and what the table says."""

import json

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from real_weights import weights_or_skip

from mmrefseg.experiments.real_weights import MINILM
from mmrefseg.experiments.words import READERS, SPLITS, WordStudy, words_table, write_words
from mmrefseg.utils import UserInputError


@pytest.fixture
def study(tmp_path, repo_root, monkeypatch) -> WordStudy:
    monkeypatch.chdir(repo_root)
    return WordStudy(tmp_path / 'words' / 'seed0', 0, 'tiny', weights=tmp_path / 'weights')


def merged(command):
    """The config of a training or test, with the options of its command."""
    config = Config.fromfile(command[2])
    if '--cfg-options' in command:
        pairs = command[command.index('--cfg-options') + 1 :]
        config.merge_from_dict(dict(pair.split('=', 1) for pair in pairs))
    return config


def test_both_readers_see_the_same(study):
    """The same data, start, heads and schedule; what differs is the reader."""
    configs, tests = {}, 0
    names = [stage.name for stage in study.stages()]
    assert len(set(names)) == len(names) == 1 + len(READERS) * (1 + len(SPLITS))
    for stage in list(study.stages())[1:]:
        command = list(map(str, stage.command))
        config = merged(command)
        data = config.train_dataloader.dataset
        assert data.ann_file.endswith('refshapes_tiny/instances_synonyms.json') and data.split == 'train'
        if stage.name.startswith('test: '):
            tests += 1
            assert command[command.index('--which-set') + 1] in SPLITS
        else:
            assert command[command.index('--load-from') + 1] == str(study.start)
            configs[stage.name] = config.to_dict()
    assert tests == 4 and configs.keys() == {'gru', 'minilm'}
    gru, minilm = (configs[name] for name in ('gru', 'minilm'))
    assert 'synonyms' not in gru['model']['language_model']['vocabulary']['file']
    assert minilm['model']['language_model']['model'] == str(study.weights / MINILM.name)
    for config in (gru, minilm):
        config['model'].pop('language_model')
        hooks = config.pop('custom_hooks')
        assert [hook['type'] for hook in hooks] == ['TrainOnlyHook', 'FeatureCacheHook', 'FeatureCacheHook']
        for key in ('work_dir', 'filename'):
            config.pop(key, None)
    assert gru == minilm


def test_the_start_knows_no_words(study):
    study.write_start()
    state = torch.load(study.start, weights_only=True)['state_dict']
    parts = {key.split('.')[0] for key in state}
    assert parts == {'backbone', 'neck', 'head', 'auxiliary_heads'}
    assert not any('word' in key for key in state)


def test_published_weights_are_missing(study):
    study.check(READERS[:1])
    with pytest.raises(UserInputError, match='fetch them with make test-weights'):
        study.check()


def test_the_table(study, tmp_path):
    assert words_table([]) == 'nothing is done yet\n'
    studies = [study, WordStudy(tmp_path / 'words' / 'seed1', 1, 'tiny')]
    values = {('gru', 0): 30, ('gru', 1): 32, ('minilm', 0): 45}
    for (name, seed), value in values.items():
        reader = next(each for each in READERS if each.name == name)
        for place, split in enumerate(SPLITS):
            path = studies[seed].scores(reader, split)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({'acc50': value + place}))
    text = write_words(studies, tmp_path)
    lines = text.splitlines()
    assert lines[2] == '| GRU of a vocabulary | 31.0 ± 1.4 | 32.0 ± 1.4 | 2 |'
    assert lines[3].endswith('| 45.0 | 46.0 | 1 |')
    assert '+15.0 (+15.0)' in lines[4]
    assert json.loads((tmp_path / 'words.json').read_text())['rows'][0]['seeds'] == [0, 1]


def test_the_published_encoder_knows_synonyms(repo_root):
    """What the study rests on: in sentence vectors, known words are nearest to their synonyms."""
    model = weights_or_skip(MINILM)
    options = Config.fromfile(repo_root / READERS[1].config).model.language_model.to_dict()
    options |= {'model': str(model), 'noise': 0, 'out_channels': None, 'batch_norm': False}
    encoder = MODELS.build(options)
    encoder.init_weights()
    encoder.eval()
    pairs = {'small': 'little', 'large': 'big', 'dotted': 'spotted', 'below': 'under', 'middle': 'centre'}
    said = [f'the {word} star' for word in (*pairs, *pairs.values())]
    vectors = encoder(encoder.tokenize(said))
    known, other = torch.nn.functional.normalize(vectors - vectors.mean(0), dim=1).chunk(2)
    assert (other @ known.T).argmax(1).tolist() == list(range(len(pairs)))
