"""What language models put into checkpoints: they are built again where no file of theirs is."""

import copy
import json
import shutil

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from torch import nn

from mmrefseg.checkpoints.shipped import write_safetensors
from mmrefseg.compat.carried import KEY, apply_carried, as_metadata, carried_by
from mmrefseg.compat.checkpoint import load_checkpoint_file
from mmrefseg.datasets.vocabulary import Vocabulary
from mmrefseg.datasets.word_vectors import save_word_vectors
from mmrefseg.engine.hooks import move_word_rows, sentence_cuts
from mmrefseg.runs.words import language_models, take_words

SMALL = dict(
    vocab_size=30522, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
)  # fmt: skip
SENTENCES = ['the red star', 'a zebra left of it']


def config_of(kind, folder, shared_dir):
    """A language model that names a file of its folder."""
    words = {'ann_file': str(folder / 'instances.json')}
    (folder / 'instances.json').write_text(json.dumps({'train': [{'expressions': ['the red star left']}]}))
    shutil.copy(shared_dir / 'vocab/bert-base-uncased-vocab.txt', folder / 'vocab.txt')
    return {
        'GRUEncoder': dict(vocabulary=words, hidden_dims=4, embed_dims=8),
        'GRUEncoder with vectors': dict(vocabulary=words, hidden_dims=4, vectors='random:6', max_tokens=3),
        'WordEncoder': dict(vocabulary=words, hidden_dims=4, embed_dims=8, visual_dims=5),
        'BertEncoder': dict(config=SMALL, vocab_file=str(folder / 'vocab.txt'), max_tokens=7),
    }[kind] | {'type': kind.split()[0]}


@pytest.mark.parametrize('ending', ['pth', 'safetensors'])
@pytest.mark.parametrize('kind', ['GRUEncoder', 'GRUEncoder with vectors', 'WordEncoder', 'BertEncoder'])
def test_a_language_model_without_its_files(kind, ending, tmp_path, shared_dir):
    folder = tmp_path / 'files'
    folder.mkdir()
    config = config_of(kind, folder, shared_dir)
    model = MODELS.build(copy.deepcopy(config)).eval()
    meta = {KEY: {'part.language_model': model.carried()}}
    path = tmp_path / f'some.{ending}'
    if ending == 'pth':
        torch.save({'meta': meta, 'state_dict': model.state_dict()}, path)
    else:
        write_safetensors(path, model.state_dict(), as_metadata(meta))
    shutil.rmtree(folder)
    checkpoint = load_checkpoint_file(path)
    whole = {'part': {'language_model': config}}
    apply_carried(whole, carried_by(checkpoint, 'some'), path)
    again = MODELS.build(whole['part']['language_model']).eval()
    again.load_state_dict(checkpoint['state_dict'])
    first, second = (each(each.tokenize(SENTENCES)) for each in (model, again))
    first, second = (each if isinstance(each, torch.Tensor) else each.words for each in (first, second))
    assert torch.equal(first, second) and first.abs().sum() > 0
    (cuts,) = sentence_cuts(again)
    cut = kind == 'GRUEncoder with vectors'  # to three words; BERT's seven pieces are just enough
    assert (cuts.total, cuts.cut, cuts.longest) == (2, cut, 7 if kind == 'BertEncoder' else 5)


def test_word_vectors_of_new_data_need_not_know_the_old_words(tmp_path, shared_dir):
    """Old words bring their vectors; a file of vectors for the new data has the new ones."""
    old = MODELS.build(dict(type='GRUEncoder', vocabulary=dict(words=['red', 'old']), vectors='random:4'))
    path = tmp_path / 'old.pth'
    torch.save({'meta': {KEY: {'language_model': old.carried()}}, 'state_dict': old.state_dict()}, path)
    table = np.arange(20, dtype=np.float32).reshape(5, 4)
    save_word_vectors(tmp_path / 'new.npz', Vocabulary(['new', 'red']), table)
    config = dict(
        type='GRUEncoder',
        vocabulary=dict(words=['new', 'red'], extends=path),
        vectors=f'npz:{tmp_path}/new.npz',
    )
    new = MODELS.build(config)
    assert new.vocabulary.words[3:] == ['red', 'old', 'new'] and new.vocabulary.added == ('new',)
    assert new.embedding.weight[3:].tolist() == [table[4].tolist(), [0.0] * 4, table[3].tolist()]
    assert not new.embedding.weight.requires_grad
    run = {'model': {'language_model': dict(config, vocabulary=dict(words=['new', 'red']))}}
    take_words(run, str(path), 'keep')
    kept = MODELS.build(run['model']['language_model'])
    assert kept.vocabulary.words == old.vocabulary.words and not kept.embedding.weight.requires_grad
    kept.load_state_dict(old.state_dict() | {k: v for k, v in kept.state_dict().items() if 'gru' in k})


class Words(nn.Module):
    """A table with a row for each word, and one that has none."""

    word_rows = ('table.weight', 'absent.bias')

    def __init__(self, words):
        super().__init__()
        self.vocabulary = Vocabulary(words)
        self.table = nn.Embedding(len(self.vocabulary), 2)
        self.other = nn.Linear(len(self.vocabulary), 2)


def test_rows_move_to_their_words():
    old, new = Words(['red', 'blue', 'gone']), Words(['new', 'blue', 'red'])
    state, before = dict(old.state_dict()), new.table.weight.clone()
    added, gone = move_word_rows(new, state, old.vocabulary.words)
    assert (added, gone) == (['new'], ['gone'])
    for word in ('PAD', 'UNK', 'red', 'blue'):
        row = state['table.weight'][new.vocabulary.index[word]]
        assert torch.equal(row, old.table.weight[old.vocabulary.index[word]]), word
    assert torch.equal(state['table.weight'][new.vocabulary.index['new']], before[3])
    assert torch.equal(state['other.weight'], old.other.weight), 'its columns are no rows'
    same = dict(new.state_dict())
    assert move_word_rows(new, same, new.vocabulary.words) == ([], [])
    assert torch.equal(same['table.weight'], new.table.weight)


def test_what_reads_sentences():
    """By its place in the config, alone or within a refiner; a detector has none."""
    reader = {'type': 'GRUEncoder'}
    assert [*language_models({'backbone': {}, 'language_model': reader})] == [('language_model', reader)]
    refined = {'segmentor': {'language_model': reader}, 'refiner': {'size': 4}}
    assert [*language_models(refined, 'model')] == [('model.segmentor.language_model', reader)]
    assert not [*language_models({'roi_head': {'bbox_head': [{'type': 'a'}]}, 'language_model': None})]
