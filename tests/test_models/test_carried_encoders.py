"""Checkpoints carry what their encoders of Hugging Face have in folders, and run without them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hf_models import TEXT, VIT, WORDS, save_model
from mmdet.registry import MODELS
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from transformers import AutoTokenizer

from mmrefseg.apis import RefSegInferencer
from mmrefseg.checkpoints.shipped import write_safetensors
from mmrefseg.compat.carried import KEY, MOST_TOKENIZER, STOOD_IN, as_metadata, carried_by
from mmrefseg.compat.checkpoint import load_checkpoint_file
from mmrefseg.experiments import encoder_trials
from mmrefseg.models.language_models.hf_tokenizer import carried_tokenizer, find_tokenizer
from mmrefseg.runs.config import build_runner, load_config, resume_from, start_from
from mmrefseg.runs.words import take_words
from mmrefseg.utils import UserInputError

SENTENCES = ['the red star', 'the blue circle left of the red zebra']


@pytest.fixture(autouse=True)
def few_words():
    """mmengine logs every parameter that it initialises."""
    MMLogger.get_current_instance().setLevel('ERROR')


def model_folder(folder):
    """A model of images and texts as it would be downloaded, with its own mean and deviation of pixels."""
    # a drop of 0.5 and a mean of 0.3 are no defaults: they are what the checkpoint has to bring
    vision = dict(VIT, attention_dropout=0.5)
    save_model(folder, 'siglip', text_config=TEXT, vision_config=vision, statistics=(0.3, 0.2))
    encoder_trials.write_tokenizer(folder, WORDS)
    return folder


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A step on a folder that is gone afterwards: config, checkpoint, an image, and what was predicted."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield train(tmp_path_factory.mktemp('trained'))


def train(root):
    """See :func:`trained`."""
    folder = model_folder(root / 'model')
    trial = encoder_trials.Trial(root)
    image = next((root / 'images').rglob('*.png'))
    data = dict(ann_file=str(trial.ann_file), data_prefix=dict(img_path=str(image.parent)), data_root='')
    path = root / 'config.py'
    base = Path(__file__).parents[2] / 'configs/partial_res/partial-res_tiny_m100_refshapes.py'
    loader = dict(batch_size=2, dataset=data)
    path.write_text(
        f"""_base_ = '{base}'
model = dict(
    data_preprocessor=dict(mean=None, std=None),
    backbone=dict(_delete_=True, type='HFBackbone', model='{folder}', out_channels=(32, 64, 128)),
    language_model=dict(
        _delete_=True, type='HFTextEncoder', model='{folder}', output='sentence', out_channels=256
    ),
    head=dict(num_encoder_layers=1, num_decoder_layers=1),
)
train_dataloader = {loader}
val_dataloader = {loader}
test_dataloader = {loader}
train_cfg = dict(max_iters=1, val_interval=1)
default_hooks = dict(checkpoint=dict(interval=1), progress=None, visualization=None)
accelerate = False
load_from = None
work_dir = '{root / 'work'}'
"""
    )
    runner = build_runner(load_config(str(path)))
    runner.train()
    checkpoint = root / 'work/iter_1.pth'
    before = RefSegInferencer(str(path), str(checkpoint), device='cpu')(image, SENTENCES[0]).pred_instances
    shutil.rmtree(folder)
    return path, checkpoint, image, before


def test_it_predicts_without_the_folder(trained, tmp_path, monkeypatch):
    """As .pth and as .safetensors, elsewhere, by the config that it carries; nothing is written."""
    _, checkpoint, image, before = trained
    shutil.copy(checkpoint, tmp_path / 'mine.pth')
    loaded = load_checkpoint_file(checkpoint)
    write_safetensors(tmp_path / 'mine.safetensors', loaded['state_dict'], as_metadata(loaded['meta']))
    monkeypatch.chdir(tmp_path)
    for name in ('mine.pth', 'mine.safetensors'):
        infer = RefSegInferencer(checkpoint=name, device='cpu')
        found = infer(image, SENTENCES[0]).pred_instances
        for key in ('bboxes', 'masks', 'scores'):
            assert torch.equal(found[key], before[key]), (name, key)
        backbone = infer.model.backbone
        assert backbone.encoder.config.attention_dropout == 0.5
        torch.testing.assert_close(backbone.mean.flatten(), torch.full((3,), 255 * 0.3))
        torch.testing.assert_close(backbone.std.flatten(), torch.full((3,), 255 * 0.2))
        assert infer.model.language_model.max_tokens == 24  # those that SigLIP's text tower was given
    assert sorted(path.name for path in tmp_path.iterdir()) == ['mine.pth', 'mine.safetensors']


def test_testing_and_resuming_need_no_folder(trained):
    """The config names it; the checkpoint stands in."""
    path, checkpoint, *_ = trained
    config = load_config(str(path))
    with pytest.raises(UserInputError, match='no such folder'):
        MODELS.build(config.model)
    start_from(config, str(checkpoint))
    metrics = build_runner(config).test()
    assert 'res/miou' in metrics
    config = load_config(str(path))
    assert resume_from(config, 'auto') and config.model.language_model.tokenizer == config.load_from
    MODELS.build(config.model).load_state_dict(load_checkpoint_file(checkpoint)['state_dict'])


def test_a_training_that_starts_from_it_needs_no_folder(trained, tmp_path):
    """The encoders of the checkpoint stand in, with all weights, and so do those of the next one's."""
    path, checkpoint, *_ = trained
    for name in ('one', 'two'):
        config = load_config(str(path))
        config.work_dir = str(tmp_path / name)
        config.optim_wrapper.optimizer.lr = 0.0
        start_from(config, str(checkpoint), training=True)
        assert config.model.backbone.model is None and config.model.language_model.model is None
        build_runner(config).train()
        before = load_checkpoint_file(checkpoint)['state_dict']
        checkpoint = tmp_path / name / 'iter_1.pth'
        after = load_checkpoint_file(checkpoint)['state_dict']
        encoders = [key for key in before if '.encoder.' in key and 'head' not in key]
        assert len(encoders) > 40 and all(torch.equal(before[key], after[key]) for key in encoders), name
    config = load_config(str(path))
    config.work_dir = str(tmp_path / 'two')
    resume_from(config, 'auto')
    assert set(config[STOOD_IN]) >= {'backbone', 'language_model'}, 'noted for those that start from it'


@pytest.mark.parametrize('other', ['folder', 'config', 'tokenizer'])
def test_another_encoder_needs_its_folder(trained, tmp_path, other):
    """By another name, with other fields, with another tokenizer; and one that is there is read."""
    path, checkpoint, *_ = trained
    config = load_config(str(path))
    reader = config.model.language_model
    if other == 'folder':
        reader.model = str(model_folder(tmp_path / 'model'))
    elif other == 'config':
        reader.config = dict(attention_dropout=0.25)
    else:
        reader.tokenizer = str(tmp_path)
    start_from(config, str(checkpoint), training=True)
    assert config.model.backbone.model is None and reader.model is not None
    assert list(config[STOOD_IN]) == ['backbone']
    if other == 'folder':
        assert MODELS.build(reader).folder == tmp_path / 'model'
        return
    with pytest.raises(UserInputError, match='start with --load-from a checkpoint whose training'):
        MODELS.build(reader)


def test_an_encoder_without_its_weights_does_not_stand_in(trained, tmp_path):
    """Half of a checkpoint would leave random numbers where the folder's were."""
    path, checkpoint, *_ = trained
    loaded = torch.load(checkpoint, weights_only=False)
    loaded['state_dict'].pop(next(key for key in loaded['state_dict'] if key.startswith('backbone.encoder.')))
    torch.save(loaded, tmp_path / 'half.pth')
    config = load_config(str(path))
    config.work_dir = str(tmp_path / 'work')
    start_from(config, str(tmp_path / 'half.pth'), training=True)
    with pytest.raises(UserInputError, match='1 weights of an encoder missing or of another shape'):
        build_runner(config).train()
    assert not list((tmp_path / 'work').glob('*.pth'))


def test_bert_stands_in_too(tmp_path, shared_dir):
    """Its word pieces and its size; the weights are among the model's."""
    small = dict(vocab_size=30522, hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    folder = tmp_path / 'bert'
    folder.mkdir()
    (folder / 'config.json').write_text(json.dumps(small))
    shutil.copy(shared_dir / 'vocab/bert-base-uncased-vocab.txt', folder / 'vocab.txt')
    config = {'model': {'language_model': dict(type='BertEncoder', path=str(folder), max_tokens=7)}}
    carried = {'language_model': MODELS.build(dict(config['model']['language_model'])).carried()}
    torch.save({'meta': {'cfg': f'model = {config["model"]!r}', KEY: carried}}, tmp_path / 'some.pth')
    take_words(config, str(tmp_path / 'some.pth'), 'extend')
    assert config['model']['language_model']['path'] == str(folder), 'it is there'
    shutil.rmtree(folder)
    with pytest.raises(UserInputError, match='start with --load-from a checkpoint'):
        MODELS.build(dict(config['model']['language_model']))
    take_words(config, str(tmp_path / 'some.pth'), 'extend')
    again = MODELS.build(config['model']['language_model'])
    assert again.tokenize(['a zebra']).mask.sum() == 4 and again.out_channels == 16


@pytest.mark.parametrize('table', ['IMAGE_ENCODERS', 'TEXT_ENCODERS'])
def test_every_kind_is_built_again(table, tmp_path):
    """Its own config makes a network of the same config and tensors; texts also find the same tokens."""
    tokenizer = str(encoder_trials.write_tokenizer(tmp_path / 'words', WORDS))
    kinds = getattr(encoder_trials, table)
    sample = ('dinov3_vit', 'siglip2', 'swin', 'clip', 'bert', 't5')
    for kind in [kind for kind in kinds if kind in sample]:
        build = dict(type='HFBackbone', config=dict(model_type=kind, **kinds[kind][1]))
        if table == 'TEXT_ENCODERS':
            build |= dict(type='HFTextEncoder', tokenizer=tokenizer, max_tokens=9)
        model = MODELS.build(build)
        carried = json.loads(json.dumps({'a': model.carried()}))
        torch.save({'meta': {KEY: carried}}, tmp_path / 'some.pth')
        shutil.rmtree(tmp_path / 'none', ignore_errors=True)
        config = {'model': build | carried['a']['config']}
        if table == 'TEXT_ENCODERS':
            config['model']['tokenizer'] = str(tmp_path / 'some.pth')
        again = MODELS.build(config['model'])
        assert again.encoder.config.to_dict() == model.encoder.config.to_dict(), kind
        again.load_state_dict(model.state_dict())
        if table == 'TEXT_ENCODERS':
            ids, more = (each.tokenize(SENTENCES).ids for each in (model, again))
            assert torch.equal(ids, more) and again.pooling == model.pooling


def test_word_pieces(tmp_path, shared_dir):
    """A tokenizer of another class, which lowers letters and cuts words, gives what it gave."""
    save_model(tmp_path / 'bert', 'bert', **dict(TEXT, vocab_size=30522))
    shutil.copy(shared_dir / 'vocab/bert-base-uncased-vocab.txt', tmp_path / 'bert/vocab.txt')
    theirs = find_tokenizer(str(tmp_path / 'bert'), None, 'here')
    theirs(['once'], max_length=3, truncation=True, padding='max_length')  # what it remembers is not carried
    part = carried_tokenizer(theirs)
    torch.save({'meta': {KEY: {'a': dict(part, config={})}}}, tmp_path / 'some.pth')
    ours = find_tokenizer(str(tmp_path / 'some.pth'), None, 'here')
    texts = ['The UNTRAINABLE zebra\u00e9, left!', 'a [MASK]', '', '\u4e2d']
    assert ours(texts)['input_ids'] == theirs(texts)['input_ids']
    assert (ours.pad_token_id, ours.pad_token, len(ours)) == (theirs.pad_token_id, '[PAD]', len(theirs))


class Slow:
    """A tokenizer that the library ``tokenizers`` does not know."""


def test_a_tokenizer_that_cannot_be_carried_stays(tmp_path):
    tokenizer = str(encoder_trials.write_tokenizer(tmp_path / 'words', WORDS))
    model = MODELS.build(
        dict(type='HFTextEncoder', config=dict(model_type='bert', **TEXT), tokenizer=tokenizer)
    )
    model.tokenizer = Slow()
    assert model.carried()['config']['tokenizer'] == tokenizer and 'tokenizer_json' not in model.carried()


# --- strangers' files


def stranger(tmp_path, **part):
    torch.save({'meta': {KEY: {'language_model': {'config': {}, **part}}}}, tmp_path / 'some.pth')
    return tmp_path / 'some.pth'


@pytest.mark.parametrize(
    'part',
    [
        dict(tokenizer_json=3),
        dict(tokenizer_json={'../a.json': '{}'}),
        dict(tokenizer_json='{}', special_tokens={'pad_token': 3}),
        dict(tokenizer_json='{}', special_tokens={'tokenizer_file': '/etc/passwd'}),
        dict(tokenizer_json='{}', special_tokens=['a']),
        dict(config={'type': 'os.system'}),
        dict(config={'vocabulary': [{'type': 'os.system'}]}),
        dict(config={'statistics': {'_scope_': 'antigravity'}}),
    ],
)
def test_what_is_no_tokenizer_is_refused(part, tmp_path):
    path = stranger(tmp_path, **part)
    with pytest.raises(UserInputError, match='that do not say which words they know'):
        carried_by(load_checkpoint_file(path) if 'state_dict' in part else torch.load(path), str(path))


def test_a_tokenizer_has_a_largest_size(monkeypatch, tmp_path):
    assert MOST_TOKENIZER > 40_000_000
    part = dict(tokenizer_json='{"a": 1}', special_tokens={})
    path = stranger(tmp_path, **part)
    assert carried_by(torch.load(path), 'some')
    monkeypatch.setattr('mmrefseg.compat.carried.MOST_TOKENIZER', 7)
    with pytest.raises(UserInputError, match='that do not say'):
        carried_by(torch.load(path), 'some')


@pytest.mark.parametrize('text', ['{}', 'no json', '{"model": {"type": "os.system"}}', '[' * 5000])
def test_a_broken_tokenizer_is_one_sentence(text, tmp_path):
    path = stranger(tmp_path, tokenizer_json=text)
    with pytest.raises(UserInputError, match='no tokenizer that can be read') as caught:
        find_tokenizer(str(path), None, 'HFTextEncoder')
    assert '\n' not in str(caught.value)


def test_a_checkpoint_without_a_tokenizer(tmp_path):
    path = stranger(tmp_path)
    with pytest.raises(UserInputError, match='found no tokenizer in it, expected one that carries its own'):
        find_tokenizer(str(path), None, 'HFTextEncoder')


def test_special_tokens_of_a_stranger_are_counted(tmp_path):
    """A token that the tokenizer does not know is added; the encoder has no row for it."""
    folder = encoder_trials.write_tokenizer(tmp_path / 'words', [f'w{i}' for i in range(60)])
    part = carried_tokenizer(AutoTokenizer.from_pretrained(folder))
    part['special_tokens']['mask_token'] = '[NEW]'
    path = stranger(tmp_path, **part)
    with pytest.raises(UserInputError, match='a tokenizer of 65 tokens, expected at most 64'):
        MODELS.build(dict(type='HFTextEncoder', config=dict(model_type='bert', **TEXT), tokenizer=str(path)))


@pytest.mark.parametrize('given', [3, [[0.5] * 3], [[0.5] * 3, [0.0] * 3], [['a'] * 3] * 2, 'ab'])
def test_statistics_are_two_rows_of_numbers(given):
    with pytest.raises(UserInputError, match='expected mean and deviation of pixels'):
        MODELS.build(dict(type='HFBackbone', config=dict(model_type='dinov3_vit', **VIT), statistics=given))


def test_images_that_the_preprocessor_normalises():
    """No statistics are carried where none are used."""
    model = MODELS.build(
        dict(type='HFBackbone', config=dict(model_type='dinov3_vit', **VIT), normalize=False)
    )
    carried = model.carried()['config']
    assert carried['statistics'] is None
    again = MODELS.build(dict(type='HFBackbone', normalize=False, **carried))
    images = torch.rand(1, 3, 32, 32)
    assert torch.equal(again.prepare(images), model.prepare(images))
    assert np.allclose(model.prepare(images), images)
