"""LAVT's, Swin's and BERT's checkpoints through their converters."""

import argparse
import json
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from test_tools.conftest import Tools

import mmrefseg.registration  # noqa: F401
from mmrefseg.checkpoints.from_bert import make_bert_folder
from mmrefseg.checkpoints.from_lavt import expected_lavt, read_lavt
from mmrefseg.checkpoints.from_swin import convert_swin, read_swin, resize_bias_table
from mmrefseg.compat.bert_names import read_bert_weights
from mmrefseg.compat.checkpoint import load_checkpoint_file
from mmrefseg.utils import UserInputError


def blank(keys):
    """Zeros of given shapes; a saved file holds one number of each."""
    return {
        key: torch.zeros((), dtype=getattr(torch, kind)).expand(shape) for key, (shape, kind) in keys.items()
    }


def save_original(golden_dir, kind, path, **changes):
    """A checkpoint as LAVT-RIS saved it: its keys, shapes and pickled arguments."""
    golden = json.loads((golden_dir / 'lavt' / f'{kind}_checkpoint_format.json').read_text())
    content = {'model': blank(golden['model_keys']), 'optimizer': {}, 'epoch': golden['epoch']}
    if golden.get('bert_model_keys'):
        content['bert_model'] = blank(golden['bert_model_keys'])
    content['args'] = argparse.Namespace(**golden['args'])
    content['lr_scheduler'] = golden['lr_scheduler']
    torch.save(content | changes, path)
    return content


@pytest.mark.parametrize('kind', ['lavt', 'lavt_one'])
def test_lavt_checkpoint(golden_dir, tmp_path, kind):
    source, target = tmp_path / 'model_best_g.pth', tmp_path / 'lavt.pth'
    content = save_original(golden_dir, kind, source)
    done = Tools(tmp_path).succeed('model_converters/lavt.py', source, target)
    assert '0 missing' in done.stdout and '0 left over' in done.stdout
    converted = load_checkpoint_file(target)
    network = read_lavt(source)
    settings = network.model_settings()
    expected = expected_lavt(settings)
    assert {key: tuple(value.shape) for key, value in converted['state_dict'].items()} == expected
    originals = len(content['model']) + len(content.get('bert_model', {}))
    # 12 index buffers, and the last gate
    pooler = sum('pooler' in key for key in (*content['model'], *content.get('bert_model', {})))
    ids = sum('position_ids' in key for key in (*content['model'], *content.get('bert_model', {})))
    assert originals - len(expected) == 14 + pooler + ids
    assert converted['meta']['original'] == f'LAVT-RIS {kind}'
    assert done.stdout.endswith(f'run it: python tools/test.py {target.with_suffix(".py")} {target}\n')
    config = target.with_suffix('.py').read_text()
    assert 'lavt-one' in config if kind == 'lavt_one' else 'lavt-one' not in config
    assert Config.fromfile(target.with_suffix('.py')).model.backbone.embed_dims == 96


def test_reproduction_checkpoint(golden_dir, tmp_path, repo_root):
    keys = json.loads((golden_dir / 'lavt' / 'spec_lavtpt_swin_base_patch4_window7_224.json').read_text())
    source = tmp_path / 'ckpt_448_epoch_45.pth'
    torch.save({'model': blank(keys), 'optimizer': {}, 'lr_scheduler': {'last_step': 2}, 'epoch': 7}, source)
    network = read_lavt(source)
    settings = network.model_settings()
    assert settings['backbone']['depths'] == (2, 2, 18, 2)
    assert settings['decode_head']['in_channels'] == (256, 512, 1024, 1024)
    report = network.convert(expected_lavt(settings))
    report.require_complete('golden')
    assert len(report.state) + len(report.dropped) == len(keys)
    # its config is RefCOCO's; another data set changes the annotations of training, validation and test
    assert network.dataset_settings('refcoco-unc') == {}
    changed = network.dataset_settings('refcocog-umd')
    base = network.base_config('refcocog-umd').replace('mmrefseg::', 'configs/')
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        dataset = Config.fromfile(repo_root / base)[name].dataset
        assert dataset.ann_file == 'annotations/refcoco-unc/instances.json'
        assert changed[name] == dict(dataset=dict(ann_file='annotations/refcocog-umd/instances.json'))


class Evil:
    """Unpickled as a call."""

    def __reduce__(self):
        return eval, ("__import__('sys').modules.setdefault('lavt_was_here')",)


@pytest.mark.parametrize('intruder', [Evil(), Fraction(1, 2)])
def test_only_a_namespace_is_allowed(golden_dir, tmp_path, intruder):
    path = tmp_path / 'model.pth'
    save_original(golden_dir, 'lavt', path, args=argparse.Namespace(model='lavt', payload=intruder))
    with pytest.raises(UserInputError, match='not executed'):
        read_lavt(path)
    assert 'lavt_was_here' not in sys.modules


def test_other_files_are_refused(golden_dir, tmp_path):
    path = tmp_path / 'model.pth'
    torch.save({'state_dict': {'a': torch.zeros(1)}}, path)
    with pytest.raises(UserInputError, match="'model'"):
        read_lavt(path)
    torch.save({'model': {'a': torch.zeros(1)}}, path)
    with pytest.raises(UserInputError, match='no decoder of LAVT'):
        read_lavt(path)
    save_original(golden_dir, 'lavt', path, bert_model=None)
    with pytest.raises(UserInputError, match='bert_model'):
        read_lavt(path)


@pytest.mark.parametrize(
    'spec, golden, window',
    [
        ('lavt_swin_tiny_w7_imagenet', 'lavt_swin_loader_w7_to_w12', 12),
        ('lavt_swin_tiny_w7_imagenet', 'lavt_swin_loader_w7_to_w7', None),
        ('lavtpt_swinload_source', 'lavtpt_swin_loader', 7),
    ],
)
def test_swin(golden_dir, tmp_path, spec, golden, window):
    keys = json.loads((golden_dir / 'lavt' / f'spec_{spec}.json').read_text())
    tables = [key for key in keys if key.endswith('bias_table')]
    state = blank(keys) | make_arrays(golden_dir, {key: keys[key] for key in tables})
    torch.save({'model': state}, tmp_path / 'swin.pth')
    sizes, report = convert_swin(read_swin(tmp_path / 'swin.pth'), window)
    report.require_complete('golden')
    theirs = dict(np.load(golden_dir / 'lavt' / f'{golden}.npz'))
    assert len(tables) >= 8
    for key in tables:
        assert np.abs(report.state[key].numpy() - theirs[key.replace('.', '/')]).max() <= 1e-6
    assert sizes['window_size'] == (window or 7)
    backbone = MODELS.build(
        dict(
            type='LanguageSwin',
            **sizes,
            init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'converted.pth')),
        )
    )
    torch.save({'state_dict': report.state}, tmp_path / 'converted.pth')
    backbone.init_weights()
    table = backbone.layers[1].blocks[1].attn.relative_position_bias_table
    assert torch.equal(table.data, report.state['layers.1.blocks.1.attn.relative_position_bias_table'])


def test_resizing_keeps_the_centre():
    table = torch.randn(13 * 13, 3)
    assert torch.equal(resize_bias_table(table, 7), table)
    # 13 and 23 rows: the middle one of each stands for distance 0
    resized = resize_bias_table(table, 12)
    assert resized.shape == (23 * 23, 3)
    assert torch.allclose(resized.view(23, 23, 3)[11, 11], table.view(13, 13, 3)[6, 6], atol=1e-5)


def test_wrong_swin_is_refused(tmp_path):
    torch.save({'model': {'conv1.weight': torch.zeros(1)}}, tmp_path / 'resnet.pth')
    with pytest.raises(UserInputError, match='patch_embed'):
        read_swin(tmp_path / 'resnet.pth')


def make_arrays(golden_dir, keys):
    """Reference weights of some keys."""
    folder = str(golden_dir)
    sys.path.insert(0, folder)
    try:
        from reference_weights import make_array
    finally:
        sys.path.remove(folder)
    return {key: torch.from_numpy(make_array(key, shape, dtype)) for key, (shape, dtype) in keys.items()}


SMALL = dict(
    vocab_size=30522,
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=1,
    intermediate_size=128,
    max_position_embeddings=64,
)


@pytest.fixture(scope='module')
def small_bert():
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    return BertModel(BertConfig(**SMALL))


@pytest.mark.parametrize('layout', ['pytorch_model.bin', 'model.safetensors', 'pretrained'])
def test_bert_folder(small_bert, shared_dir, tmp_path, layout):
    vocab = shared_dir / 'vocab' / 'bert-base-uncased-vocab.txt'
    state = dict(small_bert.state_dict())
    if (
        layout == 'pretrained'
    ):  # pytorch-pretrained-bert's: another prefix, gamma and beta, heads of its tasks
        renamed = {}
        for key, value in state.items():
            key = key.replace('LayerNorm.weight', 'LayerNorm.gamma').replace(
                'LayerNorm.bias', 'LayerNorm.beta'
            )
            renamed[f'bert.{key}'] = value
        state = renamed | {'cls.predictions.bias': torch.zeros(4)}
    source = tmp_path / ('model.safetensors' if layout == 'model.safetensors' else 'pytorch_model.bin')
    if layout == 'model.safetensors':
        from safetensors.torch import save_file

        save_file(state, source)
    else:
        torch.save(state, source)
    report, sizes = make_bert_folder(source, tmp_path / 'bert', vocab)
    assert sizes == SMALL and report.left_over == []
    encoder = MODELS.build(dict(type='BertEncoder', path=str(tmp_path / 'bert'), max_tokens=8))
    encoder.init_weights()
    encoder.eval()
    small_bert.eval()
    tokens = encoder.tokenize(['the red star', 'left'])
    with torch.no_grad():
        ours = encoder(tokens)
        theirs = small_bert(input_ids=tokens.ids, attention_mask=tokens.mask.long())[0]
    assert torch.allclose(ours.words, theirs, atol=1e-6)
    assert tokens.mask.sum(1).tolist() == [5, 3]


def test_bert_that_is_not_there(tmp_path, shared_dir):
    vocab = str(shared_dir / 'vocab' / 'bert-base-uncased-vocab.txt')
    for config, message in (
        (dict(path=str(tmp_path / 'nowhere')), 'no such folder'),
        (dict(path=str(tmp_path)), 'no config.json'),
        (dict(config=SMALL), 'neither path nor vocab_file'),
        (dict(config=SMALL, vocab_file=str(tmp_path / 'no.txt')), 'no such file'),
        (dict(config=SMALL | dict(vocab_size=100), vocab_file=vocab), 'word pieces'),
    ):
        with pytest.raises(UserInputError, match=message):
            MODELS.build(dict(type='BertEncoder', **config))
    (tmp_path / 'config.json').write_text(json.dumps(SMALL))
    encoder = MODELS.build(dict(type='BertEncoder', path=str(tmp_path), vocab_file=vocab))
    with pytest.raises(UserInputError, match='no weights'):
        encoder.init_weights()
    (tmp_path / 'model.safetensors').write_bytes(b'broken')
    with pytest.raises(UserInputError, match='safetensors'):
        read_bert_weights(tmp_path / 'model.safetensors')


def test_frozen_bert(shared_dir):
    vocab = str(shared_dir / 'vocab' / 'bert-base-uncased-vocab.txt')
    encoder = MODELS.build(
        dict(type='BertEncoder', config=SMALL, vocab_file=vocab, trained_layers=1, train_embeddings=False)
    )
    encoder(encoder.tokenize(['the red star'])).words.sum().backward()
    learned = {name for name, p in encoder.named_parameters() if p.grad is not None}
    assert learned and all(name.startswith('bert.encoder.layer.0.') for name in learned)
